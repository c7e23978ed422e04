"""Products of the CPU backend beside the machine's peak and beside onnxruntime and OpenVINO: linear and convolution.

    pip install -e '.[bench]'                      # the peers
    python -m benchmarks.products                  # all rows
    python -m benchmarks.products depthwise --json products.json

A row is a unit of one or two layers whose result has the shape of its input. What is shown is a unit inside a chain,
(time of 5 units - time of 1) / 4: that takes away what a call costs and how data enters and leaves, which favours the
peers. "Undisturbed" is the share of the peak in the fastest tenth of the slices: the loop that gives the peak touches
no memory, so neighbours that fill shared caches slow the products alone. Weights differ from layer to layer. Integers
are 8-bit activations and weights (7-bit where a machine without an 8-bit dot product makes both peers saturate, unless
`--bits 8`), with a requantize in float mode behind each layer (or `--fixed`). Peers get the same shapes as QDQ models.
All contenders alternate in one process, on one thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table

from benchmarks.machine import facts
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import host
from irc.backends.cpu_simd.runtime import session
from irc.backends.cpu_simd.timing import commonest_form, peak_of
from irc.backends.measure import interleaved
from irc.feedback import Feedback, silence
from irc.ir.builder import Builder
from irc.ir.graph import Graph, Module, Value
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.quant import Requantize
from irc.ir.ops.structure import Return
from irc.ir.ops.tensor import Permute
from irc.ir.scalars import F32, I8, I32, U8, Array
from irc.ir.types import Element, tensor
from irc.passes.base import PassContext
from irc.passes.pipeline import parse_pipeline, run_pipeline
from irc.peers import READERS

Call = Callable[[], object]
LONG = 5
FASTEST = 10  # percent of the slices
STEP, ZERO = 0.02, 128  # of activations
FIXED = 40  # bits of shift


@dataclass(frozen=True)
class Layer:
    """A linear layer of `rows` x `inputs` (`kernel` 0), or a convolution of images of `rows` pixels squared."""

    rows: int
    inputs: int
    outputs: int
    kernel: int = 0
    groups: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, self.inputs, self.rows, self.rows) if self.kernel else (self.rows, self.inputs)

    @property
    def weight(self) -> tuple[int, ...]:
        taps = (self.kernel, self.kernel) if self.kernel else ()
        return (self.outputs, self.inputs // self.groups, *taps)

    @property
    def padding(self) -> tuple[int, ...]:
        return (self.kernel // 2,) * 4

    @property
    def macs(self) -> int:
        return int(np.prod(self.weight)) * self.rows * (self.rows if self.kernel else 1)


def linear(rows: int, wide: int, narrow: int) -> list[Layer]:
    """Two layers, there and back."""
    return [Layer(rows, narrow, wide), Layer(rows, wide, narrow)]


def conv(size: int, channels: int, kernel: int = 3) -> list[Layer]:
    return [Layer(size, channels, channels, kernel)]


def pointwise(size: int, narrow: int, wide: int) -> list[Layer]:
    return [Layer(size, narrow, wide, 1), Layer(size, wide, narrow, 1)]


def depthwise(size: int, channels: int) -> list[Layer]:
    return [Layer(size, channels, channels, 3, channels)]


UNITS: dict[str, list[Layer]] = {
    "linear 197x192-768-192": linear(197, 768, 192),
    "linear 197x384-1536-384": linear(197, 1536, 384),
    "linear 197x192-192": [Layer(197, 192, 192)],
    "linear 197x384-384": [Layer(197, 384, 384)],
    "conv 3x3 56x56x64": conv(56, 64),
    "conv 3x3 28x28x128": conv(28, 128),
    "conv 3x3 14x14x256": conv(14, 256),
    "conv 3x3 7x7x512": conv(7, 512),
    "conv 1x1 56x56 64-256-64": pointwise(56, 64, 256),
    "conv 1x1 14x14 256-1024-256": pointwise(14, 256, 1024),
    "depthwise 3x3 112x112x64": depthwise(112, 64),
    "depthwise 3x3 56x56x64": depthwise(56, 64),
    "depthwise 3x3 28x28x128": depthwise(28, 128),
    "depthwise 3x3 14x14x256": depthwise(14, 256),
}


@dataclass(frozen=True)
class Weights:
    """Codes and scales of a layer."""

    codes: Array
    bias: Array
    scale: Array

    @staticmethod
    def of(layer: Layer, bits: int, rng: np.random.Generator) -> Weights:
        high = 2 ** (min(bits, 8) - 1) - 1
        codes = rng.integers(-high, high, layer.weight, np.int8, endpoint=True)
        spread = np.sqrt(np.prod(layer.weight[1:])) * high * 40
        bias = rng.integers(-500, 500, layer.outputs, np.int32)
        return Weights(codes, bias, np.full(layer.outputs, 30 / spread, np.float32))


def layers_of(unit: list[Layer], count: int, bits: int) -> list[tuple[Layer, Weights]]:
    rng = np.random.default_rng(0)
    return [(layer, Weights.of(layer, bits, rng)) for _ in range(count) for layer in unit]


# -- ours


def module_of(layers: list[tuple[Layer, Weights]], bits: int, fixed: bool) -> Module:
    """A chain as a graph: images with their channels last, as they lie between the layers of a network."""
    first, image = layers[0][0], layers[0][0].kernel > 0
    graph = Graph(name="main")
    b = Builder.at_end(graph)
    kind = F32 if bits == 32 else U8
    shape = (first.shape[0], *first.shape[2:], first.shape[1]) if image else first.shape
    x: Value = graph.add_input(tensor(kind, shape), "x")
    if image:
        x = b(Permute(x, (0, 3, 1, 2)))
    for layer, w in layers:
        x = sums(layer, w, x, b, bits)
        if bits < 32:
            x = requantized(x, w, b, fixed)
    b.add(Return((b(Permute(x, (0, 2, 3, 1))) if image else x,)))
    module = Module([graph])
    run_pipeline(parse_pipeline("fuse"), module, PassContext())
    return module


def sums(layer: Layer, w: Weights, x: Value, b: Builder, bits: int) -> Value:
    zero: dict[str, Any] = {}
    if bits == 32:
        weight, bias = (b.const(a.astype(np.float32) * w.scale[0], F32) for a in (w.codes, w.bias))
    else:
        weight, bias = b.const(w.codes, I8), b.const(w.bias, I32)
        zero["x_zp"] = ZERO
    if not layer.kernel:
        return b(Linear(x, weight, bias, **zero))
    window: dict[str, Any] = {"stride": (1, 1), "padding": layer.padding, "dilation": (1, 1), "groups": layer.groups}
    return b(Conv(x, weight, bias, **window, **zero))


def requantized(x: Value, w: Weights, b: Builder, fixed: bool) -> Value:
    if not fixed:
        return b(Requantize(x, b.const(w.scale, F32), mode="float", axis=1, zp=ZERO, to=Element(U8)))
    m = np.rint(w.scale.astype(np.float64) * 2**FIXED).astype(np.int32)
    return b(Requantize(x, b.const(m, I32), shift=FIXED, axis=1, zp=ZERO, to=Element(U8)))


# -- the peers


def onnx_of(layers: list[tuple[Layer, Weights]], bits: int) -> bytes:
    """A chain as ONNX: float, or QDQ with activations of unsigned and weights of signed 8 bits."""
    nodes: list[Any] = []
    constants: dict[str, Array] = {"s": np.float32(STEP), "z": np.uint8(ZERO)}
    at = "x"
    for i, (layer, w) in enumerate(layers):
        if bits < 32:
            at = _rounded(nodes, at, f"q{i}")
        name = _weights(nodes, constants, layer, w, i, bits)
        kind = "Conv" if layer.kernel else "Gemm"
        more: dict[str, Any] = {"pads": layer.padding, "group": layer.groups} if layer.kernel else {"transB": 1}
        nodes.append(helper.make_node(kind, [at, name, f"b{i}"], [f"y{i}"], **more))
        at = f"y{i}"
    if bits < 32:
        at = _rounded(nodes, at, "end")
    inputs, outputs = ([helper.make_tensor_value_info(n, TensorProto.FLOAT, layers[0][0].shape)] for n in ("x", at))
    values = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _rounded(nodes: list[Any], at: str, name: str) -> str:
    nodes.append(helper.make_node("QuantizeLinear", [at, "s", "z"], [f"{name}.q"]))
    nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", "s", "z"], [name]))
    return name


def _weights(nodes: list[Any], constants: dict[str, Array], layer: Layer, w: Weights, i: int, bits: int) -> str:
    """The weights as codes with scales such that results have the spread of ours; the bias in i32 codes."""
    scale = w.scale
    if bits == 32:
        constants[f"w{i}"] = w.codes.astype(np.float32) * scale[0]
        constants[f"b{i}"] = w.bias.astype(np.float32) * scale[0]
        return f"w{i}"
    constants |= {f"w{i}.q": w.codes, f"w{i}.s": scale, f"w{i}.z": np.zeros(layer.outputs, np.int8)}
    constants |= {f"b{i}.q": w.bias, f"b{i}.s": scale * np.float32(STEP), f"b{i}.z": np.zeros(layer.outputs, np.int32)}
    for n in ("w", "b"):
        nodes.append(helper.make_node("DequantizeLinear", [f"{n}{i}.q", f"{n}{i}.s", f"{n}{i}.z"], [f"{n}{i}"], axis=0))
    return f"w{i}"


# -- measuring


def measure(name: str, bits: int, fixed: bool, slices: int) -> dict[str, Any]:
    """One record: us of a unit in a chain of each contender, and our share of the peak."""
    unit, isa = UNITS[name], host()
    rng = np.random.default_rng(1)
    calls: dict[str, Call] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for count in (1, LONG):
            layers = layers_of(unit, count, bits)
            module = module_of(layers, bits, fixed)
            run = stack.enter_context(session(module.main, compile_graph(module.main, isa).program, isa))
            given = module.main.inputs[0].type
            x: Array = rng.integers(0, 256, given.shape).astype(given.scalar.dtype)
            calls[f"irc {count}"], _ = run.prepared([x])
            floats = rng.uniform(-2, 2, unit[0].shape).astype(np.float32)
            for peer, read in READERS.items():
                file = folder / f"{count}.onnx"
                file.write_bytes(onnx_of(layers, bits))
                calls[f"{peer} {count}"] = read(str(file), {"x": floats})
        form = commonest_form(module.main, isa)
        peak = stack.enter_context(peak_of(isa, form))
        found = interleaved(calls, peak, slices, Feedback(warn=silence).progress)

    def each(contender: str, share: float = 50) -> float:
        long, short = (found.times[f"{contender} {n}"].percentile(share) for n in (LONG, 1))
        return (long - short) / (LONG - 1)

    products = sum(layer.macs for layer in unit)
    speed = products / each("irc")
    return {
        "unit": name,
        "bits": bits,
        "form": form.name,
        "us": each("irc") * 1e6,
        "GMAC/s": speed / 1e9,
        "of peak": speed / found.peak,
        "undisturbed": products / each("irc", FASTEST) / found.peak,
        **{f"{peer} / irc": each(peer) / each("irc") for peer in READERS},
        "calm": all(t.calm for t in found.times.values()),
    }


def shown(record: dict[str, Any]) -> list[str]:
    ratios = [f"{record[f'{peer} / irc']:.2f}" for peer in READERS]
    figures = (
        f"{record['us']:.1f}",
        f"{record['GMAC/s']:.1f}",
        f"{record['of peak']:.0%}",
        f"{record['undisturbed']:.0%}",
    )
    return [record["unit"], str(record["bits"]), record["form"], *figures, *ratios, "yes" if record["calm"] else "no"]


@click.command()
@click.argument("words", nargs=-1)
@click.option(
    "--bits", multiple=True, type=click.Choice(["7", "8", "32"]), help="Of weights; 32: floats.  [repeatable]"
)
@click.option("--fixed", is_flag=True, help="Requantize in fixed mode.")
@click.option("--slices", default=15, show_default=True)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the records too.")
def main(words: tuple[str, ...], bits: tuple[str, ...], fixed: bool, slices: int, path: Path | None) -> None:
    """Measure and print; WORDS choose rows whose name contains one."""
    isa = host()
    narrow = 7 if isa.is_x86 and isa.dot != "vpdpbusd" else 8
    table = Table(
        "unit",
        "bits",
        "dot product",
        "us",
        "GMAC/s",
        "of peak",
        "undisturbed",
        *(f"{p} / irc" for p in READERS),
        "calm",
    )
    records: list[dict[str, Any]] = []
    for name in UNITS:
        if words and not any(word in name for word in words):
            continue
        for kind in [int(b) for b in bits] or [narrow, 32]:
            records.append(measure(name, kind, fixed, slices))
            table.add_row(*shown(records[-1]))
    Console(width=150).print(f"{isa.name}, one thread", table)
    if path is not None:
        told = facts("numpy", "onnxruntime", "openvino", "llvmlite")
        path.write_text(json.dumps({"machine": told, "records": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
