"""`python -m hard_attention`, as torchrun starts it."""

from hard_attention.cli import main

main()
