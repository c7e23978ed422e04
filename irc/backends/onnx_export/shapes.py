"""Dimensions as numbers of the running model: constants, or computed from the shapes of inputs and selections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from irc.backends.onnx_export.writer import Writer
from irc.ir.dims import Atom, Call, Dim, Expr, Shape, add, evaluate, floordiv, mul, solve, sub, symbol, symbols_of
from irc.ir.graph import Graph

PLACE = "@{}.{}"  # the symbol that stands for a dimension of an input


@dataclass
class Dims:
    """What the symbols of a function are in the running model; `born` names the sizes of what has been selected."""

    writer: Writer
    graph: Graph
    solved: dict[str, Dim] = field(init=False)
    born: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        pairs: list[tuple[Dim, Dim]] = [
            (dim, symbol(PLACE.format(i, axis)))
            for i, value in enumerate(self.graph.inputs)
            for axis, dim in enumerate(value.type.shape)
        ]
        self.solved = solve(pairs, frozenset(self.graph.symbols))
        for dim, size in pairs:
            self.solved = {**_multiple(dim, size), **self.solved}

    def unknown(self, shape: Shape) -> list[str]:
        """The symbols of a shape that neither the inputs tell nor a selection has."""
        return sorted({name for dim in shape for name in symbols_of(dim)} - self.solved.keys() - self.born.keys())

    def shape(self, shape: Sequence[Dim]) -> str:
        """The name of an int64 vector that holds the shape."""
        if all(isinstance(d, int) for d in shape):
            return self.writer.const(np.array(shape, np.int64), "int64")
        parts = [self.dim(d) for d in shape]
        return parts[0] if len(parts) == 1 else self.writer.node("Concat", *parts, axis=0)

    def dim(self, dim: Dim) -> str:
        """The name of an int64 vector of one element that holds the dimension."""
        if isinstance(dim, int):
            return self.writer.const(np.array([dim], np.int64), "int64")
        terms = [self._term(mono, factor) for mono, factor in dim.terms]
        total = terms[0]
        for term in terms[1:]:
            total = self.writer.node("Add", total, term)
        return total

    def _term(self, mono: tuple[tuple[Atom, int], ...], factor: int) -> str:
        factors = [self._atom(atom) for atom, power in mono for _ in range(power)]
        if factor != 1 or not factors:
            factors.append(self.dim(factor))
        product = factors[0]
        for other in factors[1:]:
            product = self.writer.node("Mul", product, other)
        return product

    def _atom(self, atom: Atom) -> str:
        if isinstance(atom, Call):
            a, b = (self.dim(arg) for arg in atom.args)
            if atom.fn == "floordiv":
                return self.writer.node("Div", self.writer.node("Sub", a, self.writer.node("Mod", a, b)), b)
            return self.writer.node({"mod": "Mod", "min": "Min", "max": "Max"}[atom.fn], a, b)
        if atom.startswith("@"):
            index, axis = map(int, atom[1:].split("."))
            return self.writer.node("Shape", self.graph.inputs[index].name, start=axis, end=axis + 1)
        return self.born[atom] if atom in self.born else self.dim(self.solved[atom])


def _multiple(dim: Dim, size: Dim) -> dict[str, Dim]:
    """What the one symbol of `factor * symbol + rest` is where that is `size`, which then leaves no remainder."""
    names = symbols_of(dim)
    if len(names) != 1:
        return {}
    (name,) = names
    rest = evaluate(dim, {name: 0})
    factor = evaluate(dim, {name: 1}) - rest
    linear = factor > 0 and dim == add(mul(factor, symbol(name)), rest)
    return {name: floordiv(sub(size, rest), factor)} if linear else {}


def one_unknown(shape: Shape) -> list[int] | None:
    """A shape whose only symbolic dimension is -1, as Reshape reads it; None if that is ambiguous."""
    numbers = [-1 if isinstance(d, Expr) else d for d in shape]
    return numbers if numbers.count(-1) <= 1 and 0 not in numbers else None
