"""Symbolic sizes of a captured program as dimensions of the IR."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

import torch

from irc.frontend.building import UNBOUNDED
from irc.frontend.scalars import scalar_type
from irc.frontend.untyped import expression_of, ranges_of
from irc.ir.diagnostics import IrcError
from irc.ir.dims import Dim, Symbol, add, dim_max, dim_min, floordiv, mod, mul, symbol
from irc.ir.types import TensorType, tensor


class Symbols:
    """The symbols of one program: torch's names (`s77`) and ours (`b`), with ranges."""

    def __init__(self, names: Mapping[str, str], ranges: Mapping[str, tuple[int, int]]) -> None:
        self.names = dict(names)
        self.declared = [Symbol(ours, *ranges[theirs]) for theirs, ours in names.items()]

    def dim(self, size: Any) -> Dim:
        """A size (int, SymInt or sympy expression) as a dimension. Raises IrcError for what has no equivalent."""
        if isinstance(size, int):
            return size
        return self._convert(expression_of(size) if isinstance(size, torch.SymInt) else size)

    def type_of(self, fake: torch.Tensor) -> TensorType:
        """The type of a tensor, real or fake. Raises IrcError if the IR has no such type."""
        return tensor(scalar_type(fake.dtype), tuple(self.dim(d) for d in fake.shape))

    def _convert(self, e: Any) -> Dim:
        if e.is_Integer:
            return int(e)
        if e.is_Symbol:
            if e.name not in self.names:
                raise IrcError(
                    f"size {e.name} depends on the data of the input",
                    hint="shapes must follow from the shapes of the inputs: replace nonzero, unique, boolean indexing "
                    "and .item() by masks of a fixed shape",
                )
            return symbol(self.names[e.name])
        if e.is_Pow and e.exp.is_Integer and e.exp > 0:
            return self._fold(mul, [e.base] * int(e.exp))
        fold = _FOLDS.get(type(e).__name__)
        if fold is None or not e.args:
            raise IrcError(f"size {e} cannot be expressed (+, -, *, //, mod, min and max can)")
        return self._fold(fold, e.args)

    def _fold(self, function: Callable[[Dim, Dim], Dim], args: Iterable[Any]) -> Dim:
        return reduce(function, [self._convert(a) for a in args])


def _ceildiv(a: Dim, b: Dim) -> Dim:
    return floordiv(add(a, add(b, -1)), b)


_FOLDS: dict[str, Callable[[Dim, Dim], Dim]] = {
    "Add": add,
    "Mul": mul,
    "FloorDiv": floordiv,
    "CleanDiv": floordiv,
    "CeilDiv": _ceildiv,
    "Mod": mod,
    "PythonMod": mod,
    "Max": dim_max,
    "Min": dim_min,
}


def symbols_of(
    program: torch.export.ExportedProgram, wanted: Mapping[str, Mapping[int, str]], inputs: Mapping[str, Any]
) -> Symbols:
    """The symbols of a program, named as `wanted` (input -> axis -> name) says, else `b` for axis 0, then `n`, `m`, ...

    `inputs` are the fake tensors of the user inputs by name. Raises IrcError if an axis that should vary does not.
    """
    names: dict[str, str] = {}
    least: dict[str, int] = {}
    for name, fake in inputs.items():
        for axis, size in enumerate(fake.shape if isinstance(fake, torch.Tensor) else ()):
            chosen = wanted.get(name, {}).get(axis)
            expression = expression_of(size) if isinstance(size, torch.SymInt) else None
            if expression is not None and expression.is_Symbol:
                names.setdefault(str(expression), chosen or _fresh(axis, names))
                least[str(expression)] = max(least.get(str(expression), 0), int(axis == 0))
            elif chosen and expression is None:
                raise IrcError(
                    f"input '{name}': axis {axis} should vary as '{chosen}', but the model only works for size {size}",
                    hint="look for shapes written as numbers, or capture with a fixed size",
                )
    ranges = ranges_of(program)
    return Symbols(names, {s: _bounds(*ranges[s], least[s]) if s in ranges else (1, UNBOUNDED) for s in names})


def _bounds(lower: Any, upper: Any, least: int) -> tuple[int, int]:
    """A torch value range as integers. A batch is at least 1; so is a size without bounds, whose 0 nobody asked for."""
    if not upper.is_Integer:
        return max(int(lower), 1) if lower.is_Integer else 1, UNBOUNDED
    return max(int(lower) if lower.is_Integer else 1, least), int(upper)


def _fresh(axis: int, names: Mapping[str, str]) -> str:
    taken = set(names.values())
    candidates = ["b", "n", "m", "k"] if axis == 0 else ["n", "m", "k"]
    free = [c for c in candidates if c not in taken]
    return free[0] if free else f"s{len(names)}"
