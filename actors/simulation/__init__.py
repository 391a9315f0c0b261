"""A machine that does not exist: disk, catalog and processes in memory, which stop wherever the seed says."""
