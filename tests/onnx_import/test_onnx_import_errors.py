"""What a user reads when an ONNX model cannot be imported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import imported, model, node

import irc
from irc import IrcError
from irc.frontend.onnx import importer
from irc.frontend.onnx.read import read
from irc.frontend.onnx.table import Conversion
from irc.ir.diagnostics import InternalError, UnsafeInputError, UsageError

F = np.float32


def refused(proto: onnx.ModelProto, message: str, **options: Any) -> IrcError:
    """Assert that the model is refused with this in the message; what is raised."""
    with pytest.raises(IrcError, match=re.escape(message)) as caught:
        imported(proto, **options)
    return caught.value


def ones(*shape: int) -> Any:
    return np.ones(shape, F)


def branch(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "branch", [], [onnx.ValueInfoProto(name="r")])


def referring(op: str, attribute: str) -> onnx.NodeProto:
    """An operator with an attribute of a function, where there is no function."""
    made = node(op, ["x"], ["y"])
    made.attribute.add(name=attribute, ref_attr_name=attribute, type=onnx.AttributeProto.FLOAT)
    return made


QONNX = ("qonnx.custom_op.general",)
MICROSOFT = ("com.microsoft",)
X = {"x": "f32[1, 4, 8, 8]"}
CASES: dict[str, tuple[onnx.ModelProto, str]] = {
    "computed shape": (
        model([node("Reshape", ["x", "s"], ["y"])], {"x": "f32[4]", "s": "i64[2]"}),
        "Reshape: the shape is computed by the model",
    ),
    "computed depth": (
        model([node("CumSum", ["x", "a"], ["y"])], {"x": "f32[4]", "a": "i64[]"}),
        "CumSum: the axis is computed by the model",
    ),
    "one value": (
        model([node("CumSum", ["x", "a"], ["y"])], {"x": "f32[4]"}, constants={"a": np.array([0, 0])}),
        "CumSum: the axis has 2 values, expected one",
    ),
    "numbers for axes": (
        model([node("Conv", ["x", "w"], ["y"], strides=[1, 1, 1])], X, constants={"w": ones(2, 4, 3, 3)}),
        "Conv: 3 numbers for 2 axes",
    ),
    "unknown value": (
        model([node("Relu", ["z"], ["y"])], {"x": "f32[4]"}),
        "Relu reads 'z', which nothing in front of it gives",
    ),
    "too few inputs": (
        model([node("QLinearAdd", ["x"], ["y"], domain=MICROSOFT[0])], {"x": "u8[4]"}, domains=MICROSOFT),
        "QLinearAdd: it has 1 inputs, expected at least 7",
    ),
    "lacking attribute": (
        model(
            [node("MatMulNBits", ["x", "x", "x"], ["y"], domain=MICROSOFT[0], N=4)], {"x": "f32[4]"}, domains=MICROSOFT
        ),
        "MatMulNBits: it lacks the attribute K",
    ),
    "unknown attribute": (
        model([node("QuickGelu", ["x"], ["y"], domain=MICROSOFT[0], beta=1.0)], {"x": "f32[4]"}, domains=MICROSOFT),
        "QuickGelu: its attribute beta",
    ),
    "foreign attribute": (
        model(
            [node("QuickGelu", ["x"], ["y"], domain=MICROSOFT[0], alpha=helper.make_tensor_type_proto(1, [1]))],
            {"x": "f32[4]"},
            domains=MICROSOFT,
        ),
        "QuickGelu: its attribute alpha is a type_proto",
    ),
    "damaged attribute": (
        model([node("Softmax", ["x"], ["y"], axis="last")], {"x": "f32[4]"}),
        "Softmax (opset 21) is damaged: the attribute 'axis' is 'last'",
    ),
    "attribute of nobody": (
        model([node("Relu", ["x"], ["y"], slope=1.0)], {"x": "f32[4]"}),
        "it has an attribute 'slope', which the standard does not know",
    ),
    "attribute of another kind": (
        model([node("QuickGelu", ["x"], ["y"], domain=MICROSOFT[0], alpha="x")], {"x": "f32[4]"}, domains=MICROSOFT),
        "QuickGelu: its attribute alpha is 'x'",
    ),
    "attribute of no function": (
        model([referring("LeakyRelu", "alpha")], {"x": "f32[4]"}),
        "LeakyRelu: its attribute alpha is Reference(name='alpha')",
    ),
    "long padding": (
        model([node("Pad", ["x", "p"], ["y"], mode="edge")], {"x": "f32[4]"}, constants={"p": np.array([0, 2**32])}),
        "Pad: padding of 4294967300 elements\n  hint: at most 16777216",
    ),
    "resizing": (
        model([node("Resize", ["x", "", "", "s"], ["y"])], {"x": "f32[4]"}, constants={"s": np.array([2**17])}),
        "Resize: a resized axis of 33554432 elements",
    ),
    "required attribute": (
        model([node("Concat", ["x", "x"], ["y"])], {"x": "f32[4]"}),
        "Concat (opset 21) is damaged: it lacks the attribute 'axis'",
    ),
    "inputs of nobody": (
        model([node("Relu", ["x", "x"], ["y"])], {"x": "f32[4]"}),
        "Relu (opset 21) is damaged: it has 2 inputs",
    ),
    "no such operator": (
        model([node("Fancy", ["x"], ["y"], domain="acme")], {"x": "f32[4]"}, domains=("acme",)),
        "Fancy (acme, opset 1) is not supported",
    ),
    "loops": (
        model([node("NonZero", ["x"], ["y"])], {"x": "f32[4]"}),
        "NonZero (opset 21) is not supported: the size of its result depends on the data",
    ),
    "bits of floats": (
        model([node("BitCast", ["x"], ["y"], to=TensorProto.INT32)], {"x": "f32[4]"}, opset=26),
        "BitCast: the bits of f32 as i32\n  hint: integers of one width, or constants",
    ),
    "results": (
        model([node("Relu", ["x"], ["y", "i"])], X, ("y", "i")),
        "result 1 of Relu is not supported",
    ),
    "axis": (
        model([node("Softmax", ["x"], ["y"], axis=3)], {"x": "f32[4]"}),
        "Softmax: axis 3 of a tensor with 1 dimensions",
    ),
    "auto_pad": (
        model([node("Conv", ["x", "w"], ["y"], auto_pad="BIG")], X, constants={"w": ones(2, 4, 3, 3)}),
        "Conv: auto_pad=BIG",
    ),
    "dropout": (
        model([node("Dropout", ["x", "", "t"], ["y"])], {"x": "f32[4]"}, constants={"t": np.array(True)}),
        "Dropout: it drops values at random (training_mode)",
    ),
    "batches": (
        model(
            [node("BatchNormalization", ["x", "p", "p", "p", "p"], ["y", "m", "v"], training_mode=1)],
            X,
            constants={"p": ones(4)},
        ),
        "BatchNormalization: statistics of the batch (training_mode)",
    ),
    "old batches": (
        model(
            [node("BatchNormalization", ["x", "p", "p", "p", "p"], ["y"], spatial=0)],
            X,
            constants={"p": ones(4)},
            opset=7,
        ),
        "BatchNormalization: statistics an element (spatial=0)",
    ),
    "resize nothing": (
        model([node("Resize", ["x"], ["y"])], X),
        "Resize: it has neither scales nor sizes",
    ),
    "resize region": (
        model(
            [node("Resize", ["x", "", "s"], ["y"], coordinate_transformation_mode="tf_crop_and_resize")],
            X,
            constants={"s": ones(4)},
        ),
        "Resize: it lacks the region to resize",
    ),
    "resize mode": (
        model([node("Resize", ["x", "", "s"], ["y"], mode="best")], X, constants={"s": ones(4) * 2}),
        "Resize: mode=best",
    ),
    "resize integers": (
        model([node("Resize", ["x", "", "s"], ["y"], mode="linear")], {"x": "i32[4]"}, constants={"s": ones(1) * 2}),
        "Resize: mode linear of i32",
    ),
    "resize sizes that vary": (
        model(
            [node("Resize", ["x", "", "", "s"], ["y"], keep_aspect_ratio_policy="not_larger")],
            {"x": "f32[h]"},
            constants={"s": np.array([4])},
        ),
        "Resize: keep_aspect_ratio_policy=not_larger of sizes that vary",
    ),
    "condition": (
        model(
            [
                node("ReduceMax", ["x"], ["m"], keepdims=0),
                node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
                node(
                    "If",
                    ["c"],
                    ["y"],
                    then_branch=branch(node("Relu", ["x"], ["r"])),
                    else_branch=branch(node("Neg", ["x"], ["r"])),
                ),
            ],
            {"x": "f32[4]"},
        ),
        "If: the condition is computed by the model",
    ),
    "long loops": (
        model(
            [node("Scan", ["x"], ["y"], num_scan_inputs=1, body=helper.make_graph([], "g", [], []))], {"x": "f32[600]"}
        ),
        "Scan: 600 steps",
    ),
    "old loops": (
        model(
            [node("Scan", ["", "x"], ["y"], num_scan_inputs=1, body=helper.make_graph([], "g", [], []))],
            {"x": "f32[2, 6]"},
            opset=8,
        ),
        "batches of sequences (operator set 8)",
    ),
    "open sizes": (
        model([node("Reshape", ["x", "s"], ["y"])], {"x": "f32[4]"}, constants={"s": np.array([-1, -1])}),
        "leaves several sizes open",
    ),
    "negative sizes": (
        model([node("Reshape", ["x", "s"], ["y"])], {"x": "f32[4]"}, constants={"s": np.array([-1, -2])}),
        "Reshape: the sizes [-2]",
    ),
    "sizes to keep": (
        model([node("Reshape", ["x", "s"], ["y"])], {"x": "f32[4]"}, constants={"s": np.array([4, 0])}),
        "keeps a size that f32[4] does not have",
    ),
    "repeats": (
        model([node("Tile", ["x", "s"], ["y"])], {"x": "f32[4]"}, constants={"s": np.array([2, 2])}),
        "Tile: 2 repeats of f32[4]",
    ),
    "empty constant": (model([node("Constant", [], ["y"])], {"x": "f32[4]"}), "Constant: it has no value"),
    "fill": (
        model(
            [node("ConstantOfShape", ["s"], ["y"], value=helper.make_tensor("v", 1, [2], [1.0, 2.0]))],
            {"x": "f32[4]"},
            constants={"s": np.array([2])},
        ),
        "ConstantOfShape: a value of 2 elements",
    ),
    "range of nothing": (
        model([node("Range", ["a", "b", "z"], ["y"])], {"x": "f32[4]"}, constants={k: np.array(0) for k in "abz"}),
        "Range: the step is 0",
    ),
    "long range": (
        model(
            [node("Range", ["a", "b", "z"], ["y"])],
            {"x": "f32[4]"},
            constants={"a": np.array(0), "b": np.array(2**40), "z": np.array(1)},
        ),
        "Range: a range of 1099511627776 elements",
    ),
    "range backwards": (
        model(
            [node("Size", ["x"], ["n"]), node("Range", ["n", "a", "z"], ["y"])],
            {"x": "f32[n]"},
            constants={"a": np.array(0), "z": np.array(-1)},
        ),
        "Range: the step -1 between sizes that vary",
    ),
    "slice by nothing": (
        model(
            [node("Slice", ["x", "a", "b", "a", "a"], ["y"])],
            {"x": "f32[4]"},
            constants={"a": np.array([0]), "b": np.array([2])},
        ),
        "Slice: the step is 0",
    ),
    "padding": (
        model([node("Pad", ["x", "p"], ["y"], mode="odd")], {"x": "f32[4]"}, constants={"p": np.array([1, 1])}),
        "Pad: the mode odd",
    ),
    "contradiction": (
        model([node("Pad", ["x", "p"], ["y"])], {"x": "f32[4, 4]"}, constants={"p": np.array([1])}),
        "Pad (opset 21): its attributes do not fit its inputs (f32[4, 4], i64[1])",
    ),
    "lookup of nothing": (
        model([node("GatherND", ["x", "i"], ["y"])], {"x": "f32[4]"}, constants={"i": np.zeros((2, 0), np.int64)}),
        "GatherND: an index of no axes",
    ),
    "writes at no axes": (
        model(
            [node("ScatterND", ["x", "i", "u"], ["y"])],
            {"x": "f32[4]", "u": "f32[2, 4]"},
            constants={"i": np.zeros((2, 0), np.int64)},
        ),
        "ScatterND: an index of no axes",
    ),
    "how many values": (
        model([node("TopK", ["x", "k"], ["y", "i"])], {"x": "f32[4]", "k": "i64[1]"}, ("y", "i")),
        "TopK: the number of values is computed by the model",
    ),
    "rounding": (
        model(
            [node("Quant", ["x", "s", "z", "b"], ["y"], domain=QONNX[0], rounding_mode="CEIL")],
            {"x": "f32[4]"},
            constants={"s": F(0.5), "z": F(0), "b": F(4)},
        ),
        "Quant: rounding_mode=CEIL",
    ),
    "bits": (
        model(
            [node("Quant", ["x", "s", "z", "b"], ["y"], domain=QONNX[0])],
            {"x": "f32[4]"},
            constants={"s": F(0.5), "z": F(0), "b": F(2.5)},
        ),
        "Quant: 2.5 bits",
    ),
    "zero points": (
        model(
            [node("Quant", ["x", "s", "z", "b"], ["y"], domain=QONNX[0])],
            {"x": "f32[4]"},
            constants={"s": F(0.5), "z": F(0.5), "b": F(4)},
        ),
        "Quant: a zero point that is no integer",
    ),
    "negative scale": (
        model(
            [node("Quant", ["x", "s", "z", "b"], ["y"], domain=QONNX[0])],
            {"x": "f32[4]"},
            constants={"s": F(-0.5), "z": F(0), "b": F(4)},
        ),
        "Quant: a scale that is not positive",
    ),
    "scales": (
        model(
            [node("Quant", ["x", "s", "z", "b"], ["y"], domain=QONNX[0])],
            {"x": "f32[4]"},
            constants={"s": ones(3), "z": F(0), "b": F(4)},
        ),
        "Quant: scales of the shape [3] for f32[4]",
    ),
    "scales of rows": (
        model(
            [node("QLinearMatMul", ["x", "s", "z", "w", "t", "z", "t", "z"], ["y"])],
            {"x": "u8[2, 4]"},
            constants={"s": ones(2), "z": np.uint8(0), "w": np.ones((4, 3), np.uint8), "t": F(1)},
        ),
        "QLinearMatMul: scales a row",
    ),
    "blocks": (
        model(
            [node("MatMulNBits", ["x", "w", "s"], ["y"], domain=MICROSOFT[0], K=20, N=2, block_size=16)],
            {"x": "f32[1, 20]"},
            constants={"w": np.zeros((2, 2, 8), np.uint8), "s": ones(4)},
            domains=MICROSOFT,
        ),
        "MatMulNBits: 20 inputs in blocks of 16",
    ),
    "reordered": (
        model(
            [node("MatMulNBits", ["x", "w", "s", "", "g"], ["y"], domain=MICROSOFT[0], K=16, N=2, block_size=16)],
            {"x": "f32[1, 16]"},
            constants={"w": np.zeros((2, 1, 8), np.uint8), "s": ones(2), "g": np.arange(16)},
            domains=MICROSOFT,
        ),
        "MatMulNBits: g_idx",
    ),
    "transposed batches": (
        model([node("FusedMatMul", ["x", "x"], ["y"], domain=MICROSOFT[0], transBatchA=1)], {"x": "f32[2, 2, 2]"}),
        "FusedMatMul: transBatchA and transBatchB",
    ),
    "flat softmax": (
        model(
            [node("QLinearSoftmax", ["x", "s", "z", "s", "z"], ["y"], domain=MICROSOFT[0], opset=11, axis=1)],
            {"x": "u8[2, 2, 2]"},
            constants={"s": F(1), "z": np.uint8(0)},
        ),
        "QLinearSoftmax: softmax over several axes (opset below 13)",
    ),
    "channels last": (
        model(
            [
                node(
                    "QLinearAveragePool",
                    ["x", "s", "z", "s", "z"],
                    ["y"],
                    domain=MICROSOFT[0],
                    kernel_shape=[2, 2],
                    channels_last=1,
                )
            ],
            {"x": "u8[1, 2, 2, 2]"},
            constants={"s": F(1), "z": np.uint8(0)},
        ),
        "QLinearAveragePool: channels_last",
    ),
    "scaled product": (
        model(
            [node("QGemm", ["x", "s", "z", "x", "s", "z"], ["y"], domain=MICROSOFT[0], alpha=2.0)],
            {"x": "u8[2, 2]"},
            constants={"s": F(1), "z": np.uint8(0)},
        ),
        "QGemm: alpha=2",
    ),
    "random": (
        model([node("RandomNormal", [], ["y"], shape=[2])], {"x": "f32[4]"}),
        "RandomNormal (opset 21) is not supported: its result is random",
    ),
    "float8": (
        model([node("Cast", ["x"], ["y"], to=TensorProto.FLOAT8E5M2)], {"x": "f32[4]"}),
        "Cast: tensors of float8e5m2 are not supported",
    ),
    "no result": (model([node("Relu", ["x"], ["y"])], {"x": "f32[4]"}, ()), "the model returns no tensor"),
    "not a number": (
        model([node("Add", ["x", "fc.w"], ["y"])], {"x": "f32[2]"}, constants={"fc.w": np.array([np.nan, 1], F)}),
        "tensor 'fc.w' has NaN (1 of 2)",
    ),
    "newer": (model([node("Relu", ["x"], ["y"])], {"x": "f32[4]"}, opset=99), "the model needs operator set 99"),
}
LSTM = {"w": ones(1, 8, 3), "r": ones(1, 8, 2), "n": np.array([1, 2], np.int32)}
for name, attributes, inputs, message in (
    ("clip", {"clip": 1.0}, ["x", "w", "r"], "LSTM: its attribute clip"),
    ("direction", {"direction": "up"}, ["x", "w", "r"], "LSTM: direction=up"),
    ("activation", {"activations": ["Sigmoid", "Softsign", "Tanh"]}, ["x", "w", "r"], "LSTM: the activation Softsign"),
    ("gates", {"input_forget": 1}, ["x", "w", "r"], "LSTM: input_forget"),
    ("lengths", {}, ["x", "w", "r", "", "n"], "LSTM: sequences of different lengths"),
):
    CASES[f"lstm {name}"] = (
        model([node("LSTM", inputs, ["y"], **attributes)], {"x": "f32[2, 2, 3]"}, constants=LSTM),
        message,
    )
CASES["lstm steps"] = (
    model([node("LSTM", ["x", "w", "r"], ["y"])], {"x": "f32[600, 2, 3]"}, constants=LSTM),
    "LSTM: 600 steps",
)


@pytest.mark.parametrize("name", CASES)
def test_refusals(name: str):
    refused(*CASES[name])


def test_everything_is_told_at_once_with_its_place():
    """Unsupported operators, also behind others that are; equal problems are merged."""
    proto = model(
        [
            node("NonZero", ["x"], ["a"], name="/encoder/layer.0/NonZero"),
            node("NonZero", ["x"], ["b"], name="/encoder/layer.1/NonZero_1"),
            node("Cast", ["a"], ["c"], to=1),
            node("Loop", ["", "", "c"], ["d"], name="/decoder/Loop", body=helper.make_graph([], "g", [], [])),
            node("SoftMax", ["d"], ["y"], name="/head/SoftMax"),
        ],
        {"x": "f32[4]"},
    )
    error = refused(proto, "is not supported")
    assert [str(d) for d in error.diagnostics] == [
        '"encoder.layer.0" (NonZero): NonZero (opset 21) is not supported: the size of its result depends on the data\n'
        '  note: and 1 more: "encoder.layer.1" (NonZero)\n'
        "  hint: replace the layer, or write it with supported operators",
        '"decoder" (Loop): Loop (opset 21) is not supported: loops over graphs\n'
        "  hint: replace the layer, or write it with supported operators",
        '"head" (SoftMax): SoftMax (opset 21) is not supported\n'
        "  hint: the nearest supported operator is Softmax; replace the layer, or write it with supported operators",
    ]


def test_a_converter_that_fails_is_told_at_its_place(monkeypatch: pytest.MonkeyPatch):
    def fail(c: Any, *inputs: Any) -> Any:
        raise KeyError("axes")

    monkeypatch.setitem(importer.CONVERTERS, ("", "Relu"), Conversion.of(fail))
    nodes = [node("Abs", ["x"], ["a"], name="/stem/Abs"), node("Neg", ["a"], ["b"], name="/stem/Neg")]
    nodes.append(node("Relu", ["b"], ["y"], name="/head/act/Relu"))
    with pytest.raises(InternalError) as caught:
        imported(model(nodes, {"x": "f32[4]"}))
    (found,) = caught.value.diagnostics
    told = r"importing Relu \(opset \d+\) '/head/act/Relu' failed: KeyError: 'axes' \(test_onnx_import_errors.py:\d+\)"
    assert re.fullmatch(told, found.message)
    assert found.loc.path == "head.act"
    assert found.hint.endswith("; the part before it compiles with --stop-at=head.act")


def test_a_way_round_needs_no_other_hint():
    nodes = [node("Abs", ["x"], ["a"], name="/stem/Abs"), node("Relu", ["a", "a"], ["y"], name="/head/act/Relu")]
    with pytest.raises(IrcError, match=r"hint: the part before it compiles with stop_at=head\.act"):
        imported(model(nodes, {"x": "f32[4]"}))


def test_functions_that_call_themselves():
    function = helper.make_function("local", "F", ["a"], ["b"], [node("F", ["a"], ["b"], domain="local")], [])
    proto = model([node("F", ["x"], ["y"], domain="local")], {"x": "f32[4]"}, domains=("local",), functions=[function])
    refused(proto, "functions and branches are nested more than 32 deep")


def test_too_many_operators(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importer, "MOST_NODES", 3)
    refused(
        model([node("Relu", ["x"], [f"y{i}"]) for i in range(4)], {"x": "f32[4]"}, ("y0",)),
        "the model has more than 3 operators behind the expansion of its functions",
    )


# -- inputs


def test_inputs_that_are_no_tensors():
    proto = model([node("SequenceAt", ["x", "x"], ["y"])], {})
    proto.graph.input.append(helper.make_tensor_sequence_value_info("x", 1, None))
    refused(proto, "input 'x': it is a sequence")


def test_inputs_of_many_axes():
    axes = ", ".join(["1"] * 40)
    refused(model([node("Relu", ["x"], ["y"])], {"x": f"f32[{axes}]"}), "input 'x': it has 40 axes")


def test_inputs_without_a_shape():
    proto = model([node("Relu", ["x"], ["y"])], {})
    proto.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, None))
    refused(proto, "input 'x': it has no shape")
    assert str(imported(proto, inputs={"x": "f32[2, 3]"}).main.inputs[0].type) == "f32[2, 3]"


def test_inputs_of_a_foreign_type():
    proto = model([node("Identity", ["x"], ["y"])], {})
    proto.graph.input.append(helper.make_tensor_value_info("x", TensorProto.STRING, [1]))
    refused(proto, "input 'x': tensors of string are not supported")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": {"z": "f32[1]"}}, "there is no input 'z'"),
        ({"inputs": {"x": "i64[2, 4]"}}, "input 'x' is f32, not i64"),
        ({"inputs": {"x": (2, 5)}}, "input 'x' is f32[2, 5], the model has the sizes ['b', 4]"),
        ({"inputs": {"x": "f32[2, 4] x"}}, "is no input type"),
        ({"inputs": [ones(2, 4), ones(2, 4)]}, "the model has 1 inputs, 2 given"),
        ({"dynamic": {"z": {0: "b"}}}, "there is no input 'z'"),
        ({"dynamic": {"x": {2: "b"}}}, "input 'x' has 2 axes, there is no axis 2"),
        ({"dynamic": {"x": {0: ("b", 3, 2)}}}, "input 'x': 'b' in [3, 2] is no size"),
        ({"dynamic": {"x": {0: ("s", 1, 2), 1: ("s", 1, 3)}}}, "the size 's' has two ranges"),
    ],
)
def test_what_the_caller_says_of_inputs(options: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=re.escape(message)):
        imported(model([node("Relu", ["x"], ["y"])], {"x": "f32[b, 4]"}), **options)


# -- files


def outside(location: str, **entries: str) -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def saved(folder: Path, tensor: onnx.TensorProto) -> Path:
    path = folder / "m.onnx"
    proto = model([node("Add", ["x", "w"], ["y"])], {"x": "f32[4]"}, constants={"w": tensor})
    path.write_bytes(proto.SerializeToString())
    return path


def test_weights_beside_the_model(tmp_path: Path):
    (tmp_path / "w.bin").write_bytes(b"\0" * 8 + np.arange(4, dtype="<f4").tobytes())
    module = read(saved(tmp_path, outside("w.bin", offset="8", length="16"))).module
    np.testing.assert_array_equal(irc.interpret(module, [ones(4)])[0], [1, 2, 3, 4])


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "", "link", "a/../../w.bin", "w\0bin"])
def test_weights_outside_of_the_folder(tmp_path: Path, location: str):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(b"\0" * 16)
    (folder / "link").symlink_to(tmp_path / "w.bin")
    with pytest.raises(
        UnsafeInputError, match=r"the values of tensor 'w' are said to be in .*outside of the model's folder"
    ):
        read(saved(folder, outside(location)))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": "8"}, "is damaged: bytes 8 .. 24 of w.bin, which has 16; expected 16 bytes"),
        ({"length": "999999999999"}, "expected 16 bytes"),
        ({"offset": "-1"}, "is damaged: the offset '-1'"),
    ],
)
def test_damaged_weights_beside_the_model(tmp_path: Path, entries: dict[str, str], message: str):
    (tmp_path / "w.bin").write_bytes(b"\0" * 16)
    with pytest.raises(IrcError, match=re.escape(message)):
        read(saved(tmp_path, outside("w.bin", **entries)))


def test_missing_weights(tmp_path: Path):
    with pytest.raises(IrcError, match=r"the values of tensor 'w' are in 'w.bin', which cannot be read"):
        read(saved(tmp_path, outside("w.bin")))
    proto = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    refused(proto, "the values of tensor 'w' are in another file")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (TensorProto(name="w", data_type=1, dims=[4], raw_data=b"123"), "is damaged: 3 bytes, expected 16"),
        (TensorProto(name="w", data_type=1, dims=[4], float_data=[1.0]), "is damaged: 1 values, expected 4"),
        (TensorProto(name="w", data_type=1, dims=[2**40, 2**40], raw_data=b""), "is damaged: 0 bytes, expected"),
        (TensorProto(name="w", data_type=1, dims=[-4]), "tensor 'w' has the shape [-4]"),
        (TensorProto(name="w", data_type=1, dims=[0, 2**62, 2**62]), "is damaged: array is too big"),
        (TensorProto(name="w", data_type=99, dims=[4]), "tensors of 99 are not supported"),
    ],
)
def test_damaged_tensors(tensor: onnx.TensorProto, message: str):
    refused(model([node("Add", ["x", "w"], ["y"])], {"x": "f32[4]"}, constants={"w": tensor}), message)


def test_sparse_tensors():
    proto = model([node("Relu", ["x"], ["y"])], {"x": "f32[4]"})
    proto.graph.sparse_initializer.add(values=TensorProto(name="w"))
    refused(proto, "tensor 'w' is sparse")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "m.onnx: the file is empty"),
        (model([node("Relu", ["x"], ["yyy"])], {}).SerializeToString().replace(b"yyy", b"\xff\xfey"), "is no text"),
        (b"PK\x03\x04 a zip", "m.onnx: the file is no readable ONNX model"),
        (onnx.ModelProto(ir_version=8).SerializeToString(), "m.onnx: the file holds no graph, so it is no ONNX model"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(IrcError, match=re.escape(message)) as caught:
        read(path)
    assert caught.value.exit_code == 1


def test_files_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UsageError, match="there is no file"):
        read(tmp_path / "none.onnx")
    (tmp_path / "dir.onnx").mkdir()
    with pytest.raises(UsageError, match="is no regular file"):
        read(tmp_path / "dir.onnx")
    with pytest.raises(UsageError, match="int is no ONNX model"):
        read(3)
    (tmp_path / "big.onnx").write_bytes(b"12345678")
    monkeypatch.setattr("irc.frontend.onnx.read.LARGEST", 4)
    with pytest.raises(IrcError, match="ONNX keeps weights beyond 2 GB in files of their own"):
        read(tmp_path / "big.onnx")
    (tmp_path / "lock.onnx").write_bytes(b"")

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(UsageError, match=r"cannot read '.*lock.onnx': Permission denied"):
        read(tmp_path / "lock.onnx")


def test_options_of_other_models():
    with pytest.raises(UsageError, match="an ONNX model says its operators itself"):
        irc.compile(model([node("Relu", ["x"], ["y"])], {"x": "f32[4]"}), arch="package:factory")
