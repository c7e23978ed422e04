"""`smooth`: let no channel of a norm's result be much larger than the others, where linears read it.

SmoothQuant (Xiao et al., 2022): what a channel is divided by, its column of the weights is multiplied with. The divisor
goes into the scale and offset of the norm, so it costs nothing; where others read the norm too, such as a residual
addition, the linears get a norm of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from irc.ir.builder import Builder
from irc.ir.clone import rebuilt
from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import interpret
from irc.ir.ops.linear import Linear
from irc.ir.ops.norm import LayerNorm, RmsNorm
from irc.ir.ops.quant import constant_of
from irc.ir.ops.structure import Const
from irc.ir.scalars import F32, Array
from irc.passes.base import Pass, PassContext
from irc.passes.sampling import batches, sample_count

Norm: TypeAlias = "LayerNorm | RmsNorm"
WORTH = 0.95  # of the error as it is: what is hardly better is left alone
STRENGTHS = np.linspace(0, 1, 9)  # how much of a channel's size moves into the weights: none .. all


@dataclass
class _Channels:
    """What the channels of a norm's result were seen to hold."""

    largest: Array | None = None  # absolute value [C]
    squares: list[Array] = field(default_factory=list[Array])  # mean of each batch [C]

    def note(self, array: Array) -> None:
        rows = np.abs(array.reshape(-1, array.shape[-1]).astype(np.float64))
        top = rows.max(axis=0)
        self.largest = top if self.largest is None else np.maximum(self.largest, top)
        self.squares.append(np.mean(rows**2, axis=0))


@dataclass(frozen=True)
class Smooth(Pass):
    """Move the size of outlier channels from the results of norms into the weights of the linears behind them.

    `weights` and `inputs` are the bits both will get: the strength is chosen, norm by norm, for the least error they
    will cause together.
    """

    name = "smooth"
    effect = "exact"
    weights: int = 8
    inputs: int = 8
    samples: int = 256  # at most so many are used

    def run(self, module: Module, cx: PassContext) -> None:
        for option in ("weights", "inputs"):
            if not 2 <= getattr(self, option) <= 8:
                raise UsageError(f"smooth: {option}={getattr(self, option)} is outside 2 .. 8 bits")
        groups = list(_groups(module.main))
        if not groups or cx.types_only:
            return
        if cx.samples is None or sample_count(cx.samples) == 0:
            raise IrcError("smooth needs samples", hint="--calib=data.npz")
        seen = {norm.result: _Channels() for norm, _ in groups}
        self._watch(module, cx, seen)
        for norm, linears in groups:
            divisors = self._divisors(seen[norm.result], linears)
            if divisors is not None:
                _move(norm, linears, divisors)

    def _watch(self, module: Module, cx: PassContext, seen: dict[Value, _Channels]) -> None:
        assert cx.samples is not None
        runs = list(batches(module.main, {name: array[: self.samples] for name, array in cx.samples.items()}))

        def observe(value: Value, array: Array) -> None:
            if value in seen:
                seen[value].note(array)

        with cx.progress("smooth", len(runs)) as tick:
            for inputs in runs:
                interpret(module, inputs, observe=observe)
                tick()

    def _divisors(self, seen: _Channels, linears: list[Linear]) -> Array | None:
        """What to divide each channel by; None if nothing is better than leaving it as it is."""
        assert seen.largest is not None
        w = np.concatenate([_weights(op).astype(np.float64) for op in linears])
        squares = np.mean(seen.squares, axis=0)
        inputs, columns = _positive(seen.largest), _positive(np.abs(w).max(axis=0))
        if not (np.isfinite(inputs).all() and np.isfinite(columns).all()):
            return None
        candidates: list[Array] = [inputs**a / columns ** (1 - a) for a in STRENGTHS]
        errors = [self._error(seen.largest / s, squares / s**2, w * s) for s in candidates]
        best = min(range(len(errors)), key=errors.__getitem__)
        if not errors[best] < WORTH * self._error(seen.largest, squares, w):
            return None
        # In the middle 1, so that scales and offsets keep their size.
        return candidates[best] / np.exp(np.mean(np.log(candidates[best])))

    def _error(self, largest: Array, squares: Array, w: Array) -> float:
        """The mean square of a linear's error, if both factors are rounded independently over their ranges."""
        step = largest.max() / (2 ** (self.inputs - 1) - 1)
        steps = np.abs(w).max(axis=1) / (2 ** (self.weights - 1) - 1)
        return float(step**2 * np.sum(w**2) + np.sum(steps**2) * np.sum(squares)) / 12


def _groups(graph: Graph) -> Iterator[tuple[Norm, list[Linear]]]:
    """Norms over the last axis with constant parameters, and the linears with constant weights that read each."""
    for node in graph.nodes:
        if not isinstance(node, LayerNorm | RmsNorm) or node.result.type.scalar != F32:
            continue
        if (isinstance(node, LayerNorm) and node.axes != 1) or any(not _known(v) for v in node.operands[1:]):
            continue
        linears = [u for u in node.result.users if isinstance(u, Linear) and u.x is node.result and _known(u.w)]
        if linears:
            yield node, linears


def _known(value: Value) -> bool:
    return isinstance(value.node, Const) and value.node.value.loaded


def _weights(op: Linear) -> Array:
    w = constant_of(op.w)
    assert w is not None
    return w


def _positive(sizes: Array) -> Array:
    """Channels that are (nearly) always 0 say little: they count as small ones."""
    return np.maximum(sizes, max(float(sizes.max(initial=0)) * 1e-4, 1e-30))


def _move(norm: Norm, linears: list[Linear], divisors: Array) -> None:
    """Divide the channels of the norm, multiply the columns of the weights."""
    b = Builder.before_node(norm, norm.loc.via(Smooth.name))
    smooth = b(rebuilt(norm, **_divided(b, norm, divisors)), norm.result.name)
    for op in linears:
        const = op.w.node
        assert isinstance(const, Const)  # its mask stays: what is 0 stays 0
        wb = Builder.before_node(op, const.loc.via(Smooth.name))
        scaled = const.value.array.astype(np.float64) * divisors
        op.w = wb(Const(Data.of(scaled, const.value.scalar), const.to, const.mask), const.result.name)
        op.x = smooth
    if not norm.result.uses:
        norm.erase()


def _divided(b: Builder, norm: Norm, divisors: Array) -> dict[str, Value]:
    g = constant_of(norm.g) if norm.g is not None else None
    gain = (1.0 if g is None else g.astype(np.float64)) / divisors
    changed = {"g": b.const(gain, F32, name="" if norm.g is None else norm.g.name)}
    if isinstance(norm, LayerNorm) and norm.b is not None:
        offset = constant_of(norm.b)
        assert offset is not None
        changed["b"] = b.const(offset.astype(np.float64) / divisors, F32, name=norm.b.name)
    return changed
