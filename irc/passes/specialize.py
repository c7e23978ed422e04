"""`specialize`: symbolic dimensions of `main` become numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from irc.ir.clone import with_dims
from irc.ir.diagnostics import UsageError, did_you_mean
from irc.ir.dims import Dim, Expr, Symbol
from irc.ir.graph import Graph, Module, Value
from irc.passes.base import Pass, PassContext


@dataclass(frozen=True)
class Specialize(Pass):
    """Fix symbolic dimensions of the inputs: `batch` the leading one, `dims` any, as `dims=n:64,m:8`.

    A model without a symbolic leading dimension is left alone by `batch`.
    """

    name = "specialize"
    batch: int | None = None
    dims: tuple[str, ...] = ()

    def run(self, module: Module, cx: PassContext) -> None:
        graph = module.main
        values = dict(_read(item, graph.symbols) for item in self.dims)
        if self.batch is not None:
            values |= dict.fromkeys((symbol.name for symbol in leading_symbols(graph)), self.batch)
        for name, size in values.items():
            symbol = graph.symbols[name]
            if not symbol.lo <= size <= symbol.hi:
                nearest = min(max(size, symbol.lo), symbol.hi)
                hint = f"specialize{{dims={name}:{nearest}}} makes it a number that it can be"
                raise UsageError(f"{self.name}: {symbol}, so it cannot be {size}", hint=hint)
            del graph.symbols[name]
        if values:
            _substitute(graph, dict(values))
            graph.touch()


def leading_symbols(graph: Graph) -> list[Symbol]:
    """The symbols that are leading dimensions of inputs, by name: the batch, if there is a symbolic one."""
    leading = {str(v.type.shape[0]) for v in graph.inputs if v.type.rank and isinstance(v.type.shape[0], Expr)}
    return [graph.symbols[name] for name in sorted(leading & set(graph.symbols))]


def fixing(value: Value) -> str:
    """The pass that makes numbers of the dimensions of a value, each as large as it may be; empty if none can."""
    declared = value.graph.function.symbols if value.graph is not None else {}
    known = [declared[name] for name in sorted(value.type.symbols() & declared.keys())]
    sizes = [f"{symbol.name}:{symbol.hi}" for symbol in known if not symbol.counted]
    return f"specialize{{dims={','.join(sizes)}}}" if sizes else ""


def _read(item: str, symbols: Mapping[str, Symbol]) -> tuple[str, int]:
    """`n:64` as a symbol and its number."""
    name, _, size = item.partition(":")
    if not size.isdecimal():
        raise UsageError(f"specialize: '{item}' is not symbol:number", hint="for example specialize{dims=n:64}")
    if name not in symbols:
        raise UsageError(
            f"specialize: the inputs have no symbolic dimension '{name}'", hint=did_you_mean(name, symbols)
        )
    return name, int(size)


def _substitute(graph: Graph, values: dict[str, Dim]) -> None:
    for value in graph.inputs:
        value.type = value.type.substitute(values)
    for node in graph.nodes:
        node.attributes = {key: with_dims(attr, values) for key, attr in node.attributes.items()}
        for value in node.results:
            value.type = value.type.substitute(values)
        for region in node.regions:
            _substitute(region, values)
