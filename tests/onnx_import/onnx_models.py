"""Small ONNX models for tests, and what other runtimes make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from irc.frontend.onnx.read import read
from irc.frontend.onnx.tensors import ELEMENTS
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.scalars import Array, scalar

node = helper.make_node
IR_VERSION = 10


def port(name: str, text: str) -> onnx.ValueInfoProto:
    """An input from its type: `f32[b, 3, ?]`, where `?` is a size without a name."""
    kind, _, rest = text.partition("[")
    dims = [
        None if d.strip() == "?" else int(d) if d.strip().isdigit() else d.strip() for d in rest[:-1].split(",") if d
    ]
    return helper.make_tensor_value_info(name, ELEMENTS[scalar(kind)], dims)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, str],
    outputs: Sequence[str] = ("y",),
    constants: Mapping[str, Any] | None = None,
    opset: int = 21,
    domains: Sequence[str] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """A model of these operators."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [port(name, text) for name, text in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [
            value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value), name)
            for name, value in (constants or {}).items()
        ],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    made = helper.make_model(graph, opset_imports=opsets, functions=list(functions))
    made.ir_version = IR_VERSION
    return made


def imported(proto: onnx.ModelProto, **options: Any) -> Module:
    return read(proto, **options).module


def on_interpreter(proto: onnx.ModelProto, *arrays: Array) -> list[Array]:
    return interpret(imported(proto), arrays)


def on_onnxruntime(proto: onnx.ModelProto, *arrays: Array) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([i.name for i in session.get_inputs()], arrays, strict=True)))


def assert_close(mine: Sequence[Array], theirs: Sequence[Array], relative: float = 1e-5) -> None:
    """Assert equal types and shapes, and values within a share of the largest; integers equal."""
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        bound = relative * np.max(np.abs(b), initial=0) if a.dtype.kind == "f" else 0
        np.testing.assert_allclose(np.float64(a), np.float64(b), rtol=0, atol=bound)
