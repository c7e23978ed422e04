"""What an ONNX file says, as plain values: the one module that knows the package `onnx`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias, cast

import onnx
import onnx.defs
from google.protobuf.message import DecodeError, Message

from irc.ir.diagnostics import IrcError

NEWEST = onnx.defs.onnx_opset_version()
VERSION = onnx.__version__


@dataclass(frozen=True, eq=False)
class Tensor:
    """Values of a file, not yet read. `outside` says where in another file they are."""

    name: str
    element: int
    dims: tuple[int, ...]
    raw: bytes
    typed: Sequence[Any] = ()
    outside: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Reference:
    """An attribute of a function's node that is an attribute of the function."""

    name: str


@dataclass(frozen=True)
class Unreadable:
    """An attribute of a kind that no operator of ours takes."""

    kind: str


@dataclass(frozen=True)
class Port:
    """An input or output: its element type and dimensions (a number, a name, or None for neither), if they are said.

    `kind` is what it is: `tensor`, `sequence`, ...
    """

    name: str
    kind: str
    element: int = 0
    dims: tuple[int | str | None, ...] | None = None


@dataclass(frozen=True)
class OnnxNode:
    """One operator."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    metadata: Mapping[str, str]
    overload: str = ""


@dataclass(frozen=True)
class OnnxGraph:
    """A graph, or a branch of an operator."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    tensors: Mapping[str, Tensor]
    nodes: tuple[OnnxNode, ...]


