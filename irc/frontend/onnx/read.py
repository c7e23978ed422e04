"""From an ONNX file, or a model of the package `onnx`, to the IR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from irc.frontend.nested import is_list, is_mapping
from irc.frontend.onnx.importer import import_model
from irc.frontend.onnx.inputs import Inputs
from irc.frontend.onnx.names import Scopes, location
from irc.frontend.onnx.proto import OnnxModel, is_model, model_of, parse
from irc.frontend.onnx.stop import model_before
from irc.frontend.onnx.tensors import Tensors
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Module
from irc.ir.location import Loc
from irc.ir.scalars import Array

LARGEST = 2**31  # bytes of a file: Protocol Buffers end there


@dataclass(frozen=True)
class Place:
    """A value of a file: its name, what computes it, where that comes from."""

    name: str
    op: str
    loc: Loc


@dataclass(frozen=True)
class Imported:
    """A model as IR, and the arrays that the caller gave as example inputs, by name."""

    name: str
    module: Module
    samples: dict[str, Array]
    places: tuple[Place, ...]  # of what its operators compute from the inputs


def read(model: object, inputs: Any = None, *, dynamic: Any = None, stop_at: str = "") -> Imported:
    """Import a model: the path of a file, or an `onnx.ModelProto`.

    `inputs` fix the types of inputs: a dict by name (or one, or a tuple of them, in order) of types
    `"f32[1, 3, 8, 8]"`, shapes or arrays. `dynamic` names axes that vary: `{"x": {0: "b"}}`, with a range
    `{"x": {0: ("b", 1, 64)}}`, or `"b"` or `("b", 1, 64)` for the first axis of every input that has the size of the
    first there. Sizes that the file names vary anyway.
    `stop_at` is a module path or the name of an operator: only what comes before is imported.

    Raises UsageError (no such file, an input that the model does not have), UnsafeInputError (weights outside of the
    model's folder), and IrcError that lists everything else that stands in the way.
    """
    if isinstance(model, str | Path):
        path = Path(model)
        return _imported(path.stem, path.name, _parsed(path), Tensors(path.parent), inputs, dynamic, stop_at)
    if not is_model(model):
        raise UsageError(f"{type(model).__name__} is no ONNX model", hint="give a path or an onnx.ModelProto")
    name = str(getattr(getattr(model, "graph", None), "name", "")) or "model"
    return _imported(name, "the model", model_of(model), Tensors(), inputs, dynamic, stop_at)


def _imported(
    name: str, place: str, model: OnnxModel, tensors: Tensors, inputs: Any, dynamic: Any, stop_at: str
) -> Imported:
    model = model_before(model, stop_at) if stop_at else model
    names = [p.name for p in model.graph.inputs if p.name not in model.graph.tensors]
    wanted = Inputs(_by_name(inputs, names), dynamic)
    try:
        module = import_model(model, tensors, wanted)
    except IrcError as error:
        placed = [d if d.place or d.loc or d.span else replace(d, place=place) for d in error.diagnostics]
        raise error.saying(placed) from error
    return Imported(name, module, wanted.samples, tuple(_places(model, names)))


def _places(model: OnnxModel, inputs: Sequence[str]) -> Iterator[Place]:
    known, scopes = set(inputs), Scopes(model.graph)
    for node in model.graph.nodes:
        if known.intersection(node.inputs):
            known.update(name for name in node.outputs if name)
            yield from (Place(name, node.op, location(node, scopes)) for name in node.outputs if name)


def _by_name(inputs: Any, names: list[str]) -> Mapping[str, Any]:
    """What the caller says of each input."""
    if inputs is None:
        return {}
    if is_mapping(inputs):
        return inputs
    several = is_list(inputs) and not all(type(d) is int for d in inputs)
    given = list(inputs) if several else [inputs]
    if len(given) > len(names):
        raise UsageError(f"the model has {len(names)} inputs, {len(given)} given", hint=f"inputs: {', '.join(names)}")
    return dict(zip(names, given, strict=False))


def _parsed(path: Path) -> OnnxModel:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UsageError(f"'{path}' is no regular file")
        if size > LARGEST:
            raise IrcError(f"the file has {size} bytes; ONNX keeps weights beyond 2 GB in files of their own")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file '{path}'") from error
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}") from error
    try:
        return parse(content)
    except IrcError as error:
        what = "the file is empty" if not content else error.diagnostics[0].message
        hint = "save it again: onnx.save(model, path)"
        raise IrcError(replace(error.diagnostics[0], message=what, place=path.name, hint=hint)) from error
