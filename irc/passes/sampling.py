"""Running a module over samples in batches its inputs accept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from irc.ir.diagnostics import IrcError
from irc.ir.dims import Expr
from irc.ir.graph import Graph
from irc.ir.scalars import Array

BATCH = 32  # samples run at once where the batch is symbolic


def sample_count(samples: Mapping[str, Array]) -> int:
    """The number of samples. Raises IrcError if the inputs disagree."""
    counts = {name: len(array) for name, array in samples.items()}
    if len(set(counts.values())) != 1:
        raise IrcError(f"inputs have different numbers of samples: {counts}")
    return next(iter(counts.values()))


def batch_size(graph: Graph, most: int = BATCH) -> int:
    """How many samples the function takes at once: its static batch, or up to `most` where the batch is a symbol."""
    sizes: set[int] = set()
    for value in graph.inputs:
        dim = value.type.shape[0] if value.type.rank else 1
        if isinstance(dim, Expr):
            declared = graph.symbols.get(str(dim))
            sizes.add(min(most, declared.hi) if declared else most)
        else:
            sizes.add(dim)
    return min(sizes) if sizes else 1


def batches(graph: Graph, samples: Mapping[str, Array], most: int = BATCH) -> Iterator[dict[str, Array]]:
    """The samples cut into inputs for the function; a last incomplete batch is filled by repeating its last sample."""
    size, count = batch_size(graph, most), sample_count(samples)
    symbolic = all(isinstance(v.type.shape[0], Expr) for v in graph.inputs if v.type.rank)
    for start in range(0, count, size):
        chunk = {v.name: samples[v.name][start : start + size] for v in graph.inputs}
        have = min(size, count - start)
        if have < size and not symbolic:
            chunk = {n: np.concatenate([a, np.repeat(a[-1:], size - have, axis=0)]) for n, a in chunk.items()}
        yield chunk
