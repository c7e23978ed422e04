"""Few rows against constant weights: gigabytes of weights a second, beside how fast a loop reads as many bytes.

    python -m benchmarks.weights                        # one row, 8- and 4-bit weights, all shapes
    python -m benchmarks.weights --vs --json out.json   # beside MatMulNBits of onnxruntime (4 bits, levels 0 and 4)

The bytes are those of the codes; scales come on top (f32: a quarter more for groups of 32). The reading loop goes over
as many bytes, so it reads from the level where the weights live. All contenders alternate in one process on one thread
(`irc.backends.measure`); single calls through the public function, which costs about a microsecond.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import facts
from irc.backends.cpu_simd.codegen.lanes import Function, Lane
from irc.backends.cpu_simd.codegen.llvm import function, loaded, object_code
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import Isa, host
from irc.backends.cpu_simd.runtime import session
from irc.backends.cpu_simd.timing import commonest_form, peak_of
from irc.backends.measure import interleaved
from irc.feedback import Feedback, silence
from irc.ir.builder import Builder
from irc.ir.diagnostics import ToolError
from irc.ir.graph import Graph, Module
from irc.ir.ops.linear import Linear
from irc.ir.ops.quant import Dequantize, Requantize
from irc.ir.ops.structure import Return
from irc.ir.scalars import F32, I8, I32, U8, Array, ScalarType
from irc.ir.types import Element, tensor
from irc.peers import onnxruntime

SHAPES = ((1536, 384), (384, 1536), (1536, 1536), (4096, 4096))
KINDS = ("w8a8", "w4a8", "w4 g32", "w4 g128")
RNG = np.random.default_rng(0)
STREAMS = 8

Call = Callable[[], object]


def module_of(kind: str, rows: int, columns: int, depth: int) -> Module:
    """A linear: integers with a requantize behind it, or floats with a scale per group."""
    bits, floats = int(kind[1]), " g" in kind
    graph = Graph([tensor(F32 if floats else I8, (rows, depth))], names=["x"], name="main")
    b = Builder.at_end(graph)
    w = ScalarType("i", bits)
    codes = b.const(RNG.integers(w.min, w.max, (columns, depth), endpoint=True), w)
    if floats:
        group = int(kind.partition(" g")[2])
        scale = b.const(RNG.random((columns, depth // group)).astype(np.float32), F32)
        y = b(Linear(graph.inputs[0], b(Dequantize(codes, scale, axis=1, group=group, to=Element(F32)))))
    else:
        sums = b(Linear(graph.inputs[0], codes, b.const(RNG.integers(-1000, 1000, columns), I32)))
        m = b.const(RNG.random(columns).astype(np.float32) * 1e-3, F32)
        y = b(Requantize(sums, m, mode="float", axis=1, to=Element(U8)))
    b.add(Return((y,)))
    return Module([graph])


@contextmanager
def reader(isa: Isa, size: int) -> Generator[Call]:
    """A call that reads so many bytes and does next to nothing with them."""
    f = Function("read", {"p": "ptr", "n": "i64", "out": "ptr"})
    width = isa.vector_bytes
    with f.loop(0, f["n"], STREAMS * width, [f.const(0, "i32", isa.lanes)] * STREAMS) as loop:
        at = f.at(f["p"], loop.index)
        loop.next(*(acc ^ f.load(f.at(at, i, width), "i32", isa.lanes) for i, acc in enumerate(loop.carried)))
    total = loop.results[0]
    for other in loop.results[1:]:
        total = Lane.__xor__(total, other)
    f.store(total, f["out"])
    text = f'{f.finish(exported=True)}attributes #0 = {{ nounwind "target-features"="{isa.features}" }}'
    memory, out = np.ones(size + 64, np.uint8), np.zeros(width, np.uint8)
    begin, whole = -(-memory.ctypes.data // 64) * 64, size // (STREAMS * width) * STREAMS * width
    with loaded(object_code(text, isa.triple, isa.cpu, isa.features)) as address:
        read = function(address("read"), None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
        target = out.ctypes.data
        yield lambda: read(begin, whole, target)


def in_onnxruntime(rows: int, columns: int, depth: int, block: int, level: int) -> Call:
    """MatMulNBits of random 4-bit weights. Raises ToolError where onnxruntime refuses them."""
    onnx = import_module("onnx")
    h = onnx.helper
    packed = RNG.integers(0, 256, (columns, depth // block, block // 2)).astype(np.uint8)
    scales = RNG.random((columns * (depth // block),)).astype(np.float32)
    node = h.make_node(
        "MatMulNBits",
        ["x", "w", "s"],
        ["y"],
        domain="com.microsoft",
        K=depth,
        N=columns,
        bits=4,
        block_size=block,
        accuracy_level=level,
    )
    x, y = (
        h.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (rows, n)) for name, n in (("x", depth), ("y", columns))
    )
    constants = [onnx.numpy_helper.from_array(packed, "w"), onnx.numpy_helper.from_array(scales, "s")]
    graph = h.make_graph([node], "g", [x], [y], constants)
    opsets = [h.make_opsetid("", 20), h.make_opsetid("com.microsoft", 1)]
    model = h.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return onnxruntime(model, {"x": RNG.standard_normal((rows, depth)).astype(np.float32)})


def measure(rows: int, columns: int, depth: int, vs: bool, slices: int) -> list[dict[str, object]]:
    """One record for each kind of weights and each peer."""
    isa, calls, sizes, kept = host(), dict[str, Call](), dict[str, int](), dict[str, int]()
    with ExitStack() as stack:
        for kind in KINDS:
            module = module_of(kind, rows, columns, depth)
            program = compile_graph(module.main, isa).program
            run = stack.enter_context(session(module.main, program, isa))
            x: Array = RNG.standard_normal((rows, depth)).astype(np.float32)
            given = x if " g" in kind else RNG.integers(-128, 128, (rows, depth)).astype(np.int8)
            calls[kind], _ = run.prepared([given])
            sizes[kind], kept[kind] = columns * depth * int(kind[1]) // 8, len(program.weights)
        for bits in (4, 8):
            sizes[f"read {bits}"] = columns * depth * bits // 8
            calls[f"read {bits}"] = stack.enter_context(reader(isa, sizes[f"read {bits}"]))
        for block, level in [(b, a) for b in (32, 128) for a in (0, 4)] if vs else []:
            with suppress(ImportError, ToolError):
                name = f"onnxruntime g{block} level {level}"
                calls[name], sizes[name] = in_onnxruntime(rows, columns, depth, block, level), columns * depth // 2
        peak = stack.enter_context(peak_of(isa, commonest_form(module_of("w8a8", rows, columns, depth).main, isa)))
        found = interleaved(calls, peak, slices, Feedback(warn=silence).progress)
    seconds = {name: times.median for name, times in found.times.items()}
    return [
        {
            "shape": [rows, columns, depth],
            "contender": name,
            "us": seconds[name] * 1e6,
            "gigabytes_a_second": sizes[name] / seconds[name] / 1e9,
            "share_of_reading": seconds[f"read {8 if name == 'w8a8' else 4}"] / seconds[name],
            "library_weight_bytes": kept.get(name),
            "calm": found.times[name].calm,
        }
        for name in calls
    ]


@click.command()
@click.option("--rows", default=1, show_default=True)
@click.option("--vs", is_flag=True, help="Measure onnxruntime too.")
@click.option("--slices", default=15, show_default=True)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the records too.")
def main(rows: int, vs: bool, slices: int, path: Path | None) -> None:
    """Measure and print."""
    table = Table("rows, columns, depth", "contender", "us", "GB/s", "of reading", "weights, KB", "calm")
    records: list[dict[str, object]] = []
    for columns, depth in SHAPES:
        for record in measure(rows, columns, depth, vs, slices):
            records.append(record)
            bytes_ = record["library_weight_bytes"]
            table.add_row(
                ", ".join(map(str, (rows, columns, depth))),
                str(record["contender"]),
                f"{record['us']:.1f}",
                f"{record['gigabytes_a_second']:.1f}",
                f"{record['share_of_reading']:.0%}",
                f"{bytes_ / 1e3:.0f}" if isinstance(bytes_, int) else "",
                "yes" if record["calm"] else "no",
            )
    Console(width=140).print(f"{host().name}, one thread", table)
    if path is not None:
        path.write_text(json.dumps({"machine": facts("llvmlite", "numpy"), "records": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
