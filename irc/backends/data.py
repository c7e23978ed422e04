"""Sample data: read from files, folders and functions, checked against what the model takes.

A data set is one array per model input, with a leading sample axis, and optional `labels`. The sample axis is the
model's batch axis, the first of every input; models without one have it in front of the axes of each input.

    data.npz           arrays keyed by input name, and `labels`
    data.npy           the array of a model with one input
    folder/            its .npz files, in order of name, joined
    module:function    called without arguments, gives dicts like those of an .npz (one, or an iterable of them)
"""

from __future__ import annotations

import importlib
import math
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, cast

import numpy as np

from irc.ir.diagnostics import Collector, Diagnostic, IrcError, UsageError
from irc.ir.dims import Dim, Expr, evaluate
from irc.ir.graph import Graph, Value
from irc.ir.scalars import Array
from irc.passes.sampling import batch_size, sample_shape

LABELS = "labels"
MOST_MADE_UP = 2**28  # elements
UNREADABLE = (
    *(OSError, ValueError, EOFError, AttributeError, MemoryError, zipfile.BadZipFile, zlib.error),
    *(RuntimeError, TokenError),  # a compression or encryption that zipfile lacks, a header that is no Python
)
"""What NumPy raises for files that are damaged."""
UNBOUND = 8  # stands for a symbol other than the batch in made-up data, where its range allows


@dataclass(frozen=True)
class Dataset:
    """Arrays by input name, each with a leading sample axis, and the class of every sample if known."""

    samples: dict[str, Array]
    labels: Array | None = None

    def __len__(self) -> int:
        return len(next(iter(self.samples.values()), ()))

    def head(self, count: int | None) -> Dataset:
        """The first `count` samples, or all."""
        kept = {name: array[:count] for name, array in self.samples.items()}
        return Dataset(kept, None if self.labels is None else self.labels[:count])


Source = str | Path | Array | Mapping[str, Array] | Sequence[Array] | Callable[[], Any]
"""What may stand for data: the text of `--calib`, a path, arrays (one, by input name, or in order), or a function."""


def read_data(source: Source, graph: Graph, what: str) -> Dataset:
    """The data of a source, checked against the inputs of `graph`; `what` (`--calib`) starts every message.

    Raises UsageError if there is no such file or it does not fit the inputs; every misfit is listed.
    """
    place = f"{what}={source}" if isinstance(source, str | Path) else what
    arrays = _arrays(source, graph, place)
    names = {value.name for value in graph.inputs}
    labels = None if LABELS in names else arrays.pop(LABELS, None)
    data = Dataset({name: arrays[name] for name in sorted(arrays)}, labels)
    check(data, graph, place)
    return Dataset({value.name: data.samples[value.name] for value in graph.inputs}, labels)


def _arrays(source: Source, graph: Graph, place: str) -> dict[str, Array]:
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            files = sorted(path.glob("*.npz"))
            if not files:
                raise UsageError(Diagnostic("the folder has no .npz files", place=place))
            return _joined([_npz(file, place) for file in files], place)
        if path.suffix == ".npy":
            return {_only_input(graph, place): _npy(path, place)}
        if path.suffix == ".npz":
            return _npz(path, place)
        if isinstance(source, str) and not path.exists() and re.fullmatch(r"[\w.]+:\w+", source):
            return _from_function(lambda: _imported(source)(), place)
        problem = "is neither .npz, .npy nor a folder" if path.exists() else "there is no such file"
        raise UsageError(Diagnostic(problem, place=place, hint="data.npz, data.npy, a folder or module:function"))
    if isinstance(source, Mapping):
        return {name: np.asarray(array) for name, array in cast("Mapping[str, Array]", source).items()}
    if callable(source):
        return _from_function(source, place)
    if isinstance(source, np.ndarray) or hasattr(source, "__array__"):
        return {_only_input(graph, place): np.asarray(source)}
    if len(source) != len(graph.inputs):
        names = ", ".join(value.name for value in graph.inputs)
        raise UsageError(
            Diagnostic(f"{len(source)} arrays, the model takes {len(graph.inputs)} ({names})", place=place)
        )
    return {value.name: np.asarray(array) for value, array in zip(graph.inputs, source, strict=True)}


def _only_input(graph: Graph, place: str) -> str:
    if len(graph.inputs) != 1:
        names = ", ".join(value.name for value in graph.inputs)
        hint = "use an .npz keyed by input name"
        raise UsageError(Diagnostic(f"one array for a model with the inputs {names}", place=place, hint=hint))
    return graph.inputs[0].name


def _npz(path: Path, place: str) -> dict[str, Array]:
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise UsageError(Diagnostic("there is no such file", place=place)) from error
    except UNREADABLE as error:
        raise UsageError(Diagnostic(f"{path.name} is not a readable .npz ({error})", place=place)) from error
    for name, array in found.items():
        if not isinstance(array, np.ndarray):  # NumPy gives the bytes of a member that is none
            raise UsageError(Diagnostic(f"'{name}' in {path.name} is no array", place=place))
    return found


