"""Rules about normalisations: written out by hand they become one op; group norm becomes layer norm of its groups."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from irc.ir.builder import Builder
from irc.ir.clone import rebuilt
from irc.ir.dims import Shape, floordiv, product, same_shape
from irc.ir.graph import Value
from irc.ir.ops.math import Add, Clamp, Div, Mean, Mul, Rsqrt, Sqrt, Sub, Sum
from irc.ir.ops.norm import GroupNorm, LayerNorm, RmsNorm
from irc.ir.ops.quant import constant_of
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Expand, Permute, Reshape
from irc.ir.rewrite import Match, Miss, Rule, any_, op_
from irc.ir.scalars import Array
from irc.passes.matchers import scalar_constant


@dataclass(frozen=True)
class _Squares:
    """factor * sum(x^2) + eps over some axes, which stay as dimensions of size 1."""

    x: Value
    axes: tuple[int, ...]
    factor: float
    eps: float


def _squares(value: Value) -> _Squares | None:
    """The mean or sum of squares that a value is, perhaps with a factor and an epsilon."""
    match value.node:
        case Expand(x=x) if x.type.rank == value.type.rank:
            return _squares(x)
        case Add(x=x, y=y) if (eps := scalar_constant(y)) is not None and eps >= 0:
            inner = _squares(x)
            return replace(inner, eps=inner.eps + eps) if inner else None
        case Mul(x=x, y=y) if (factor := scalar_constant(y)) is not None and factor > 0:
            inner = _squares(x)
            return replace(inner, factor=inner.factor * factor, eps=inner.eps * factor) if inner else None
        case (Mean() | Sum()) as reduction if reduction.keepdims and isinstance(reduction.x.node, Mul):
            square, axes = reduction.x.node, reduction.reduced()
            count = product(tuple(reduction.x.type.shape[a] for a in axes))
            if not isinstance(count, int) or not count or not _same(square.x, square.y):
                return None
            return _Squares(square.x, axes, 1 / count if isinstance(reduction, Mean) else 1.0, 0.0)
        case _:
            return None


def _root(value: Value) -> _Squares | None:
    """What stands under the root in sqrt(v) or max(sqrt(v), eps)."""
    match value.node:
        case Expand(x=x) if x.type.rank == value.type.rank:
            return _root(x)
        case Sqrt(x=x):
            return _squares(x)
        case Clamp(x=x, lo=lo, hi=hi) if math.isinf(hi) and 0 < lo <= 1e-4:
            inner = _root(x)
            return replace(inner, eps=inner.eps + lo * lo) if inner else None
        case _:
            return None


def _inverse_root(value: Value) -> _Squares | None:
    """What stands under the root in rsqrt(v) or 1 / sqrt(v)."""
    match value.node:
        case Expand(x=x) if x.type.rank == value.type.rank:
            return _inverse_root(x)
        case Rsqrt(x=x):
            return _squares(x)
        case Div(x=x, y=y) if scalar_constant(x) == 1:
            return _root(y)
        case _:
            return None


def _same(x: Value, y: Value) -> bool:
    """Whether two values are computed alike: one value, or both centred in the same way."""
    if x is y:
        return True
    a, b = _centred(x), _centred(y)
    return a is not None and b is not None and a[0] is b[0] and a[1] == b[1]


def _centred(value: Value) -> tuple[Value, tuple[int, ...]] | None:
    """x and the axes, if a value is x - mean(x)."""
    match value.node:
        case Sub(x=x, y=y):
            mean = y.node.x.node if isinstance(y.node, Expand) and y.type.rank == x.type.rank else y.node
            if isinstance(mean, Mean) and mean.keepdims and mean.x is x:
                return x, mean.reduced()
        case _:
            pass
    return None


class WrittenNorm(Rule):
    """x / sqrt(mean(x^2) + eps) -> rms_norm, (x - mean(x)) / sqrt(var(x) + eps) -> layer_norm, x / max(|x|, eps) too

    The last one for rows whose norm is far above eps.
    """

    pattern = op_((Div, Mul), any_("x"), any_("y"))

    def guard(self, m: Match) -> Miss | None:
        return None if self._found(m) else Miss("it is no value times the inverse root of its mean square")

    def _found(self, m: Match) -> tuple[Value, _Squares] | None:
        if isinstance(m.root, Div):
            found = _root(m.root.y)
            return (m.root.x, found) if found and _same(m.root.x, found.x) else None
        x, y = m.root.operands
        for value, other in ((x, y), (y, x)):
            found = _inverse_root(other)
            if found and _same(value, found.x):
                return value, found
        return None

    def build(self, m: Match, b: Builder) -> Value:
        found = self._found(m)
        assert found is not None
        value, squares = found
        count = math.prod(d for a in squares.axes if isinstance(d := squares.x.type.shape[a], int))
        spread = squares.factor * count  # 1 for a mean
        centred = _centred(value)
        if centred is not None and centred[1] == squares.axes:
            value = centred[0]
        rows = _Rows(value.type.shape, squares.axes)
        norm = LayerNorm if value is not found[0] else RmsNorm
        out = rows.put_back(b(norm(rows.taken(value, b), eps=squares.eps / spread)), b)
        return out if spread == 1 else b(Mul(out, b.const(1 / math.sqrt(spread), out.type.scalar)))


@dataclass(frozen=True)
class _Rows:
    """How a tensor whose `axes` belong together becomes rows along the last axis, and back."""

    shape: Shape
    axes: tuple[int, ...]

    @property
    def order(self) -> tuple[int, ...]:
        return (*(i for i in range(len(self.shape)) if i not in self.axes), *self.axes)

    def taken(self, x: Value, b: Builder) -> Value:
        moved = b(Permute(x, self.order)) if self.order != tuple(range(len(self.shape))) else x
        if len(self.axes) == 1:
            return moved
        outer = len(self.shape) - len(self.axes)
        return b(Reshape(moved, (*moved.type.shape[:outer], product(moved.type.shape[outer:]))))

    def put_back(self, rows: Value, b: Builder) -> Value:
        spread = b(Reshape(rows, tuple(self.shape[i] for i in self.order))) if len(self.axes) > 1 else rows
        back = tuple(self.order.index(i) for i in range(len(self.shape)))
        return b(Permute(spread, back)) if back != tuple(range(len(back))) else spread


class _IntoNorm(Rule):
    """Base of rules that put constants behind a norm, maybe behind a permutation, into its parameters."""

    def vector(self, m: Match) -> Array | None:
        """The constant as one number an element of a row; None if it varies along other axes."""
        norm, moved = m.node("norm"), m.nodes.get("moved")
        behind = "norm" if moved is None else "moved"
        array = constant_of(m["c"])
        rank = m.root.results[0].type.rank
        if array is None or array.ndim > rank or not same_shape(m.root.results[0].type.shape, m[behind].type.shape):
            return None
        axis = moved.order.index(rank - 1) if isinstance(moved, Permute) else rank - 1
        shape = (1,) * (rank - array.ndim) + array.shape
        length = norm.x.type.shape[-1]
        if not isinstance(length, int) or any(n != 1 for i, n in enumerate(shape) if i != axis):
            return None
        return np.broadcast_to(array.astype(np.float64).reshape(-1), (length,))

    def guard(self, m: Match) -> Miss | None:
        norm = m.node("norm")
        if len(norm.result.uses) != 1:
            return Miss(f"the result of {norm.opname} has {len(norm.result.uses)} readers, expected 1")
        if getattr(norm, "axes", 1) != 1:
            return Miss("its rows are several axes")
        if any(v is not None and constant_of(v) is None for v in (norm.g, getattr(norm, "b", None))):
            return Miss("its parameters are not constant")
        if self.vector(m) is None:
            return Miss(f"the constant {m['c'].type} is not one number an element of a row")
        return None

    def changes(self, norm: LayerNorm | RmsNorm, vector: Array) -> dict[str, Array]:
        """The new parameters."""
        raise NotImplementedError

    def build(self, m: Match, b: Builder) -> Value:
        vector, norm = self.vector(m), m.node("norm")
        assert vector is not None
        scalar = norm.result.type.scalar
        parameters = {name: b.const(array, scalar) for name, array in self.changes(norm, vector).items()}
        new = b(rebuilt(norm, **parameters))
        moved = m.nodes.get("moved")
        return b(rebuilt(moved, x=new)) if isinstance(moved, Permute) else new


class _NormScale(_IntoNorm):
    def changes(self, norm: LayerNorm | RmsNorm, vector: Array) -> dict[str, Array]:
        changed = {"g": vector * (1 if norm.g is None else constant_of(norm.g))}
        if isinstance(norm, LayerNorm) and norm.b is not None:
            changed["b"] = vector * constant_of(norm.b)
        return changed


class _NormOffset(_IntoNorm):
    def changes(self, norm: LayerNorm | RmsNorm, vector: Array) -> dict[str, Array]:
        assert isinstance(norm, LayerNorm)
        return {"b": vector + (0 if norm.b is None else constant_of(norm.b))}


class NormScale(_NormScale):
    """mul(layer_norm or rms_norm, c) -> the norm with c in its scale and offset, for one factor an element of a row"""

    pattern = op_(Mul, op_((LayerNorm, RmsNorm), name="norm"), op_(Const, name="c"))


class NormOffset(_NormOffset):
    """add(layer_norm, c) -> layer_norm with c in its offset, for one offset an element of a row"""

    pattern = op_(Add, op_(LayerNorm, name="norm"), op_(Const, name="c"))


class PermutedNormScale(_NormScale):
    """mul(permute(layer_norm or rms_norm), c) -> permute of the norm with c in its scale and offset"""

    pattern = op_(
        Mul, op_(Permute, op_((LayerNorm, RmsNorm), name="norm"), name="moved", once=True), op_(Const, name="c")
    )


class PermutedNormOffset(_NormOffset):
    """add(permute(layer_norm), c) -> permute of the layer_norm with c in its offset"""

    pattern = op_(Add, op_(Permute, op_(LayerNorm, name="norm"), name="moved", once=True), op_(Const, name="c"))


class SplitGroupNorm(Rule):
    """group_norm -> reshape, layer_norm of each group, reshape, mul, add"""

    pattern = op_(GroupNorm, any_("x"), name="norm")

    def build(self, m: Match, b: Builder) -> Value:
        norm, x = m.node("norm"), m["x"]
        batch, channels, *spatial = x.type.shape
        length = floordiv(product((channels, *spatial)), norm.groups)
        rows = b(LayerNorm(b(Reshape(x, (batch, norm.groups, length))), eps=norm.eps))
        out = b(Reshape(rows, x.type.shape))
        column = (channels, *[1] * len(spatial))
        if norm.g is not None:
            out = b(Mul(out, b(Reshape(norm.g, column))))
        return out if norm.b is None else b(Add(out, b(Reshape(norm.b, column))))


RULES: tuple[Rule, ...] = (WrittenNorm(), NormScale(), NormOffset(), PermutedNormScale(), PermutedNormOffset())
