"""The file format: the one module that knows the package `onnx`.

Operator set and format version are pinned to what released runtimes read: a new `onnx` would write versions that
onnxruntime refuses. Operator set 21 is the first with 4-bit integers and scales per block.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from irc.backends.onnx_export.scalars import Kind, packed
from irc.ir.dims import Shape
from irc.ir.scalars import Array

OPSET = 21
IR_VERSION = 10

ELEMENTS: dict[Kind, int] = {
    "float": onnx.TensorProto.FLOAT,
    "double": onnx.TensorProto.DOUBLE,
    "bfloat16": onnx.TensorProto.BFLOAT16,
    "float16": onnx.TensorProto.FLOAT16,
    "bool": onnx.TensorProto.BOOL,
    "int4": onnx.TensorProto.INT4,
    "uint4": onnx.TensorProto.UINT4,
    "int8": onnx.TensorProto.INT8,
    "uint8": onnx.TensorProto.UINT8,
    "int16": onnx.TensorProto.INT16,
    "uint16": onnx.TensorProto.UINT16,
    "int32": onnx.TensorProto.INT32,
    "uint32": onnx.TensorProto.UINT32,
    "int64": onnx.TensorProto.INT64,
    "uint64": onnx.TensorProto.UINT64,
}


@dataclass(frozen=True)
class OnnxTensor:
    """A constant of the file."""

    name: str
    array: Array
    kind: Kind


@dataclass(frozen=True)
class OnnxNode:
    """One operator with one result, which has the name of the node. `unread` are names of results in front of it."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    doc: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Port:
    """An input or output of the model."""

    name: str
    kind: Kind
    shape: Shape


@dataclass(frozen=True)
class OnnxModel:
    """A whole model, before it is written."""

    name: str
    producer: str
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    tensors: Sequence[OnnxTensor]
    nodes: Sequence[OnnxNode]

    @property
    def weight_bytes(self) -> int:
        return sum(len(packed(t.array, t.kind)) for t in self.tensors)


def serialized(model: OnnxModel) -> bytes:
    """The model with its weights as the content of one file: equal models give equal bytes."""
    return _proto(model, [_tensor(t) for t in model.tensors]).SerializeToString(deterministic=True)


def write_beside(model: OnnxModel, path: Path, weights: str, least: int = 1024) -> None:
    """Write the model, and tensors of at least so many bytes to a file `weights` in the same folder."""
    tensors: list[Any] = []
    with path.with_name(weights).open("wb") as file:
        for tensor in model.tensors:
            raw = packed(tensor.array, tensor.kind)
            tensors.append(_tensor(tensor) if len(raw) < least else _outside(tensor, weights, file.tell(), len(raw)))
            if len(raw) >= least:
                file.write(raw)
    path.write_bytes(_proto(model, tensors).SerializeToString(deterministic=True))


FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


def watched(content: Path | bytes, names: Sequence[str], codes: Collection[str]) -> tuple[list[str], bytes]:
    """A file of any origin, so that its outputs are the named values that are floats or among `codes`; which these are.

    Weights that lie beside the file are in the result.
    """
    model = onnx.ModelProto.FromString(content.read_bytes() if isinstance(content, Path) else content)
    if isinstance(content, Path):
        onnx.load_external_data_for_model(model, str(content.parent))
    inferred = onnx.shape_inference.infer_shapes(model).graph
    known = {port.name: port for port in (*inferred.output, *inferred.value_info)}
    floats = {name for name, port in known.items() if port.type.tensor_type.elem_type in FLOATS}
    shown = [name for name in names if name in floats or name in codes]
    del model.graph.output[:]
    # The inference of ONNX stops at operators of other domains; onnxruntime knows what these give.
    model.graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in shown)
    return shown, model.SerializeToString()


def _proto(model: OnnxModel, tensors: Sequence[Any]) -> onnx.ModelProto:
    graph = onnx.GraphProto(name=model.name)
    graph.input.extend(map(_port, model.inputs))
    graph.output.extend(map(_port, model.outputs))
    graph.initializer.extend(tensors)
    graph.node.extend(map(_node, model.nodes))
    opset = onnx.OperatorSetIdProto(domain="", version=OPSET)
    return onnx.ModelProto(ir_version=IR_VERSION, producer_name=model.producer, opset_import=[opset], graph=graph)


def _node(node: OnnxNode) -> onnx.NodeProto:
    results = [*node.unread, node.name]
    proto = onnx.helper.make_node(node.op, list(node.inputs), results, node.name, node.doc, **node.attributes)
    for key, value in node.metadata.items():
        proto.metadata_props.add(key=key, value=value)
    return proto


def _tensor(tensor: OnnxTensor) -> onnx.TensorProto:
    raw = packed(tensor.array, tensor.kind)
    return onnx.TensorProto(name=tensor.name, data_type=ELEMENTS[tensor.kind], dims=tensor.array.shape, raw_data=raw)


def _outside(tensor: OnnxTensor, file: str, offset: int, length: int) -> onnx.TensorProto:
    proto = onnx.TensorProto(name=tensor.name, data_type=ELEMENTS[tensor.kind], dims=tensor.array.shape)
    proto.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": file, "offset": str(offset), "length": str(length)}.items():
        proto.external_data.add(key=key, value=value)
    return proto


def _port(port: Port) -> onnx.ValueInfoProto:
    shape = [d if isinstance(d, int) else str(d) for d in port.shape]
    return onnx.helper.make_tensor_value_info(port.name, ELEMENTS[port.kind], shape)
