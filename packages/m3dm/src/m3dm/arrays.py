"""The kinds of arrays that pass between the files of this package."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""Any floating-point array; what is made here is float32 unless it says otherwise."""
Mask = NDArray[np.bool_]
Colours = NDArray[np.uint8]
Indices = NDArray[np.integer[Any]]