@dataclass(frozen=True)
class OnnxFunction:
    """An operator that is made of others."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]  # those with a default value
    nodes: tuple[OnnxNode, ...]
    opsets: Mapping[str, int]


Attribute: TypeAlias = "int | float | str | Tensor | OnnxGraph | tuple[Any, ...] | Reference | Unreadable"
Key: TypeAlias = tuple[str, str, str]  # domain, name, overload


@dataclass(frozen=True)
class OnnxModel:
    """A whole file."""

    graph: OnnxGraph
    opsets: Mapping[str, int]
    functions: Mapping[Key, OnnxFunction]


def parse(content: bytes) -> OnnxModel:
    """The content of a file. Raises IrcError if it is none."""
    try:
        return model_of(onnx.ModelProto.FromString(content))
    except (DecodeError, UnicodeDecodeError) as error:
        raise IrcError("the file is no readable ONNX model") from error


def model_of(proto: object) -> OnnxModel:
    """A model that is in memory. Raises IrcError if it has no graph."""
    model = cast(onnx.ModelProto, proto)
    if not model.HasField("graph"):
        raise IrcError("the file holds no graph, so it is no ONNX model")
    functions = {(_str(f.domain), _str(f.name), _str(f.overload)): _function(f) for f in model.functions}
    return OnnxModel(_graph(model.graph), _opsets(model.opset_import), functions)


def is_model(value: object) -> bool:
    """Whether a value is a model of the package `onnx`."""
    return isinstance(value, onnx.ModelProto)


def _str(value: object) -> str:
    """A text. Raises IrcError for one that is no UTF-8, which arrives as bytes."""
    if isinstance(value, str):
        return value
    raise IrcError(f"the file is damaged: {value!r:.60} is no text")


def _strs(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(map(_str, values))


def _opsets(entries: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {_domain(_str(e.domain)): e.version for e in entries}


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _graph(graph: onnx.GraphProto) -> OnnxGraph:
    tensors = {_str(t.name): tensor_of(t) for t in graph.initializer}
    if graph.sparse_initializer:
        raise IrcError(f"tensor '{graph.sparse_initializer[0].values.name}' is sparse", hint="store it densely")
    return OnnxGraph(
        tuple(_port(p) for p in graph.input),
        tuple(_port(p) for p in graph.output),
        tensors,
        tuple(_node(n) for n in graph.node),
    )


def _port(info: onnx.ValueInfoProto) -> Port:
    kind = info.type.WhichOneof("value") or "tensor_type"
    if kind != "tensor_type":
        return Port(_str(info.name), kind.removesuffix("_type"))
    t = info.type.tensor_type
    dims = tuple(_dim(d) for d in t.shape.dim) if t.HasField("shape") else None
    return Port(_str(info.name), "tensor", t.elem_type, dims)


def _dim(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    which = dim.WhichOneof("value")
    if which == "dim_value":
        return dim.dim_value
    return _str(dim.dim_param) or None


def _node(node: onnx.NodeProto) -> OnnxNode:
    return OnnxNode(
        _str(node.op_type),
        _domain(_str(node.domain)),
        _str(node.name),
        _strs(node.input),
        _strs(node.output),
        {_str(a.name): _attribute(a) for a in node.attribute},
        {_str(entry.key): _str(entry.value) for entry in node.metadata_props},
        _str(node.overload),
    )


def _attribute(a: onnx.AttributeProto) -> Attribute:
    if a.ref_attr_name:
        return Reference(_str(a.ref_attr_name))
    read = _ATTRIBUTES.get(a.type)
    return read(a) if read is not None else Unreadable(onnx.AttributeProto.AttributeType.Name(a.type).lower())


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


_ATTRIBUTES: dict[int, Callable[[onnx.AttributeProto], Attribute]] = {
    onnx.AttributeProto.INT: lambda a: a.i,
    onnx.AttributeProto.FLOAT: lambda a: a.f,
    onnx.AttributeProto.STRING: lambda a: _text(a.s),
    onnx.AttributeProto.TENSOR: lambda a: tensor_of(a.t),
    onnx.AttributeProto.GRAPH: lambda a: _graph(a.g),
    onnx.AttributeProto.INTS: lambda a: tuple(a.ints),
    onnx.AttributeProto.FLOATS: lambda a: tuple(a.floats),
    onnx.AttributeProto.STRINGS: lambda a: tuple(_text(s) for s in a.strings),
}
_TYPED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def tensor_of(t: onnx.TensorProto) -> Tensor:
    outside: dict[str, str] = {}
    if t.data_location == onnx.TensorProto.EXTERNAL:
        outside = {"location": "", **{_str(entry.key): _str(entry.value) for entry in t.external_data}}
    typed: Sequence[Any] = next((values for name in _TYPED if len(values := getattr(t, name))), ())
    return Tensor(_str(t.name), t.data_type, tuple(t.dims), t.raw_data, typed, outside)


def element_name(element: int) -> str:
    """The name of an element type, `float8e4m3fn`; a number for one that this version does not know."""
    known = {number: name for name, number in onnx.TensorProto.DataType.items()}
    return known.get(element, str(element)).lower()


def _function(function: onnx.FunctionProto) -> OnnxFunction:
    return OnnxFunction(
        _strs(function.input),
        _strs(function.output),
        {_str(a.name): _attribute(a) for a in function.attribute_proto},
        tuple(_node(n) for n in function.node),
        _opsets(function.opset_import),
    )


# -- what the standard says


@cache
def _schema(domain: str, op: str, version: int) -> Any:
    try:
        return onnx.defs.get_schema(op, version, domain)
    except (onnx.defs.SchemaError, TypeError):  # the latter for versions beyond 32 bits
        return None


def is_standard(domain: str, op: str, version: int) -> bool:
    """Whether the standard has the operator in this version."""
    return _schema(domain, op, version) is not None


_KINDS: dict[Any, type[Any]] = {
    onnx.defs.OpSchema.AttrType.INT: int,
    onnx.defs.OpSchema.AttrType.FLOAT: float,
    onnx.defs.OpSchema.AttrType.STRING: str,
    onnx.defs.OpSchema.AttrType.TENSOR: Tensor,
    onnx.defs.OpSchema.AttrType.GRAPH: OnnxGraph,
    onnx.defs.OpSchema.AttrType.INTS: tuple,
    onnx.defs.OpSchema.AttrType.FLOATS: tuple,
    onnx.defs.OpSchema.AttrType.STRINGS: tuple,
}


def problem_of(node: OnnxNode, version: int) -> str:
    """What the standard says against an operator as it is written; empty if nothing."""
    schema = _schema(node.domain, node.op, version)
    if schema is None:
        return ""
    if not schema.min_input <= len(node.inputs) <= schema.max_input:
        return f"it has {len(node.inputs)} inputs"
    for name, value in node.attributes.items():
        declared = schema.attributes.get(name)
        if declared is None:
            return f"it has an attribute {name!r}, which the standard does not know"
        kind = _KINDS.get(declared.type)
        if kind is not None and not isinstance(value, (kind, Unreadable, Reference)):
            return f"the attribute {name!r} is {value!r:.80}"
    lacking = [name for name, a in schema.attributes.items() if a.required and name not in node.attributes]
    return f"it lacks the attribute {lacking[0]!r}" if lacking else ""


def body_of(node: OnnxNode, version: int, types: Sequence[tuple[int, int] | None]) -> OnnxFunction | None:
    """The function by which the standard defines an operator, if it does.

    `types` are the element type and the rank of each input. Attributes have their defaults filled in.
    """
    schema = _schema(node.domain, node.op, version)
    if schema is None:
        return None
    proto = onnx.FunctionProto()
    if schema.has_function:
        text = schema.get_function_with_opset_version(_newest(schema.function_opset_versions, version))
    elif schema.has_context_dependent_function and not any(isinstance(v, OnnxGraph) for v in node.attributes.values()):
        opset = _newest(schema.context_dependent_function_opset_versions, version)
        text = schema.get_context_dependent_function_with_opset_version(opset, _plain(node), [_type(t) for t in types])
    else:
        return None
    if not text:
        return None
    proto.MergeFromString(text if isinstance(text, bytes) else cast(Message, text).SerializeToString())
    found = _function(proto)
    defaults = {name: _attribute(a.default_value) for name, a in schema.attributes.items() if a.default_value.type}
    return OnnxFunction(found.inputs, found.outputs, {**defaults, **found.attributes}, found.nodes, found.opsets)


def _newest(versions: Sequence[int], version: int) -> int:
    fitting = [v for v in versions if v <= version]
    return max(fitting) if fitting else min(versions)


def _plain(node: OnnxNode) -> bytes:
    """The node for the standard to look at: its name, inputs and simple attributes."""
    simple: Any = {k: v for k, v in node.attributes.items() if isinstance(v, int | float | str | tuple)}
    proto = onnx.helper.make_node(node.op, list(node.inputs), list(node.outputs), domain=node.domain, **simple)
    return proto.SerializeToString()


def _type(t: tuple[int, int] | None) -> bytes:
    if t is None:
        return onnx.TypeProto().SerializeToString()
    element, rank = t
    return onnx.helper.make_tensor_type_proto(element, [None] * rank).SerializeToString()
