"""`python -m supcon_simplex`, as torchrun starts it."""

from supcon_simplex.cli import main

main()
