"""`python -m ufg`, as torchrun starts it."""

from ufg.cli import main

main()
