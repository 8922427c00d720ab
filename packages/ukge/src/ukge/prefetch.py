"""A hint to the memory in compiled loops: rows at random places are slow to come, and a processor cannot guess them."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_LINE = 16  # float32 numbers in a line of the cache


def _line(typing: Any, table: Any, row: Any, column: Any) -> Any:
    """Ask for the line of the cache with table[row, column], to be there when it is read."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        row, column = (
            context.cast(builder, value, kind, types.int64)
            for value, kind in zip(arguments[1:], signature.args[1:], strict=True)
        )
        width = builder.extract_value(array.shape, 1)
        place = builder.gep(array.data, [builder.add(builder.mul(row, width), column)])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
        read, keep, data = number(0), number(3), number(1)
        builder.call(function, [builder.bitcast(place, byte), read, keep, data])
        return context.get_dummy_value()

    return types.void(table, row, column), generate


_ask: Any = intrinsic(_line)  # to numba a function of a table, a row and a column


@numba.njit(nogil=True, cache=True, forceinline=True)
def prefetch(table: Any, row: Any) -> None:
    """Ask for a row of a contiguous float32 table, (n, dim); changes nothing but the time."""
    for column in range(0, table.shape[1], _LINE):
        _ask(table, row, column)
