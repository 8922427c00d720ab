"""Sixteen columns of an array as one value in compiled loops, so that a row of a signal stays in the processor's registers.

    total = weighted_sum(values, columns, starts[row], starts[row + 1], x, first, ahead)
    total = add_scaled(total, 0.5, load(x, row, first, width))
    store(out, row, first, width, total)

Numba alone keeps such a sum in memory, because it cannot know that `out` and `x` do not overlap, and counts references to arrays in each
row: three to ten times slower. Each function here is a few instructions of LLVM for vectors; LLVM makes of them what the processor
has. Arrays are two-dimensional and their rows contiguous; nothing is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils as untyped_cgutils

WIDTH = 16
_I32, _BYTES = ir.IntType(32), ir.IntType(8).as_pointer()
_Made = tuple[Any, Callable[..., Any]]
cgutils: Any = untyped_cgutils


def intrinsic(function: Callable[..., _Made]) -> Any:
    """Numba's decorator, whose own type says nothing of how a kernel calls the function."""
    return extending.intrinsic(function)


class Lanes(types.Type):
    """The type of such a value.

    Args:
        dtype: float32 or float64.
    """

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        super().__init__(f"Lanes({dtype})")


@extending.register_model(Lanes)
class _LanesModel(extending.models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        number = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
        make: Any = super().__init__
        make(manager, kind, ir.VectorType(number, WIDTH))


@intrinsic
def zeros(typing: Any, like: Any) -> _Made:
    """Sixteen zeros of an array's type."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(context.get_value_type(signature.return_type), [0.0] * WIDTH)

    return Lanes(like.dtype)(like), make


@intrinsic
def load(typing: Any, array: Any, row: Any, first: Any, width: Any) -> _Made:
    """array[row, first : first + width], and zeros where width is less than sixteen."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        place = _Rows(context, builder, signature, arguments, 0).place(arguments[1], arguments[2])
        width = arguments[3]
        found = cgutils.alloca_once(builder, kind)
        with builder.if_else(_is_whole(builder, width)) as (whole, part):
            with whole:
                builder.store(_load(builder, place, kind), found)
            with part:
                builder.store(_load_part(builder, place, kind, width), found)
        return builder.load(found)

    return Lanes(array.dtype)(array, row, first, types.intp), make


@intrinsic
def store(typing: Any, array: Any, row: Any, first: Any, width: Any, lanes: Any) -> _Made:
    """array[row, first : first + width] = lanes, whose last ones are dropped where width is less than sixteen."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _Rows(context, builder, signature, arguments, 0).place(arguments[1], arguments[2])
        width, given = arguments[3:]
        with builder.if_else(_is_whole(builder, width)) as (whole, part):
            with whole:
                vector = builder.bitcast(place, given.type.as_pointer())
                builder.store(given, vector).align = signature.args[0].dtype.bitwidth // 8
            with part:
                kept = cgutils.alloca_once_value(builder, given)
                numbers = builder.bitcast(kept, place.type)
                with cgutils.for_range(builder, width) as loop:
                    value = builder.load(builder.gep(numbers, [loop.index]))
                    builder.store(value, builder.gep(place, [loop.index]))
        return context.get_dummy_value()

    return types.void(array, row, first, types.intp, lanes), make


@intrinsic
def add_scaled(typing: Any, lanes: Any, factor: Any, others: Any) -> _Made:
    """lanes + factor * others; the factor is rounded to their type."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, factor, others = arguments
        factor = context.cast(builder, factor, signature.args[1], signature.return_type.dtype)
        return _add_scaled(builder, lanes, factor, others)

    return lanes(lanes, factor, others), make


@intrinsic
def weighted_sum(
    typing: Any, values: Any, columns: Any, begin: Any, end: Any, x: Any, first: Any, ahead: Any
) -> _Made:
    """The sum over entries begin to end - 1 of values[entry] * x[columns[entry], first : first + sixteen].

    Where width is less than sixteen, what lies behind is read all the same: the caller sees to it that there is something.
    With ahead > 0, a row is asked for so many entries before its turn.
    """

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        weights, ids = (context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 1))
        rows = _Rows(context, builder, signature, arguments, 4)
        begin, end, first, ahead = (
            context.cast(builder, arguments[i], signature.args[i], types.intp) for i in (2, 3, 5, 6)
        )
        one = ahead.type(1)
        last = builder.sub(cgutils.unpack_tuple(builder, ids.shape)[0], one)
        asks = builder.icmp_signed(">", ahead, ahead.type(0))
        total = cgutils.alloca_once_value(builder, ir.Constant(kind, [0.0] * WIDTH))
        with cgutils.for_range_slice(builder, begin, end, one) as (entry, _):
            with builder.if_then(asks):
                later = builder.add(entry, ahead)
                later = builder.select(builder.icmp_signed("<", later, last), later, last)
                _prefetch(builder, rows.place(builder.load(builder.gep(ids.data, [later])), first), kind)
            place = rows.place(builder.load(builder.gep(ids.data, [entry])), first)
            weight = builder.load(builder.gep(weights.data, [entry]))
            there = _load(builder, place, kind)
            builder.store(_add_scaled(builder, builder.load(total), weight, there), total)
        return builder.load(total)

    found = Lanes(x.dtype)
    return found(values, columns, begin, end, x, first, ahead), make


