"""The same kernels by others: torch, and onnxruntime by a model of one node. One thread, results in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import torch

from irc.ir.diagnostics import ToolError
from irc.ir.scalars import Array
from irc.peers import onnxruntime

Call = Callable[[], object]

TORCH: Mapping[str, Callable[..., torch.Tensor]] = {
    "softmax": lambda x: torch.softmax(x, -1),
    "layer_norm": lambda x, g, b: torch.layer_norm(x, g.shape, g, b),
    "gelu": torch.nn.functional.gelu,
    "exp": torch.exp,
    "tanh": torch.tanh,
    "silu": torch.nn.functional.silu,
    "sdpa": lambda x: torch.nn.functional.scaled_dot_product_attention(x, x, x),
}

ONNX: Mapping[str, tuple[str, dict[str, Any]]] = {
    "softmax": ("Softmax", {"axis": -1}),
    "layer_norm": ("LayerNormalization", {"axis": -1}),
    "gelu": ("Gelu", {}),
    "exp": ("Exp", {}),
    "tanh": ("Tanh", {}),
}


def peers(op: str, arrays: Sequence[Array]) -> dict[str, Call]:
    """Functions of no arguments by name, of the peers that are installed and have the op."""
    found: dict[str, Call] = {}
    if op in TORCH:
        found["torch"] = in_torch(op, arrays)
    if op in ONNX:
        with suppress(ImportError, ToolError):
            found["onnxruntime"] = in_onnxruntime(op, arrays)
    return found


def in_torch(op: str, arrays: Sequence[Array]) -> Call:
    torch.set_num_threads(1)
    tensors = [torch.from_numpy(a.copy()) for a in arrays]

    def call() -> object:
        with torch.inference_mode():
            return TORCH[op](*tensors)

    return call


def in_onnxruntime(op: str, arrays: Sequence[Array]) -> Call:
    """Raises ToolError where onnxruntime refuses the op."""
    onnx = import_module("onnx")

    kind, attributes = ONNX[op]
    names = [f"x{i}" for i in range(len(arrays))]
    types = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, a.shape)
        for n, a in zip(names, arrays, strict=True)
    ]
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, arrays[0].shape)
    graph = onnx.helper.make_graph([onnx.helper.make_node(kind, names, ["y"], **attributes)], "g", types, [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    return onnxruntime(model.SerializeToString(), dict(zip(names, arrays, strict=True)))
