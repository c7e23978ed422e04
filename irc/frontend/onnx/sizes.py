"""Integers that are known at import although they are no constants: sizes with symbols, and what is computed of them.

Exported graphs take a shape apart, change some of its sizes and put it together again. `propagated` follows that on
arrays of dimensions, so that the shape that comes out is one of the IR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias, cast

import numpy as np

from irc.ir.diagnostics import IrcError
from irc.ir.dims import Dim, add, dim_max, dim_min, equal, floordiv, mod, mul, sub

Sizes: TypeAlias = np.ndarray[Any, np.dtype[Any]]  # of dimensions
Attributes: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[..., Any]  # (attributes, operands ...) -> sizes, or None where they cannot be told


def sizes_of(values: Any) -> Sizes:
    """Integers as sizes."""
    array = np.asarray(values)
    return array.astype(object)


def vector(dims: Sequence[Dim]) -> Sizes:
    """A shape as sizes."""
    out = np.empty(len(dims), object)
    out[:] = list(dims)
    return out


def propagated(op: str, attributes: Attributes, operands: Sequence[Sizes | None]) -> Sizes | None:
    """The result of an operator on sizes; None if there is no rule, or no single answer for all sizes."""
    rule = RULES.get(op)
    if rule is None:
        return None
    try:
        found = rule(attributes, *operands)
    except (IrcError, ValueError, IndexError, TypeError):
        return None
    return None if found is None else _as_sizes(found)


def _as_sizes(found: Any) -> Sizes:
    if isinstance(found, np.ndarray):
        return cast(Sizes, found)
    out = np.empty((), object)
    out[()] = found
    return out


def _ints(sizes: Sizes) -> Any:
    """Plain integers. Raises ValueError if one is symbolic."""
    if not all(isinstance(d, int) for d in sizes.flat):
        raise ValueError("symbolic")
    return sizes.astype(np.int64)


def _elementwise(function: Callable[[Any, Any], Any]) -> Rule:
    each: Any = np.frompyfunc(function, 2, 1)

    def rule(a: Attributes, x: Any, *more: Any) -> Any:
        return reduce(each, more, x)

    return rule


def _quotient(a: Dim, b: Dim) -> Dim:
    """ONNX rounds towards zero; sizes are not negative."""
    if isinstance(a, int) and isinstance(b, int):
        return int(a / b) if abs(a) < 2**50 else a // b
    return floordiv(a, b)


def _equal(a: Dim, b: Dim) -> bool:
    """A size is at least 1, so a symbolic one is neither 0 nor -1."""
    decided = equal(a, b)
    if decided is None and not (isinstance(a, int) and a < 1) and not (isinstance(b, int) and b < 1):
        raise ValueError("undecided")
    return bool(decided)


def _where(a: Attributes, condition: Any, x: Any, y: Any) -> Any:
    if not all(isinstance(v, int) for v in condition.flat):
        return None
    select: Any = np.where
    return select(condition.astype(bool), x, y)


def _axes(a: Attributes, given: Sizes | None) -> tuple[int, ...] | None:
    if given is not None:
        return tuple(int(v) for v in _ints(given))
    return tuple(a["axes"]) if "axes" in a else None


def _unsqueeze(a: Attributes, x: Sizes, axes: Sizes | None = None) -> Any:
    return np.expand_dims(x, _axes(a, axes) or ())


def _squeeze(a: Attributes, x: Sizes, axes: Sizes | None = None) -> Any:
    return np.squeeze(x, _axes(a, axes))


def _reduce(function: Callable[[Any, Any], Any]) -> Rule:
    def rule(a: Attributes, x: Sizes, axes: Sizes | None = None) -> Any:
        if x.ndim != 1 or _axes(a, axes) not in (None, (0,), (-1,)):
            return None
        total = reduce(function, list(x))
        return vector([total]) if a.get("keepdims", 1) else total

    return rule


def _slice(a: Attributes, x: Sizes, *given: Sizes | None) -> Any:
    starts, ends, axes, steps = (*given, None, None, None, None)[:4]
    first = _ints(starts) if starts is not None else np.asarray(a["starts"])
    last = _ints(ends) if ends is not None else np.asarray(a["ends"])
    at = _axes(a, axes) or tuple(range(len(first)))
    by = _ints(steps) if steps is not None else np.ones(len(first), np.int64)
    index = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(at, first, last, by, strict=True):
        whole = step < 0 and stop < -x.shape[axis]
        index[axis] = slice(int(start), None if whole else int(stop), int(step))
    return x[tuple(index)]


def _cast(a: Attributes, x: Any) -> Any:
    return x if a.get("to") in (6, 7) else None


def _identity(a: Attributes, x: Any) -> Any:
    return x


def _negative(a: Attributes, x: Any) -> Any:
    each: Any = np.frompyfunc(_minus, 1, 1)
    return each(x)


def _minus(d: Dim) -> Dim:
    return sub(0, d)


def _gather(a: Attributes, x: Sizes, index: Sizes) -> Any:
    return np.take(x, _ints(index), axis=a.get("axis", 0))


def _concat(a: Attributes, *xs: Sizes) -> Any:
    return np.concatenate(xs, axis=a["axis"])


def _reshape(a: Attributes, x: Sizes, shape: Sizes) -> Any:
    return x.reshape(tuple(_ints(shape)))


def _expand(a: Attributes, x: Sizes, shape: Sizes) -> Any:
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(_ints(shape))))


RULES: dict[str, Rule] = {
    "Identity": _identity,
    "Cast": _cast,
    "Add": _elementwise(add),
    "Sub": _elementwise(sub),
    "Mul": _elementwise(mul),
    "Div": _elementwise(_quotient),
    "Mod": _elementwise(mod),
    "Min": _elementwise(dim_min),
    "Max": _elementwise(dim_max),
    "Equal": _elementwise(_equal),
    "Neg": _negative,
    "Where": _where,
    "Gather": _gather,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Slice": _slice,
    "ReduceProd": _reduce(mul),
    "ReduceSum": _reduce(add),
    "ReduceMax": _reduce(dim_max),
    "ReduceMin": _reduce(dim_min),
    "Expand": _expand,
}
