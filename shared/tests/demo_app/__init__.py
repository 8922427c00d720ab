"""A package as small as one can be: what the tests of the command line, of resume and of torchrun run."""

__version__ = "9.9"
