"""Which outputs of a model are scores of classes: what top-1 can be asked of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from irc.backends.compare import Accuracy, accuracy
from irc.backends.pairing import bodies
from irc.ir.diagnostics import UsageError
from irc.ir.graph import Graph, Value
from irc.ir.op import Op
from irc.ir.ops.math import Topk
from irc.ir.ops.tensor import Gather
from irc.ir.scalars import Array
from irc.passes.sampling import batch_axis, takes_batches

UNSCORED = "no top-1: output0 does not score classes"


def scores_classes(graph: Graph) -> bool:
    """Whether the first output is scores of classes, [samples, classes].

    It is not where it is no matrix of numbers, or holds what was picked in the order of a ranking, as the scores of a
    detector are: there a place says how well something did, and not what it is.
    """
    if not graph.outputs or not takes_batches(graph) or batch_axis(graph, graph.outputs[0]) != 0:
        return False
    first = graph.outputs[0]
    numbers = first.type.scalar.is_float or first.type.encoding is not None
    return numbers and first.type.rank == 2 and first not in _ranked(graph, set(graph.inputs), set())


def _ranked(graph: Graph, varying: set[Value], ranked: set[Value]) -> set[Value]:
    """The values whose elements stand in the order of a ranking: positions of `topk`, what these pick, and what is
    computed of that alone, element by element. Sums of products mix the places, so what they give is none.

    `varying` are the values that depend on inputs, and `ranked` those known to be ranked; both grow.
    """
    for node in graph.nodes:
        moving = [value for value in node.operands if value in varying]
        varying.update(node.results if moving else ())
        body = next(bodies(node), None)
        if body is not None:
            outer = list(zip(node.operands, body.inputs, strict=True))
            varying.update(inner for value, inner in outer if value in varying)
            ranked.update(inner for value, inner in outer if value in ranked)
            _ranked(body, varying, ranked)
            ranked.update(result for result in node.results if body.outputs[result.index] in ranked)
        elif _keeps_ranking(cast(Op, node), moving, ranked):
            ranked.update(node.results)
    return ranked


def _keeps_ranking(op: Op, moving: Sequence[Value], ranked: set[Value]) -> bool:
    if isinstance(op, Topk):
        return op.shape[-1] != 1
    if isinstance(op, Gather) and op.indices in ranked:
        return True
    return bool(moving) and ranked.issuperset(moving) and not op.work().macs


def accuracy_of(graph: Graph, a: Sequence[Array], b: Sequence[Array], labels: Array | None) -> Accuracy | None:
    """Top-1 of the outputs of two models, `graph` being one of them; None without labels or scores of classes.

    Raises UsageError for a label that is none of the classes.
    """
    if labels is None or not scores_classes(graph):
        return None
    require_classes(labels, a[0].shape[1])
    return accuracy(a[0], b[0], labels)


def require_classes(labels: Array, classes: int) -> None:
    """Raise UsageError for a label that is none of so many classes."""
    if strange := [int(label) for label in labels if not 0 <= label < classes]:
        message = f"labels: {strange[0]} is none of the {classes} classes that output0 scores"
        raise UsageError(message, hint=f"classes count from 0 to {classes - 1}; without labels there is no top-1")
