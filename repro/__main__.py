"""Runs the ``repro`` command by ``python -m repro``."""

from repro.cli import entry

if __name__ == "__main__":
    entry()
