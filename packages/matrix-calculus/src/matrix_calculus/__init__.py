"""The Matrix Calculus You Need For Deep Learning (Parr and Howard, 2018): derive, explain and check.

from matrix_calculus import derive

found = derive("sum((y - max(0, X*w + b)).^2)/N", wrt="w", symbols={"X": "matrix(N, n)", "y": "vector", "b": "scalar"})
found.formula, found.steps, found.code("numpy"), found.check()
"""

from matrix_calculus.derive import Derivation, derive
from matrix_calculus.explain import Step
from matrix_calculus.grade import Verdict, grade
from matrix_calculus.inference import read
from matrix_calculus.syntax import LanguageError, parse
from matrix_calculus.verify import Proof

__version__ = "0.1.0"

__all__ = ["Derivation", "LanguageError", "Proof", "Step", "Verdict", "derive", "grade", "parse", "read"]
