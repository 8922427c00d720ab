"""What the packages of Offprints share: data loading, logging, GPU utilities and the command line.

Import the module that does the job (`offprints.app`, `offprints.data`, ...); nothing is imported here, so that a package
without torch never loads it.
"""

__version__ = "0.1.0"
