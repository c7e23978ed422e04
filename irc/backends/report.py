"""What a compiled model is made of, layer by layer, as plain data. `page.py` shows it.

Everything is keyed by PyTorch module path. A report holds no seconds, dates or paths: equal inputs give equal bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from irc.ir.clone import clone
from irc.ir.graph import Graph, Module, Node
from irc.ir.masks import mask_name
from irc.ir.op import Op
from irc.ir.ops.structure import Const, Kernel
from irc.passes.analysis.masked import kept_count, kept_weights
from irc.passes.base import PassContext
from irc.passes.inline import Inline
from irc.passes.specialize import Specialize, leading_symbols

SCHEMA = 1
Row = dict[str, Any]


@dataclass
class Layer:
    """What one layer costs for one run: its ops by number, multiply-accumulates, other steps, and its constants.

    Products with weights that a mask makes 0 do not count, whether or not a backend can leave them out.
    """

    path: str
    cls: str = ""
    ops: dict[str, int] = field(default_factory=dict[str, int])
    macs: int = 0
    steps: int = 0
    constants: int = 0  # elements
    bits: int = 0  # of an element of its largest constant
    bytes: int = 0  # of all its constants, densely packed, masked ones as their mask and what it keeps
    masks: list[str] = field(default_factory=list[str])  # of its weights
    output: str = ""  # the type of its last result
    _largest: int = 0

    def add_work(self, node: Op) -> None:
        outer = dict(zip(node.body.inputs, node.inputs, strict=True)) if isinstance(node, Kernel) else {}
        for inner in node.body.nodes if isinstance(node, Kernel) else (node,):
            if isinstance(inner, Op) and not inner.terminator:
                work = inner.work()
                self.ops[inner.opname] = self.ops.get(inner.opname, 0) + 1
                kept, size = kept_weights(inner, outer)
                self.macs += work.macs * kept // size
                self.steps += work.steps
        if node.results:
            self.output = str(node.results[-1].type)

    def add_constant(self, node: Const) -> None:
        size, bits = node.value.size, node.value.scalar.bits
        self.constants += size
        kept = size if node.mask is None else kept_count(node)
        self.bytes += math.ceil(kept * bits / 8)
        if node.mask is not None:
            self.bytes += math.ceil(node.mask.bits.size / 8)
            self.masks.append(f"{mask_name(node.mask)}: {100 * kept / size:.3g} % kept")
        if size > self._largest:
            self._largest, self.bits = size, bits

    def row(self) -> Row:
        """The layer as JSON values."""
        masks = {"mask": ", ".join(dict.fromkeys(self.masks))} if self.masks else {}
        return {
            "layer": self.path,
            "class": self.cls,
            "ops": ", ".join(name if count == 1 else f"{count} {name}" for name, count in self.ops.items()),
            "macs": self.macs,
            "steps": self.steps,
            "constants": self.constants,
            "bits": self.bits,
            "bytes": self.bytes,
            **masks,
            "output": self.output,
        }


def one_sample(module: Module) -> Graph:
    """A copy of `main` with the functions that it calls inside, as often as it does, where a symbolic batch is 1, or as
    small as it may be."""
    single = clone(module)
    fewest = tuple(f"{symbol.name}:{max(1, symbol.lo)}" for symbol in leading_symbols(single.main))
    for step in (Inline(), Specialize(dims=fewest)):
        step.run(single, PassContext())
    return single.main


def sizes_counted(module: Module) -> str:
    """Of what sizes the costs of `main` are, in words: a symbolic batch counts as 1, or as the smallest that it may be,
    other symbols as their largest."""
    batches, left = leading_symbols(module.main), one_sample(module).symbols
    smallest = ", ".join(f"{symbol.name} = {symbol.lo}" for symbol in batches if symbol.lo > 1)
    largest = ", ".join(f"{symbol.name} = {symbol.hi}" for symbol in left.values())
    parts = [f"one {'sample' if batches and not smallest else 'run'}"]
    parts += [f"of the fewest samples, {smallest}"] if smallest else []
    return " ".join([*parts, *([f"at the largest sizes, {largest}"] if largest else [])])


def layers_of(module: Module) -> list[Layer]:
    """The layers of one run of `main`, in the order in which they run; functions count as often as they are called.

    A symbolic batch counts as 1, or as the smallest that it may be, other symbols at their upper bound.
    """
    main = one_sample(module)
    layers: dict[str, Layer] = {}
    for node in main.nodes:
        if isinstance(node, Op) and not node.terminator and not isinstance(node, Const):
            _layer(node, layers).add_work(node)
    for node in main.nodes:
        if isinstance(node, Const):
            _layer(node if node.loc.path or not node.result.users else node.result.users[0], layers).add_constant(node)
    return list(layers.values())


def _layer(node: Node, layers: dict[str, Layer]) -> Layer:
    path = node.loc.path
    if path not in layers:
        layers[path] = Layer(path, node.loc.sources[0].cls if node.loc.sources else "")
    return layers[path]


def build(module: Module, captured: Module, header: Mapping[str, Any], backend: Mapping[str, Any]) -> dict[str, Any]:
    """The report of an artifact: `header`, totals, and one row a layer, joined with the columns of the backend."""
    layers = layers_of(module)
    before = sum(layer.bytes for layer in layers_of(captured))
    after = sum(layer.bytes for layer in layers)
    summary: dict[str, Any] = {
        "multiply-accumulates": sum(layer.macs for layer in layers),
        "other steps": sum(layer.steps for layer in layers),
        "constant bytes": after,
        "constant bytes as captured": before,
    }
    if before and after:
        how, factor = ("smaller", before / after) if before >= after else ("larger", after / before)
        summary[f"{how} by a factor of"] = round(factor, 2)
    rows = [layer.row() for layer in layers]
    known = {row["layer"]: row for row in rows}
    for extra in backend.get("layers", ()):
        row = known.get(extra["layer"])
        if row is None:
            row = known[extra["layer"]] = {"layer": extra["layer"]}
            rows.append(row)
        row.update({key: value for key, value in extra.items() if key != "layer"})
    counted = sizes_counted(module)
    sizes = [] if counted in ("one sample", "one run") else [f"costs are those of {counted}"]
    return {
        "schema": SCHEMA,
        **header,
        "summary": {**summary, **backend.get("summary", {})},
        "layers": rows,
        "notes": [*header.get("notes", ()), *sizes, *backend.get("notes", ())],
    }


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every column that a row has, in order of first appearance."""
    return list(dict.fromkeys(key for row in rows for key in row))


def number_text(value: Any) -> str:
    """Numbers with thin separators, anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else f"{value:g}"
