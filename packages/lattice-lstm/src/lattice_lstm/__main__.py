"""`python -m lattice_lstm`, as torchrun starts it."""

from lattice_lstm.cli import main

main()
