"""`python -m __import_name__`, as torchrun starts it."""

from __import_name__.cli import main

main()
