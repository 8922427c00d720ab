"""Pickles of arrays, sparse matrices and lists of numbers, read without running what is in them.

What a pickle says of an array is kept as it was told, and made into one afterwards, from bytes that are there: numpy itself believes the state
that it is given, and ends the process where that is damaged.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import defaultdict
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from offprints.errors import DataError

_NUMBERS = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"})


def read_pickle(content: bytes, name: str) -> Any:
    """What a pickle holds: an array, a sparse matrix, or plain containers of numbers.

    Args:
        content: of the file; of Python 2 too.
        name: of the file, for messages.

    Raises:
        DataError: it holds something else, or what it says does not fit together.
    """
    try:
        found = _Told(io.BytesIO(content), encoding="latin1").load()
    except MemoryError:
        raise
    except Exception as error:  # what a damaged program of a pickle may end with is not a short list
        raise DataError(
            f"{name} holds something else than arrays and lists of neighbours: {error}"
        ) from error
    if isinstance(found, _Matrix):
        return _matrix(found, name)
    return _array(found, name) if isinstance(found, _Array) else found


class _Dtype:
    """What a pickle tells of a kind of numbers."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code, self.state = code, None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array:
    """What a pickle tells of an array."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Matrix:
    """What a pickle tells of a sparse matrix, as plain attributes."""


# What the published files are made of, and nothing that runs code.
_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "defaultdict"): defaultdict,
    ("__builtin__", "list"): list,
    ("__builtin__", "object"): object,
    ("builtins", "list"): list,
    ("scipy.sparse.csr", "csr_matrix"): _Matrix,
    ("scipy.sparse._csr", "csr_matrix"): _Matrix,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}


class _Told(pickle._Unpickler):  # in Python: the one in C takes all the memory that a number asks for
    # Nor has an old pickle a byte array, for which the one in Python does so, too.
    dispatch: ClassVar[Any] = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _new_array
        if name == "_reconstructor" and module in ("copy_reg", "copyreg"):
            return _new_matrix
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        raise pickle.UnpicklingError(f"{module}.{name} is no array")


def _new_array(kind: object, *_: Any) -> _Array:
    if kind is not _Array:
        raise pickle.UnpicklingError(f"{kind} is no array")
    return _Array()


def _new_matrix(kind: object, base: object, _: Any) -> _Matrix:
    if kind is not _Matrix or base is not object:
        raise pickle.UnpicklingError(f"{kind} is no sparse matrix")
    return _Matrix()


def _array(told: _Array, name: str) -> NDArray[Any]:
    """The array that a pickle told of.

    Raises:
        DataError: its kind, shape and bytes make none.
    """
    state = told.state if isinstance(told.state, tuple) else ()
    if len(state) not in (4, 5):  # the version came later
        raise DataError(f"{name} has an array without content")
    shape, kind, fortran, content = state[-4:]
    if isinstance(content, str):  # bytes, as Python 2 wrote them
        content = content.encode("latin1")
    code = kind.code if isinstance(kind, _Dtype) else None
    if not isinstance(code, str) or code not in _NUMBERS or not isinstance(content, bytes):
        raise DataError(f"{name} has an array of something else than numbers")
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise DataError(f"{name} has an array of the shape {shape!r:.60}")
    order = kind.state[1] if isinstance(kind.state, tuple) and len(kind.state) > 1 else "|"
    if order not in ("<", ">", "|", "="):
        raise DataError(f"{name} has an array of the byte order {order!r:.20}")
    dtype = np.dtype(code) if order in "|=" else np.dtype(order + code)
    if len(shape) > 2 or math.prod(shape) * dtype.itemsize != len(content):
        raise DataError(
            f"{name} has an array of the shape {shape!r:.60} and {len(content)} bytes of {dtype} in it"
        )
    found = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran is True else "C")
    return found.astype(dtype.newbyteorder("="))


def _matrix(told: _Matrix, name: str) -> csr_array:
    """The matrix that a pickle told of.

    Raises:
        DataError: its arrays make none.
    """
    state = {key: _array(one, name) if isinstance(one, _Array) else one for key, one in vars(told).items()}
    shape: Any
    starts: Any
    columns: Any
    values: Any
    shape, starts, columns, values = (state.get(key) for key in ("_shape", "indptr", "indices", "data"))
    plain = isinstance(shape, tuple) and len(shape) == 2 and all(type(size) is int for size in shape)
    kinds = ((starts, "i"), (columns, "i"), (values, "fiu"))
    if not plain or not all(
        isinstance(one, np.ndarray) and one.ndim == 1 and one.dtype.kind in kind for one, kind in kinds
    ):
        raise DataError(f"{name} is no sparse matrix")
    whole = len(starts) == shape[0] + 1 and starts[0] == 0 and starts[-1] == len(columns) == len(values)
    rising = whole and bool((np.diff(starts) >= 0).all()) and 0 < shape[1] < 2**31
    if not rising or columns.min(initial=0) < 0 or columns.max(initial=-1) >= shape[1]:
        raise DataError(f"{name} is a sparse matrix whose arrays do not fit together")
    return csr_array((values, columns, starts), shape=shape)
