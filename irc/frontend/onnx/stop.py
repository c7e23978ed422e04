"""`--stop-at` for ONNX: the part of a graph before a module, which names of operators and metadata tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from irc.frontend.cut import Step, cut
from irc.frontend.onnx.names import Scopes, location
from irc.frontend.onnx.proto import OnnxGraph, OnnxModel, OnnxNode, Port


def model_before(model: OnnxModel, stop_at: str) -> OnnxModel:
    """The part before a module, or before the operator of that name. Raises UsageError as `cut`."""
    graph = model.graph
    found = cut(steps_of(graph), stop_at, given_to(graph))
    nodes = tuple(graph.nodes[number] for number in found.kept)
    outputs = tuple(Port(name, "tensor") for name in found.results)
    return replace(model, graph=replace(graph, nodes=nodes, outputs=outputs))


def steps_of(graph: OnnxGraph) -> list[Step[str]]:
    """What a graph does, in order."""
    scopes = Scopes(graph)
    return [
        Step((location(n, scopes).path, n.name), tuple(_reads(n)), tuple(filter(None, n.outputs))) for n in graph.nodes
    ]


def given_to(graph: OnnxGraph) -> set[str]:
    """The inputs that are no default values."""
    return {port.name for port in graph.inputs} - set(graph.tensors)


def _reads(node: OnnxNode) -> Iterable[str]:
    """The values that an operator reads, its branches too."""
    yield from filter(None, node.inputs)
    for value in node.attributes.values():
        if isinstance(value, OnnxGraph):
            for inner in value.nodes:
                yield from _reads(inner)
            yield from (port.name for port in value.outputs)
