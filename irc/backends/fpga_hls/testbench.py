"""The test bench: golden vectors without arguments, a whole data set in batch mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from irc.backends.fpga_hls.emit.top import Io
from irc.backends.fpga_hls.emit.writer import Writer, wrapped
from irc.backends.fpga_hls.layout import Layout, Shape
from irc.backends.fpga_hls.stage import Design
from irc.backends.fpga_hls.types import Code
from irc.ir.graph import Value
from irc.ir.scalars import Array


class Port(Protocol):
    """An input or output of an accelerator: codes in some order."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> Value: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def shape(self) -> Shape: ...
    @property
    def code(self) -> Code: ...
    @property
    def count(self) -> int: ...


class Accelerator(Protocol):
    """What takes codes and gives codes, however it is built."""

    @property
    def inputs(self) -> Sequence[Port]: ...
    @property
    def outputs(self) -> Sequence[Port]: ...


def encode(ports: Sequence[Port], arrays: Sequence[Array]) -> bytes:
    """One sample as the bytes that the test bench reads: every port in its order, little-endian."""
    parts = [
        np.ascontiguousarray(port.layout.arrange(array).astype(port.code.port_dtype)).tobytes()
        for port, array in zip(ports, arrays, strict=True)
    ]
    return b"".join(parts)


