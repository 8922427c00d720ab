"""`python -m ke_gcn`, as torchrun starts it."""

from ke_gcn.cli import main

if __name__ == "__main__":
    main()
