"""`python -m conve`, which torchrun needs."""

from conve.cli import main

if __name__ == "__main__":
    main()
