"""`python -m m3dm`, as torchrun starts it."""

from m3dm.cli import main

main()
