"""`python -m relational_rl`, as torchrun starts it."""

from relational_rl.cli import main

main()
