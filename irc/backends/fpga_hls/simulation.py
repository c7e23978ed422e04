"""C simulation of an artifact: compiled in a temporary folder, fed with data sets, or watched stream by stream."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np

from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.emit.top import Io, top_source
from irc.backends.fpga_hls.extent import limited, shape_of
from irc.backends.fpga_hls.layout import Layout
from irc.backends.fpga_hls.stage import Design
from irc.backends.fpga_hls.testbench import Accelerator, decode, encode, sample_bytes
from irc.backends.fpga_hls.toolchain import FLAGS, compile_simulation, run_simulation
from irc.ir.graph import Module, Value
from irc.ir.interpret import fitted, interpret, run_node
from irc.ir.op import Op
from irc.ir.ops.structure import Call
from irc.ir.ops.token import Select
from irc.ir.scalars import Array

Accelerate = Callable[[Sequence[Sequence[Array]]], list[list[Array]]]
"""The accelerator on samples: the codes of each in, the codes of each out."""


def call_of(module: Module) -> Call:
    """The call of the accelerator in main."""
    return next(n for n in module.main.nodes if isinstance(n, Call) and n.callee == ACCELERATOR)


def codes_of(module: Module, inputs: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """What the accelerator is given, and has to give, in one run of main."""
    seen: dict[Value, Array] = {}
    interpret(module, inputs, observe=lambda value, array: seen.__setitem__(value, array))
    call = call_of(module)
    return [seen[v] for v in call.operands], [seen[v] for v in call.results]


def counts_seen(module: Module, inputs: Sequence[Array]) -> dict[str, int]:
    """The counts that are born in one run of main, by name."""
    found: dict[str, int] = {}

    def observe(value: Value, array: Array) -> None:
        if isinstance(value.node, Select) and value.node.born is not None:
            found[value.node.born] = array.shape[-2]

    interpret(module, inputs, observe=observe)
    return found


def run_main(module: Module, calls: Sequence[Sequence[Array]], accelerate: Accelerate) -> list[list[Array]]:
    """Run main for each call; the accelerator runs for all of them at once."""
    nodes = [cast(Op, n) for n in module.main.nodes]
    call = call_of(module)
    place = nodes.index(call)
    known = [{v: fitted(v, a) for v, a in zip(module.main.inputs, inputs, strict=True)} for inputs in calls]
    for values in known:
        _evaluate(module, nodes[:place], values)
    results = accelerate([[values[v] for v in call.operands] for values in known])
    for values, arrays in zip(known, results, strict=True):
        values.update(zip(call.results, arrays, strict=True))
        _evaluate(module, nodes[place + 1 : -1], values)
    return [[values[v] for v in module.main.outputs] for values in known]


def _evaluate(module: Module, nodes: Sequence[Op], values: dict[Value, Array]) -> None:
    """Add the results of some nodes to the values."""
    for op in nodes:
        values.update(zip(op.results, run_node(op, [values[v] for v in op.operands], {}, module), strict=True))


@contextmanager
def compiled(design: Accelerator, sources: Path, top: str) -> Generator[Accelerate]:
    """The accelerator of a project as a function on samples. Raises ToolError if it does not compile or stops early."""
    with tempfile.TemporaryDirectory(prefix="irc-hls-") as scratch:
        program = Path(scratch) / "simulation"
        compile_simulation([sources / f"{top}.cpp", sources / "tb.cpp"], program, FLAGS)
        yield lambda samples: simulate(design, program, samples, IRC_PROJECT=str(sources))


def simulate(
    design: Accelerator, program: Path, samples: Sequence[Sequence[Array]], **environment: str
) -> list[list[Array]]:
    """The results for each sample, by one run of a compiled test bench."""
    with tempfile.TemporaryDirectory(prefix="irc-hls-") as scratch:
        given, results = Path(scratch) / "in.bin", Path(scratch) / "out.bin"
        given.write_bytes(b"".join(encode(design.inputs, sample) for sample in samples))
        run_simulation(program, [given, results, str(len(samples))], **environment)
        data, size = results.read_bytes(), sample_bytes(design.outputs)
    return [decode(design.outputs, data[i * size : (i + 1) * size]) for i in range(len(samples))]


WATCH = """\
// Writes the elements of a stream, which stay in it, to the file $IRC_WATCH: a count, then 64 bits each.

#include <cstdio>
#include <cstdlib>

#include "irc/irc_stream.h"

template <class T> void watch(irc::stream<T>& x) {
    static std::FILE* const file = std::fopen(std::getenv("IRC_WATCH"), "ab");
    const int64_t count = int64_t(x.size());
    std::fwrite(&count, sizeof count, 1, file);
    for (int64_t i = 0; i < count; i++) {
        const T value = x.read();
        const int64_t code = int64_t(value);
        std::fwrite(&code, sizeof code, 1, file);
        x.write(value);
    }
    std::fflush(file);
}
"""


def watched(design: Design, sources: Path, top: str, io: Io, sample: Sequence[Array]) -> Iterator[tuple[Value, Array]]:
    """The values that travel between stages for one sample, in order of execution."""
    with tempfile.TemporaryDirectory(prefix="irc-hls-") as scratch:
        folder = Path(scratch)
        (folder / "watch.h").write_text(WATCH, encoding="ascii")
        (folder / "watched.cpp").write_text(top_source(design, top, io, watch="watch"), encoding="ascii")
        program, record = folder / "simulation", folder / "record.bin"
        flags = [*FLAGS, f"-I{sources}", f"-I{folder}"]
        compile_simulation([folder / "watched.cpp", sources / "tb.cpp"], program, flags)
        simulate(design, program, [sample], IRC_WATCH=str(record))
        codes = np.fromfile(record, np.int64)
    place = 0
    counts: dict[str, int] = {}
    for stream in (s for stage in design.stages for s in stage.outputs):
        count = int(codes[place])
        elements = codes[place + 1 : place + 1 + count]
        place += 1 + count
        if stream.carries is not None:
            counts[stream.carries.name] = int(elements[0])
        if stream.value is not None and stream.layout is not None:
            shape = shape_of(stream.value)
            assert shape is not None
            layout = Layout(tuple((limited(n, counts), limited(step, counts)) for n, step in stream.layout.loops))
            sizes = tuple(limited(n, counts) for n in shape)
            yield stream.value, layout.restore(elements, sizes).astype(stream.value.type.scalar.dtype)
