"""Running a module over samples in batches its inputs accept.

Samples are arrays by input name with a leading sample axis. Where the first axis of every input is the batch, that is
the sample axis; other functions (a position of rank 0, a cache with the layers first) take one sample a call, and the
sample axis stands in front of the axes of the input.

Samples are taken as independent where every output has the batch as one of its axes; where one does not, as a mean
over the batch, a call holds as many samples as the function takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from irc.ir.diagnostics import IrcError
from irc.ir.dims import Expr, symbols_of
from irc.ir.graph import Graph, Value
from irc.ir.scalars import Array
from irc.ir.types import Shape

BATCH = 32  # samples run at once where the batch is symbolic


def sample_count(samples: Mapping[str, Array]) -> int:
    """The number of samples. Raises IrcError if the inputs disagree."""
    counts = {name: len(array) for name, array in samples.items()}
    if len(set(counts.values())) != 1:
        raise IrcError(f"inputs have different numbers of samples: {counts}")
    return next(iter(counts.values()))


def takes_batches(graph: Graph) -> bool:
    """Whether the first axis of every input is the batch: they all have one, of one size."""
    sizes = {value.type.shape[0] if value.type.rank else 0 for value in graph.inputs}
    return len(sizes) == 1 and 0 not in sizes


def sample_shape(graph: Graph, value: Value) -> Shape:
    """The shape of one sample of an input, without the sample axis."""
    return value.type.shape[1:] if takes_batches(graph) else value.type.shape


def as_samples(graph: Graph, call: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs of one call as samples."""
    return {name: array if takes_batches(graph) else np.asarray(array)[None] for name, array in call.items()}


def any_batch(graph: Graph) -> bool:
    """Whether the batch is a symbol, so that a call may take any number of samples."""
    return takes_batches(graph) and isinstance(graph.inputs[0].type.shape[0], Expr)


def batch_axis(graph: Graph, value: Value) -> int | None:
    """Which axis of an output is the batch, for a function that takes batches; None if it has none.

    A symbolic batch is the one axis of its size; a static one is the first axis, as other sizes may equal it by chance.
    """
    batch, shape = graph.inputs[0].type.shape[0], value.type.shape
    if not isinstance(batch, Expr):
        return 0 if shape and shape[0] == batch else None
    varying = [axis for axis, size in enumerate(shape) if not symbols_of(size).isdisjoint(symbols_of(batch))]
    return varying[0] if len(varying) == 1 and shape[varying[0]] == batch else None


def batch_axes(graph: Graph) -> list[int | None]:
    """`batch_axis` of every output."""
    return [batch_axis(graph, value) for value in graph.outputs]


def batch_range(graph: Graph) -> tuple[int, int]:
    """The fewest and the most samples that one call of the function takes."""
    if not takes_batches(graph):
        return 1, 1
    size = graph.inputs[0].type.shape[0]
    if not isinstance(size, Expr):
        return size, size
    declared = graph.symbols.get(str(size))
    return (declared.lo, declared.hi) if declared else (1, BATCH)


def batch_size(graph: Graph, most: int = BATCH) -> int:
    """How many samples the function takes at once: its static batch, or up to `most` where the batch is a symbol."""
    fewest, largest = batch_range(graph)
    return max(fewest, min(most, largest))


def batches(graph: Graph, samples: Mapping[str, Array], most: int | None = None) -> Iterator[dict[str, Array]]:
    """The samples cut into inputs for the function, up to `most` where the batch is a symbol.

    A last batch that is smaller than the function takes is filled by repeating its last sample.
    """
    count = sample_count(samples)
    if not takes_batches(graph):
        yield from ({v.name: np.asarray(samples[v.name][i]) for v in graph.inputs} for i in range(count))
        return
    if most is None:
        most = count if None in batch_axes(graph) else BATCH
    fewest, size = batch_range(graph)[0], batch_size(graph, most)
    for start in range(0, count, size):
        chunk = {v.name: samples[v.name][start : start + size] for v in graph.inputs}
        missing = fewest - min(size, count - start)
        if missing > 0:
            chunk = {n: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for n, a in chunk.items()}
        yield chunk