def _npy(path: Path, place: str) -> Array:
    try:
        return cast("Array", np.load(path, allow_pickle=False))
    except FileNotFoundError as error:
        raise UsageError(Diagnostic("there is no such file", place=place)) from error
    except UNREADABLE as error:
        raise UsageError(Diagnostic(f"{path.name} is not a readable .npy ({error})", place=place)) from error


def _imported(spec: str) -> Callable[[], Any]:
    """What `module:function` names; modules may lie in the current folder, as with `python -m`."""
    module_name, _, attribute = spec.partition(":")
    sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    finally:
        sys.path.remove("")


def _from_function(function: Callable[[], Any], place: str) -> dict[str, Array]:
    try:
        given = function()
        batches: list[Any] = [given] if isinstance(given, Mapping) else list(given)
    except Exception as error:
        message = f"the function failed: {type(error).__name__}: {error}"
        raise UsageError(Diagnostic(message, place=place)) from error
    if not batches or not all(isinstance(batch, Mapping) for batch in batches):
        raise UsageError(Diagnostic("the function gives no dicts of arrays by input name", place=place))
    parts = cast("list[Mapping[str, Any]]", batches)
    return _joined([{name: np.asarray(array) for name, array in part.items()} for part in parts], place)


def _joined(parts: Sequence[Mapping[str, Array]], place: str) -> dict[str, Array]:
    names = list(parts[0])
    for part in parts:
        if set(part) != set(names):
            message = f"its parts hold different arrays: {', '.join(names)} and {', '.join(part)}"
            raise UsageError(Diagnostic(message, place=place))
    try:
        return {name: np.concatenate([part[name] for part in parts]) for name in names}
    except ValueError as error:
        raise UsageError(Diagnostic(f"its parts cannot be joined: {error}", place=place)) from error


def check(data: Dataset, graph: Graph, place: str) -> None:
    """Raise UsageError with every way in which the data do not fit the inputs of the function."""
    found = Collector()
    names = [value.name for value in graph.inputs]
    for name in data.samples:
        if name not in names:
            found.add(f"there is no input '{name}'", hint=f"the inputs are {', '.join(names)}")
    for value in graph.inputs:
        if value.name not in data.samples:
            found.add(f"the array for input '{value.name}' ({value.type}) is missing")
        else:
            for problem in _misfits(value, data.samples[value.name], graph):
                found.add(problem)
    counts = {name: len(array) for name, array in data.samples.items() if array.ndim}
    if len(set(counts.values())) > 1:
        found.add(f"the arrays hold different numbers of samples: {', '.join(f'{n} {c}' for n, c in counts.items())}")
    if data.labels is not None and counts and data.labels.shape != (count := next(iter(counts.values())),):
        found.add(f"labels have shape {list(data.labels.shape)}, expected [{count}]")
    if data.labels is not None and data.labels.dtype.kind not in "iu":
        found.add(f"labels are {data.labels.dtype}, expected integers", hint="the class of each sample, from 0 on")
    if found.found:
        raise UsageError([Diagnostic(d.message, place=place, hint=d.hint) for d in found.found])


def _misfits(value: Value, array: Array, graph: Graph) -> list[str]:
    wanted = value.type
    shape = sample_shape(graph, value)
    expected = f"expected [{', '.join(map(str, ('samples', *shape)))}] of {wanted.scalar}"
    given = f"input '{value.name}': {array.dtype}{list(array.shape)}"
    kinds = {"bool": "b", "f": "fiub", "bf": "fiub", "i": "iub", "u": "iub"}[wanted.scalar.kind]
    if array.dtype.kind not in kinds or array.ndim != 1 + len(shape):
        return [f"{given}, {expected}"]
    fits = all(_dim_fits(dim, size, graph) for dim, size in zip(shape, array.shape[1:], strict=True))
    if not fits:
        return [f"{given}, {expected}"]
    if len(array) == 0:
        return [f"{given} holds no samples"]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [f"{given} holds NaN or infinite values"]
    return []


def _dim_fits(dim: Dim, size: int, graph: Graph) -> bool:
    if isinstance(dim, Expr):
        symbol = graph.symbols.get(str(dim))
        return symbol is None or symbol.lo <= size <= symbol.hi
    return dim == size


def made_up(graph: Graph, count: int, seed: int) -> Dataset:
    """Random samples where there are no others: normal floats, small integers. Good for sizes and speed only.

    Raises IrcError if the function has no inputs, or one that is too large.
    """
    if not graph.inputs:
        raise IrcError("the model has no inputs")
    generator = np.random.default_rng(seed)
    count = max(1, -(-count // batch_size(graph))) * batch_size(graph)
    sizes = {s.name: min(max(s.lo, UNBOUND), s.hi) for s in graph.symbols.values()}
    out: dict[str, Array] = {}
    for value in graph.inputs:
        shape = (count, *(evaluate(dim, sizes) for dim in sample_shape(graph, value)))
        kind = value.type.scalar
        if math.prod(shape) > MOST_MADE_UP:
            message = f"input '{value.name}' is {value.type}, too large for made-up samples"
            raise IrcError(message, hint="give samples with --calib")
        if kind.is_float:
            out[value.name] = generator.standard_normal(shape).astype(kind.dtype)
        else:
            out[value.name] = generator.integers(0, 2, shape).astype(kind.dtype)
    return Dataset(out)
