"""ONNX models whose meaning is more than that of their operators: sizes, names, quantization, functions, old forms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import assert_close, imported, model, node, on_interpreter, on_onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

import irc
from irc.frontend.onnx.read import read
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.scalars import Array

RNG = np.random.default_rng(3)
F = np.float32


def random(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(F)


def opnames(module: Module) -> list[str]:
    return [n.opname for n in module.main.nodes if n.opname not in ("const", "return")]


# -- sizes and constants


def test_shapes_taken_apart_and_put_together():
    """Shape, Gather, Unsqueeze, Concat and Reshape with a size that varies leave one reshape."""
    proto = model(
        [
            node("Shape", ["x"], ["s"]),
            node("Gather", ["s", "zero"], ["n"]),
            node("Gather", ["s", "two"], ["w"]),
            node("Mul", ["w", "three"], ["w3"]),
            node("Unsqueeze", ["n", "axis"], ["n1"]),
            node("Unsqueeze", ["w3", "axis"], ["w1"]),
            node("Concat", ["n1", "w1"], ["shape"], axis=0),
            node("Reshape", ["x", "shape"], ["y"]),
        ],
        {"x": "f32[batch, 3, width]"},
        constants={"zero": np.array(0), "two": np.array(2), "three": np.array(3), "axis": np.array([0])},
    )
    module = imported(proto)
    assert opnames(module) == ["reshape"]
    assert str(module.main.outputs[0].type) == "f32[batch, width*3]"
    x = random(2, 3, 5)
    assert_close(interpret(module, [x]), on_onnxruntime(proto, x))


def test_sizes_that_become_values():
    """A position mask from Range, Expand with -1, and a mean by a size that varies."""
    proto = model(
        [
            node("Shape", ["x"], ["n"], start=1, end=2),
            node("Squeeze", ["n"], ["length"]),
            node("Range", ["zero", "length", "one"], ["places"]),
            node("Cast", ["places"], ["p"], to=1),
            node("Add", ["x", "p"], ["moved"]),
            node("Cast", ["length"], ["count"], to=1),
            node("ReduceSum", ["moved", "last"], ["total"], keepdims=1),
            node("Div", ["total", "count"], ["mean"]),
            node("Shape", ["x"], ["whole"]),
            node("Equal", ["whole", "minus"], ["open"]),
            node("Where", ["open", "ones", "whole"], ["target"]),
            node("Expand", ["mean", "target"], ["y"]),
        ],
        {"x": "f32[b, n]"},
        constants={
            "zero": np.array(0),
            "one": np.array(1),
            "last": np.array([1]),
            "minus": np.array([-1, -1]),
            "ones": np.array([1, 1]),
        },
    )
    for shape in ((2, 3), (1, 7)):
        x = random(*shape)
        assert_close(on_interpreter(proto, x), on_onnxruntime(proto, x))


@pytest.mark.parametrize(
    ("start", "stop", "step"), [(0, 4, 1), (-3, 2**63 - 1, 2), (5, 1, -2), (-1, -(2**63), -1), (2, 2, 1), (7, 0, -3)]
)
def test_slices(start: int, stop: int, step: int):
    constants = {"a": [start], "o": [stop], "i": [1], "s": [step]}
    for size in ("6", "n"):
        proto = model(
            [node("Slice", ["x", "a", "o", "i", "s"], ["y"])],
            {"x": f"f32[2, {size}]"},
            constants={k: np.array(v) for k, v in constants.items()},
        )
        x = random(2, 6)
        if size == "6" or 0 <= start <= 6:
            assert_close(on_interpreter(proto, x), on_onnxruntime(proto, x))


def test_names_of_sizes():
    """Names that are none of ours, sizes without a name, and sums of others."""
    nodes = [node("Identity", [a], [b]) for a, b in zip("xyz", "abc", strict=True)]
    proto = model(nodes, {"x": "f32[batch size, 4]", "y": "f32[?, seq + 1]", "z": "f32[seq, max]"}, ("a", "b", "c"))
    module = imported(proto)
    assert [str(v.type) for v in module.main.inputs] == ["f32[batch_size, 4]", "f32[y_0, seq+1]", "f32[seq, dmax]"]
    same = imported(proto, dynamic="b").main
    assert [str(v.type.shape[0]) for v in same.inputs] == ["b", "b", "b"]


def test_constant_branches():
    def branch(op: str) -> onnx.GraphProto:
        return helper.make_graph([node(op, ["x"], ["r"])], op, [], [onnx.ValueInfoProto(name="r")])

    nodes = [
        node("Shape", ["x"], ["s"], end=1),
        node("Equal", ["s", "four"], ["c"]),
        node("If", ["c"], ["y"], then_branch=branch("Relu"), else_branch=branch("Neg")),
    ]
    proto = model(nodes, {"x": "f32[4]"}, constants={"four": np.array([4])})
    assert opnames(imported(proto)) == ["relu"]


def test_functions_of_the_file():
    function = helper.make_function(
        "local",
        "Scaled",
        ["a", "b"],
        ["c"],
        [
            helper.make_node("LeakyRelu", ["a"], ["r"]),
            helper.make_node("Add", ["r", "b"], ["c"]),
        ],
        [helper.make_opsetid("", 21)],
        ["slope"],
    )
    reference = function.node[0].attribute.add(name="alpha", type=onnx.AttributeProto.FLOAT)
    reference.ref_attr_name = "slope"
    call = node("Scaled", ["x", "x"], ["y"], "/layer/Scaled", domain="local", slope=0.25)
    proto = model([call], {"x": "f32[4]"}, domains=("local",), functions=[function])
    module = imported(proto)
    assert {n.loc.path for n in module.main.nodes if n.opname != "return"} == {"layer"}
    x = random(4)
    assert_close(interpret(module, [x]), on_onnxruntime(proto, x))


def test_names_of_exporters():
    torch_node = node("Relu", ["x"], ["a"], "node_relu")
    for key, value in {
        "pkg.torch.onnx.name_scopes": "['', 'blocks.0', 'blocks.0.act', 'relu']",
        "pkg.torch.onnx.class_hierarchy": "['M', 'm.Block', 'torch.nn.modules.activation.ReLU', 'aten.relu.default']",
    }.items():
        torch_node.metadata_props.add(key=key, value=value)
    nodes = [torch_node, node("Neg", ["a"], ["b"], "/blocks.1/neg/Neg_2"), node("Abs", ["b"], ["y"])]
    module = imported(model(nodes, {"x": "f32[4]"}))
    assert [str(n.loc) for n in module.main.nodes if n.opname != "return"] == [
        'at "blocks.0.act" (ReLU)',
        'at "blocks.1.neg" (Neg)',
        'at "y" (Abs)',
    ]


def test_old_operator_sets():
    """Axes, bounds and slices as attributes, softmax over several axes, broadcasting from an axis."""
    nodes = [
        node("Add", ["x", "b"], ["h"], axis=1, broadcast=1),
        node("Softmax", ["h"], ["s"]),
        node("Slice", ["s"], ["c"], axes=[2], starts=[1], ends=[3]),
        node("Clip", ["c"], ["y"], min=0.01, max=0.3),
    ]
    proto = model(nodes, {"x": "f32[2, 3, 4]"}, constants={"b": random(3)}, opset=6)
    x = random(2, 3, 4)
    flat = (x + onnx.numpy_helper.to_array(proto.graph.initializer[0])[:, None]).reshape(2, 12)
    e = np.exp(flat - flat.max(1, keepdims=True))
    wanted = (e / e.sum(1, keepdims=True)).reshape(2, 3, 4)[:, :, 1:3].clip(0.01, 0.3)
    assert_close(on_interpreter(proto, x), [wanted.astype(F)])


# -- quantization


class Samples(CalibrationDataReader):
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.left: Iterator[dict[str, Array]] = iter([{"x": random(*shape)} for _ in range(8)])

    def get_next(self) -> dict[str, Array] | None:  # pyright: ignore
        return next(self.left, None)


def network() -> onnx.ModelProto:
    return model(
        [
            node("Conv", ["x", "c.w", "c.b"], ["h"], "/c/Conv", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Relu", ["h"], ["r"], "/r/Relu"),
            node("GlobalAveragePool", ["r"], ["g"], "/g/GlobalAveragePool"),
            node("Flatten", ["g"], ["f"], "/f/Flatten"),
            node("Gemm", ["f", "l.w", "l.b"], ["y"], "/l/Gemm", transB=1),
        ],
        {"x": "f32[n, 3, 8, 8]"},
        constants={"c.w": random(8, 3, 3, 3), "c.b": random(8), "l.w": random(5, 8), "l.b": random(5)},
        opset=17,
    )


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    onnx.save(network(), path)
    return path


@pytest.mark.parametrize(
    ("form", "per_channel", "activation"),
    [
        (QuantFormat.QDQ, True, QuantType.QInt8),
        (QuantFormat.QDQ, False, QuantType.QUInt8),
        (QuantFormat.QOperator, True, QuantType.QUInt8),
        (QuantFormat.QOperator, False, QuantType.QInt8),
    ],
)
def test_models_of_the_quantizer_of_onnxruntime(
    float_file: Path, tmp_path: Path, form: QuantFormat, per_channel: bool, activation: QuantType
):
    path = tmp_path / "q.onnx"
    quantize_static(
        float_file,
        path,
        Samples((1, 3, 8, 8)),
        quant_format=form,
        per_channel=per_channel,
        activation_type=activation,
        weight_type=QuantType.QInt8,
        reduce_range=True,  # without 8-bit dot products onnxruntime adds in 16 bits, which saturate
    )
    module = read(path).module
    x = random(4, 3, 8, 8)
    (mine,), (theirs,) = interpret(module, [x]), on_onnxruntime(onnx.load(path), x)
    steps = np.abs(mine - theirs) / (np.abs(theirs).max() / 127)
    assert steps.max() < 2.5
    assert np.mean(steps > 0.5) < 0.2


def assert_becomes_integers(path: Path, passes: str, x: Array):
    """No float op is left between the borders, and what comes of it is near what onnxruntime makes of the file."""
    module = irc.apply(read(path).module, passes)
    kinds = {n.opname for n in module.walk() if any(v.type.scalar.is_float for v in n.results)}
    assert kinds <= {"const", "dequantize"}
    (mine,), (theirs,) = interpret(module, [x]), on_onnxruntime(onnx.load(path), x)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=0.03 * np.abs(theirs).max())


def test_a_qdq_model_becomes_integers(float_file: Path, tmp_path: Path):
    """What the quantizer of onnxruntime wrote is what `integerize` takes: no float op is left between the borders."""
    path = tmp_path / "q.onnx"
    quantize_static(float_file, path, Samples((1, 3, 8, 8)), per_channel=True, activation_type=QuantType.QInt8)
    assert_becomes_integers(path, "clean,integerize", random(4, 3, 8, 8))


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_quantized_unet_becomes_integers(tmp_path: Path, per_channel: bool):
    """Joined branches of different scales, a transposed convolution with a scale a channel, interpolation."""
    net = model(
        [
            node("Conv", ["x", "a.w", "a.b"], ["a"], pads=[1, 1, 1, 1]),
            node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Conv", ["p", "b.w", "b.b"], ["b"], pads=[1, 1, 1, 1]),
            node("ConvTranspose", ["b", "u.w", "u.b"], ["u"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Concat", ["u", "a"], ["c"], axis=1),
            node("Conv", ["c", "d.w", "d.b"], ["d"], pads=[1, 1, 1, 1]),
            node("Resize", ["d", "", "scales"], ["y"], mode="linear"),
        ],
        {"x": "f32[1, 3, 8, 8]"},
        constants={
            "a.w": random(4, 3, 3, 3),
            "a.b": random(4),
            "b.w": random(6, 4, 3, 3),
            "b.b": random(6),
            "u.w": random(6, 4, 2, 2) * np.arange(1, 5, dtype=F)[:, None, None],
            "u.b": random(4),
            "d.w": random(2, 8, 3, 3),
            "d.b": random(2),
            "scales": np.array([1, 1, 2, 2], F),
        },
        opset=17,
    )
    onnx.save(net, tmp_path / "net.onnx")
    path = tmp_path / "q.onnx"
    quantize_static(
        tmp_path / "net.onnx", path, Samples((1, 3, 8, 8)), per_channel=per_channel, activation_type=QuantType.QInt8
    )
    assert_becomes_integers(path, "clean,integerize,fold,cse,dce", random(1, 3, 8, 8))


def test_dynamic_quantization(float_file: Path, tmp_path: Path):
    path = tmp_path / "q.onnx"
    quantize_dynamic(float_file, path, weight_type=QuantType.QInt8)
    x = random(4, 3, 8, 8)
    (mine,), (theirs,) = interpret(read(path).module, [x]), on_onnxruntime(onnx.load(path), x)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=0.03 * np.abs(theirs).max())


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4, TensorProto.INT8])
def test_blocks_of_weights(kind: int):
    codes = RNG.integers(0 if kind == TensorProto.UINT4 else -8, 8, (32, 6))
    tensor = helper.make_tensor("w", kind, codes.shape, codes.ravel())
    nodes = [
        node("DequantizeLinear", ["w", "s"], ["d"], axis=0, block_size=16),
        node("MatMul", ["x", "d"], ["y"]),
    ]
    proto = model(nodes, {"x": "f32[2, 32]"}, constants={"w": tensor, "s": np.abs(random(2, 6)) + F(0.1)})
    module = imported(proto)
    assert opnames(module) == ["dequantize", "linear"]
    x = random(2, 32)
    assert_close(interpret(module, [x]), on_onnxruntime(proto, x))


def quant(**attributes: Any) -> onnx.NodeProto:
    return node("Quant", ["x", "s", "z", "b"], ["y"], domain="qonnx.custom_op.general", **attributes)


@pytest.mark.parametrize(("bits", "signed", "narrow"), [(4, 1, 0), (3, 1, 1), (2, 0, 0), (5, 0, 1)])
def test_qonnx_numbers(bits: int, signed: int, narrow: int):
    scale, zp = np.array([[0.25], [0.5]], F), F(0)
    constants = {"s": scale, "z": zp, "b": F(bits)}
    proto = model([quant(signed=signed, narrow=narrow)], {"x": "f32[2, 9]"}, constants=constants)
    x = 2 * random(2, 9)
    low = -(2 ** (bits - 1)) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    wanted = np.clip(np.rint(x / scale), low, high) * scale
    assert_close(on_interpreter(proto, x), [wanted.astype(F)])
    weights = model([quant(signed=signed, narrow=narrow)], {"u": "f32[1]"}, constants={**constants, "x": x})
    module = imported(weights)
    assert opnames(module) == ["dequantize"]
    assert_close(interpret(module, [random(1)]), [wanted.astype(F)])


def test_qonnx_signs_and_thresholds():
    domain = "qonnx.custom_op.general"
    nodes = [
        node("BipolarQuant", ["x", "s"], ["h"], domain=domain),
        node("MultiThreshold", ["x", "t"], ["m"], domain=domain, out_scale=0.5, out_bias=-1.0),
        node("Add", ["h", "m"], ["y"]),
    ]
    t = np.sort(random(3, 4), axis=1)
    proto = model(nodes, {"x": "f32[2, 3, 2, 2]"}, constants={"s": F(0.5), "t": t})
    x = random(2, 3, 2, 2)
    reached = (x[..., None] >= t[:, None, None]).sum(-1)
    assert_close(on_interpreter(proto, x), [(np.where(x >= 0, 0.5, -0.5) + 0.5 * reached - 1).astype(F)])


def test_weights_of_few_bits_of_onnxruntime():
    """MatMulNBits: two 4-bit codes a byte, a scale a block of 16, with and without zero points."""
    packed = RNG.integers(0, 256, (3, 2, 8)).astype(np.uint8)
    scales, zps = np.abs(random(6)) + F(0.1), RNG.integers(0, 256, 3).astype(np.uint8)
    for extra in ([], ["z"]):
        call = node("MatMulNBits", ["x", "w", "s", *extra], ["y"], domain="com.microsoft", K=32, N=3, block_size=16)
        proto = model(
            [call], {"x": "f32[2, 32]"}, constants={"w": packed, "s": scales, "z": zps}, domains=("com.microsoft",)
        )
        x = random(2, 32)
        assert_close(on_interpreter(proto, x), on_onnxruntime(proto, x))


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("BiasGelu", ["x", "b"], {}),
        ("FastGelu", ["x", "b"], {}),
        ("QuickGelu", ["x"], {"alpha": 1.5}),
        ("SkipLayerNormalization", ["x", "x", "b", "b", "b"], {"epsilon": 1e-5}),
        ("SkipSimplifiedLayerNormalization", ["x", "x", "b"], {"epsilon": 1e-5}),
        ("FusedMatMul", ["x", "x"], {"transB": 1, "alpha": 0.5}),
    ],
)
def test_operators_of_onnxruntime(op: str, inputs: list[str], attributes: dict[str, Any]):
    call = node(op, inputs, ["y"], domain="com.microsoft", **attributes)
    proto = model([call], {"x": "f32[2, 3, 8]"}, constants={"b": random(8)}, domains=("com.microsoft",))
    x = random(2, 3, 8)
    assert_close(on_interpreter(proto, x), on_onnxruntime(proto, x), relative=1e-4)
