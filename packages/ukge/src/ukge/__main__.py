"""`python -m ukge`, as torchrun starts it."""

from ukge.cli import main

main()
