"""``python -m likewise``, and so ``torchrun -m likewise``: the command line."""

from likewise.cli import main

main()