class _Rows:
    """Addresses within one of the arrays that an intrinsic was given."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any, number: int) -> None:
        self.context, self.builder = context, builder
        array = context.make_array(signature.args[number])(context, builder, arguments[number])
        self.across, self.along = cgutils.unpack_tuple(builder, array.strides)
        self.data = array.data

    def place(self, row: Any, first: Any) -> Any:
        """Pointer to array[row, first]."""
        builder = self.builder
        row, first = (self._wide(value) for value in (row, first))
        offset = builder.add(builder.mul(row, self.across), builder.mul(first, self.along))
        start = builder.bitcast(self.data, _BYTES)
        return builder.bitcast(builder.gep(start, [offset]), self.data.type)

    def _wide(self, value: Any) -> Any:
        wide = self.across.type
        return value if value.type == wide else self.builder.sext(value, wide)


def _load(builder: Any, place: Any, kind: Any) -> Any:
    found = builder.load(builder.bitcast(place, kind.as_pointer()))
    found.align = 4 if kind.element == ir.FloatType() else 8
    return found


def _load_part(builder: Any, place: Any, kind: Any, width: Any) -> Any:
    """The first lanes; nothing behind them is read, which might not be there."""
    number = "f32" if kind.element == ir.FloatType() else "f64"
    mask = ir.VectorType(ir.IntType(1), WIDTH)
    name = f"llvm.masked.load.v{WIDTH}{number}.p0v{WIDTH}{number}"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind.as_pointer(), _I32, mask, kind]), name
    )
    lanes = ir.Constant(ir.VectorType(_I32, WIDTH), list(range(WIDTH)))
    chosen = builder.icmp_signed("<", lanes, _everywhere(builder, builder.trunc(width, _I32)))
    align = _I32(4 if number == "f32" else 8)
    vector = builder.bitcast(place, kind.as_pointer())
    return builder.call(function, [vector, align, chosen, ir.Constant(kind, [0.0] * WIDTH)])


def _add_scaled(builder: Any, lanes: Any, factor: Any, others: Any) -> Any:
    product = builder.fmul(_everywhere(builder, factor), others, flags=("contract",))
    return builder.fadd(lanes, product, flags=("contract",))


def _everywhere(builder: Any, value: Any) -> Any:
    """The same value in all lanes."""
    undefined = ir.Constant(ir.VectorType(value.type, WIDTH), ir.Undefined)
    one = builder.insert_element(undefined, value, _I32(0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_I32, WIDTH), [0] * WIDTH))


def _prefetch(builder: Any, place: Any, kind: Any) -> None:
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [_BYTES, _I32, _I32, _I32]), "llvm.prefetch.p0i8"
    )
    address = builder.bitcast(place, _BYTES)
    size = WIDTH * (4 if kind.element == ir.FloatType() else 8)
    for line in range(0, size, 64):
        builder.call(function, [builder.gep(address, [_I32(line)]), _I32(0), _I32(3), _I32(1)])


def _is_whole(builder: Any, width: Any) -> Any:
    return builder.icmp_signed("==", width, width.type(WIDTH))