def sample_bytes(ports: Sequence[Port]) -> int:
    """The bytes of one sample."""
    return sum(port.count * port.code.port_bits // 8 for port in ports)


def decode(ports: Sequence[Port], data: bytes) -> list[Array]:
    """The arrays of one sample, as the graph has them."""
    arrays: list[Array] = []
    place = 0
    for port in ports:
        size = port.count * port.code.port_bits // 8
        stream = np.frombuffer(data[place : place + size], port.code.port_dtype)
        arrays.append(port.layout.restore(stream, port.shape).astype(port.value.type.scalar.dtype))
        place += size
    return arrays


def golden_header(design: Accelerator, samples: Sequence[tuple[Sequence[Array], Sequence[Array]]]) -> str:
    """`golden.h`: inputs and expected outputs, in the order of the ports."""
    writer = Writer()
    writer.comment("Golden vectors: sample inputs and what the reference interpreter computes for them, as codes.")
    writer.line()
    with writer.guard("GOLDEN_H"):
        writer.directive("#include <cstdint>")
        writer.line()
        writer.line(f"const int golden_samples = {len(samples)};")
        writer.line()
        for ports, side in ((design.inputs, 0), (design.outputs, 1)):
            for index, port in enumerate(ports):
                rows = [port.layout.arrange(sample[side][index]) for sample in samples]
                writer.line(f"const {port.code.port} golden_{port.name}[{max(1, len(rows))}][{port.count}] = {{")
                for row in rows:
                    writer.raw("    {\n" + wrapped(map(str, row.astype(np.int64)), "        ") + "    },\n")
                writer.line("};")
                writer.line()
    return writer.text()


BATCH = """\
/// Runs the samples of one file and writes the results to another.
int run_file(const char* input, const char* output, long samples) {
    std::FILE* in = std::fopen(input, "rb");
    std::FILE* out = std::fopen(output, "wb");
    if (in == nullptr || out == nullptr) {
        std::fprintf(stderr, "cannot open %s\\n", in == nullptr ? input : output);
        return 1;
    }
    for (long i = 0; i < samples; i++) {
        if (!sample.read(in)) {
            std::fprintf(stderr, "%s ends in sample %ld\\n", input, i);
            return 1;
        }
        sample.run();
        if (!sample.write(out)) {
            std::fprintf(stderr, "cannot write %s\\n", output);
            return 1;
        }
    }
    std::fclose(in);
    return std::fclose(out) == 0 ? 0 : 1;
}

"""

COMPARE = """\
/// Prints the first difference; true if there is none.
template <class T, int COUNT> bool equal(const T (&given)[COUNT], const T (&wanted)[COUNT], const char* name, int run) {
    for (int i = 0; i < COUNT; i++) {
        if (given[i] != wanted[i]) {
            std::printf("FAIL: sample %d, %s[%d] is %lld, expected %lld\\n", run, name, i, (long long)given[i],
                        (long long)wanted[i]);
            return false;
        }
    }
    return true;
}

"""

MAIN = """\
int main(int count, char** words) {
    if (count == 4) {
        return run_file(words[1], words[2], std::atol(words[3]));
    }
    if (count != 1) {
        std::fprintf(stderr, "usage: tb [IN OUT N]\\n");
        return 2;
    }
    return run_golden();
}
"""


def testbench(design: Design, name: str, io: Io) -> str:
    """`tb.cpp` of a dataflow accelerator."""
    stops = "The accelerator stops with a message if a stream is read while empty, or is not empty after a sample."
    return bench(design, name, [stops], lambda writer: None, lambda writer: _run(writer, design, name, io))


Write = Callable[[Writer], None]


def bench(design: Accelerator, name: str, notes: Sequence[str], helpers: Write, run: Write) -> str:
    """`tb.cpp`: `helpers` stand in front of the sample, `run` are the statements that run it."""
    writer = Writer()
    for text in (*HEAD, *notes):
        writer.line(f"// {text}".rstrip())
    writer.line()
    for header in ("cstdint", "cstdio", "cstdlib", "cstring"):
        writer.directive(f"#include <{header}>")
    writer.line()
    writer.directive(f'#include "{name}.h"')
    writer.directive('#include "golden.h"')
    writer.line()
    with writer.namespace(""):
        helpers(writer)
        _sample(writer, design, run)
        writer.raw(BATCH)
        writer.raw(COMPARE)
        _golden(writer, design)
    writer.line()
    writer.raw(MAIN)
    return writer.text()


HEAD = [
    "Test bench.",
    "",
    "  tb             runs the golden vectors and prints PASS, or FAIL with the first difference",
    "  tb IN OUT N    runs N samples of the file IN and writes the results to the file OUT",
    "",
    "Files hold the elements of all ports, sample by sample, in the order in which they travel: little-endian, without",
    "gaps.",
]


def _sample(writer: Writer, design: Accelerator, run: Write) -> None:
    """The memory of one sample, and what can be done with it."""
    with writer.block("struct Sample", "} sample;"):
        for port in (*design.inputs, *design.outputs):
            writer.line(f"{port.code.port} {port.name}[{port.count}];")
        writer.line()
        with writer.block("bool read(std::FILE* file)"):
            reads = [f"std::fread({p.name}, sizeof {p.name}, 1, file) == 1" for p in design.inputs]
            writer.line(f"return {' && '.join(reads) or 'file != nullptr'};")
        writer.line()
        with writer.block("bool write(std::FILE* file) const"):
            writes = [f"std::fwrite({p.name}, sizeof {p.name}, 1, file) == 1" for p in design.outputs]
            writer.line(f"return {' && '.join(writes)};")
        writer.line()
        with writer.block("void run()"):
            run(writer)
    writer.line()


def _run(writer: Writer, design: Design, name: str, io: Io) -> None:
    ports = [*design.inputs, *design.outputs]
    if io == "m_axi":
        writer.line(f"{name}({', '.join(p.name for p in ports)});")
        return
    for port in ports:
        writer.line(f'irc::stream<{port.code.port}> {port.name}_port("{port.name}");')
    for port in design.inputs:
        with writer.block(f"for (int i = 0; i < {port.count}; i++)"):
            writer.line(f"{port.name}_port.write({port.name}[i]);")
    writer.line(f"{name}({', '.join(f'{p.name}_port' for p in ports)});")
    for port in design.outputs:
        with writer.block(f"for (int i = 0; i < {port.count}; i++)"):
            writer.line(f"{port.name}[i] = {port.name}_port.read();")


def _golden(writer: Writer, design: Accelerator) -> None:
    writer.line("/// Runs the golden vectors.")
    with writer.block("int run_golden()"):
        with writer.block("for (int i = 0; i < golden_samples; i++)"):
            for port in design.inputs:
                writer.line(f"std::memcpy(sample.{port.name}, golden_{port.name}[i], sizeof sample.{port.name});")
            writer.line("sample.run();")
            for port in design.outputs:
                check = f'equal(sample.{port.name}, golden_{port.name}[i], "{port.name}", i)'
                with writer.block(f"if (!{check})"):
                    writer.line("return 1;")
        writer.line(
            'std::printf("%s: %d samples\\n", golden_samples > 0 ? "PASS" : "no golden vectors", golden_samples);'
        )
        writer.line("return 0;")
    writer.line()
