"""``python -m repro`` is the ``repro`` command."""

from repro.cli import entry

if __name__ == "__main__":
    entry()
