"""Run the command as ``python -m qbitel.cli``."""

from . import main

main()
