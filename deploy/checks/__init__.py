"""
Checks of what ``deploy/`` ships, without a cluster: ``python -m deploy.checks``.

Each check says what is wrong, a line each. ``tests/deploy`` has, for each, something that it must refuse.
"""
