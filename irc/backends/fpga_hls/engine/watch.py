"""The C simulation of an engine layer by layer: what each one leaves in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from irc.backends.fpga_hls.engine.emit import top_source
from irc.backends.fpga_hls.engine.memory import View
from irc.backends.fpga_hls.engine.plan import Plan
from irc.backends.fpga_hls.simulation import simulate
from irc.backends.fpga_hls.toolchain import FLAGS, compile_simulation
from irc.ir.graph import Value
from irc.ir.scalars import Array

WATCH = """\
// Writes the memory of activations behind every layer to the file $IRC_WATCH.

#include <cstdio>
#include <cstdlib>

#include "irc/engine_layer.h"

inline void watch(const irc::Word* memory, long words) {
    static std::FILE* const file = std::fopen(std::getenv("IRC_WATCH"), "ab");
    std::fwrite(memory, sizeof *memory, words, file);
    std::fflush(file);
}
"""


def engine_watched(plan: Plan, sources: Path, top: str, sample: Sequence[Array]) -> Iterator[tuple[Value, Array]]:
    """The values that layers compute for one sample, in order of execution."""
    with tempfile.TemporaryDirectory(prefix="irc-hls-") as scratch:
        folder = Path(scratch)
        (folder / "watch.h").write_text(WATCH, encoding="ascii")
        (folder / "watched.cpp").write_text(top_source(plan, top, watch="watch"), encoding="ascii")
        program, record = folder / "simulation", folder / "record.bin"
        compile_simulation(
            [folder / "watched.cpp", sources / "tb.cpp"], program, [*FLAGS, f"-I{sources}", f"-I{folder}"]
        )
        simulate(plan, program, [sample], IRC_WATCH=str(record), IRC_PROJECT=str(sources))
        memory = np.fromfile(record, np.uint8).reshape(len(plan.layers), plan.activation_bytes)
    for layer, state in zip(plan.layers, memory, strict=True):
        if layer.value is not None and layer.view is not None:
            yield layer.value, read_view(state, layer.view).astype(layer.value.type.scalar.dtype)


def read_view(memory: Array, view: View) -> Array:
    """The tensor of a view in an image of the memory of activations."""
    begin = view.buffer.place + view.offset * view.element
    elements = np.frombuffer(memory.tobytes()[begin:], view.code.port_dtype, _reach(view))
    strides = tuple(s * view.element for s in view.strides)
    return np.lib.stride_tricks.as_strided(elements, view.shape, strides)


def _reach(view: View) -> int:
    """Elements from the first to the last one, both included."""
    return 1 + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
