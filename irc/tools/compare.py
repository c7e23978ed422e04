"""`irc compare`: any two things that compute a model, output by output and layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from irc.backends.comparison import Bounds, Comparison, compared
from irc.backends.data import Dataset, Source, made_up, read_data
from irc.driver import MADE_UP, Settings, one_blas_thread
from irc.feedback import Feedback
from irc.tools.opening import Opened, open_side

LAYERWISE = 8  # samples of which all values are kept, where nobody says how many
RANDOM = "no samples are given, so the sides are compared on random data (use --data)"


def compare_sides(
    a: Any,
    b: Any,
    data: Source | None,
    settings: Settings,
    feedback: Feedback,
    *,
    layerwise: bool = False,
    limit: int | None = None,
    threads: int = 1,
    bounds: Bounds | None = None,
) -> Comparison:
    """Compare two sides; arguments as of `compare`. Does not raise where they differ."""
    first, second = open_side(a, settings, threads), open_side(b, settings, threads)
    samples = samples_for(first, second, data, settings, feedback).head(limit)
    layers = samples.head(limit or LAYERWISE) if layerwise else None
    with one_blas_thread():
        return compared(first.side, second.side, samples, feedback.progress, layers=layers, bounds=bounds)


def samples_for(a: Opened, b: Opened, data: Source | None, settings: Settings, feedback: Feedback) -> Dataset:
    """Data that was given, else what came with a side, else random numbers, with a warning."""
    graph = a.side.graph
    if data is not None:
        return read_data(data, graph, "--data")
    for opened in (a, b):
        if opened.samples is not None and opened.chosen:
            return opened.samples
    feedback.warn(RANDOM)
    return made_up(graph, MADE_UP, settings.seed)


def compare(
    a: Any,
    b: Any,
    data: Source | None = None,
    *,
    layerwise: bool = False,
    bounds: Mapping[str, float] | None = None,
    limit: int | None = None,
    feedback: Feedback | None = None,
    **settings: Any,
) -> Comparison:
    """How far `b` is from `a`: `irc.compare("model.pt2", "model.cpu", "test.npz", layerwise=True)`.

    Each may be a PyTorch module, a path, an artifact, a module of the IR, or a text such as `model.cpu@interpreter`.
    `bounds` are demands by metric, `{"sqnr": 20}`; by default those of the kind of arithmetic. Look at `agrees` and
    `first`, or let `require()` raise. Settings that say how to read models are those of `Settings`.
    """
    wanted = Settings(**settings)
    return compare_sides(a, b, data, wanted, feedback or Feedback(), layerwise=layerwise, limit=limit, bounds=bounds)
