"""`python -m sky_broker`, as torchrun starts it."""

from sky_broker.cli import main

main()
