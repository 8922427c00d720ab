"""`python -m matrix_calculus`, as torchrun starts it."""

from matrix_calculus.cli import main

main()
