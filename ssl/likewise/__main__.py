"""The command ``likewise``, also as ``python -m likewise`` and ``torchrun -m likewise``."""

import sys


def main() -> None:
    """Run the command line; stopped before that is even imported, say so, and end with 1."""
    try:
        from likewise.cli import main as run
    except KeyboardInterrupt:
        sys.exit("likewise: stopped; nothing was begun")
    run()


if __name__ == "__main__":
    main()
