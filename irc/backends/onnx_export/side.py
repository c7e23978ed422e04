"""A file of somebody else's as a side of a comparison: run by onnxruntime, its values by operator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from irc.backends.execute import Call
from irc.backends.onnx_export.proto import watched
from irc.backends.onnx_export.runtime import opened
from irc.backends.sides import Point, Side
from irc.ir.graph import Graph
from irc.ir.interpret import fitted
from irc.ir.location import Loc, Source
from irc.ir.scalars import Array
from irc.ir.types import TensorType
from irc.passes.base import Progress


def on_onnxruntime(imported: Any, model: Any, name: str) -> Side:
    """A file or a model of the package `onnx` as onnxruntime runs it; `imported` is what the frontend made of it.

    Raises ToolError if onnxruntime refuses the model.
    """
    graph: Graph = imported.module.main
    content = Path(model) if isinstance(model, str | Path) else model.SerializeToString()
    session = opened(content)

    known_codes = _codes_by_place(graph)

    def fitted_to_inputs(call: Call) -> Call:
        return [fitted(value, array) for value, array in zip(graph.inputs, call, strict=True)]

    def run(calls: Sequence[Call], progress: Progress) -> Iterator[list[Array]]:
        with progress(f"running {name}", len(calls)) as tick:
            for call in calls:
                yield session(fitted_to_inputs(call))
                tick()

    def trace(call: Call) -> Iterator[tuple[Point, Array]]:
        places = {place.name: place for place in imported.places}
        codes = {name: known for name, place in places.items() if (known := known_codes.get(_last(place.loc)))}
        names, watching = watched(content, list(places), codes)
        for shown, array in zip(names, opened(watching)(fitted_to_inputs(call)), strict=True):
            known = codes.get(shown)
            encoding = known.encoding if known is not None and known.scalar.dtype == array.dtype else None
            yield Point(shown, places[shown].op, places[shown].loc, encoding), array

    return Side(name, graph, run, trace, of_graph=False, bits=False)


def _codes_by_place(graph: Graph) -> dict[Source | None, TensorType]:
    """What the outcome of each operator is made of, where these are codes: onnxruntime shows integers alone."""
    results = [value for node in graph.walk() for value in node.results]
    places = [(_last(value.loc), value.type) for value in results if value.type.encoding is not None]
    return {place: type for place, type in places if place is not None}


def _last(loc: Loc) -> Source | None:
    return loc.sources[-1] if loc.sources else None
