"""Small graphs with random operands, run on the machine and on the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
from cpu_running import agree, tight

from irc.ir.builder import Builder
from irc.ir.dims import Symbol, symbol
from irc.ir.graph import Graph, Module, Value
from irc.ir.op import Op
from irc.ir.ops.structure import Return
from irc.ir.scalars import Array, ScalarType, round_to_bf16, scalar
from irc.ir.types import tensor


class Graphs:
    """A graph under construction, and arrays for its inputs. `b` and `n` are symbols of random size."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.dims = {"b": self.number(1, 4), "n": self.number(1, 70)}
        self.graph = Graph(name="main")
        self.builder = Builder.at_end(self.graph)
        self.arrays: list[Array] = []
        self.results: list[Value] = []

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def pick(self, *items: Any) -> Any:
        return items[self.number(0, len(items) - 1)]

    def codes(self, kind: ScalarType, shape: tuple[int, ...], low: int | None = None, high: int | None = None) -> Array:
        """Random codes of a type (or of a range), the extreme ones often; truths; or normal floats."""
        if kind.is_float:
            floats = self.rng.standard_normal(shape).astype(kind.dtype)
            return round_to_bf16(floats) if kind.kind == "bf" else floats
        if kind.kind == "bool":
            return self.rng.random(shape) < 0.6
        low, high = kind.min if low is None else low, kind.max if high is None else high
        codes = self.rng.integers(low, high, shape, np.int64, endpoint=True)
        ends = np.where(self.rng.random(shape) < 0.5, low, high)
        return np.where(self.rng.random(shape) < 0.2, ends, codes).astype(kind.dtype)

    def input(self, kind: ScalarType | str, *shape: int | str, values: Array | None = None) -> Value:
        """An input of random codes, or of `values`; a name in the shape is a symbol."""
        kind = scalar(kind) if isinstance(kind, str) else kind
        numbers = tuple(self.dims[d] if isinstance(d, str) else d for d in shape)
        self.arrays.append(self.codes(kind, numbers) if values is None else values)
        for name in shape:
            if isinstance(name, str):
                self.graph.symbols[name] = Symbol(name, 1, 80)
        dims = tuple(symbol(d) if isinstance(d, str) else d for d in shape)
        return self.graph.add_input(tensor(kind, dims), f"x{len(self.arrays)}")

    def const(self, array: Array | int | list[int], kind: ScalarType | str) -> Value:
        kind = scalar(kind) if isinstance(kind, str) else kind
        return self.builder.const(np.asarray(array, kind.dtype), kind)

    def op(self, op: Op) -> Value:
        return self.builder(op)

    def module(self, *results: Value) -> Module:
        self.builder.add(Return(results))
        return Module([self.graph])

    def agree_later(self, result: Value) -> None:
        """Let the next `agree` check this too."""
        self.results.append(result)

    def agree(self, *results: Value, passes: str = "") -> None:
        """Assert that the machine gives the interpreter's bits; floats within the tolerances of the ops."""
        module = self.module(*self.results, *results)
        agree(module.apply(passes) if passes else module, self.arrays, **tight(module))
