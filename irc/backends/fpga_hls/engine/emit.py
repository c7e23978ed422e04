"""The engine as C++: the table of layers, the top function, and what the test bench runs."""

from __future__ import annotations

from collections.abc import Sequence

from irc.backends.fpga_hls.emit.writer import Writer, folded, harmless, loc_lines
from irc.backends.fpga_hls.engine.memory import WORD, element_bytes
from irc.backends.fpga_hls.engine.plan import Parameters, Plan
from irc.backends.fpga_hls.engine.program import (
    MOVE_LOOPS,
    STEPS,
    Access,
    Computed,
    Fold,
    Gather,
    Gemm,
    Layer,
    Move,
    Norm,
    Port,
    Rank,
    Softmax,
    Step,
    Tiled,
    Window,
)
from irc.backends.fpga_hls.types import literal

PORTS = {
    "image": ("const irc::Word*", "activations: the first operand of a layer"),
    "weights": ("const irc::Word*", "weights"),
    "computed": ("const irc::Word*", "activations: weights that are computed"),
    "operands": ("const irc::Word*", "activations: further operands"),
    "parameters": ("const irc::Word*", "parameters"),
    "result": ("irc::Word*", "activations: results"),
    "from": ("const uint8_t*", "activations, by bytes: what is moved"),
    "to": ("uint8_t*", "activations, by bytes: where it goes"),
}
"""Ports of the top function: type, and the memory that a host passes to each."""


def top_header(plan: Plan, name: str) -> str:
    """`<name>.h`: what a host or test bench includes."""
    writer = Writer()
    writer.comment("The accelerator: one engine for all layers. It works on three memories; those of weights and of")
    writer.comment(
        "parameters, and the beginning of that of activations, are filled once from the files beside this one."
    )
    writer.comment("A host writes the inputs to their places, runs it, and reads the results from theirs.")
    writer.line()
    with writer.guard(f"{name.upper()}_H"):
        writer.directive('#include "irc/engine_layer.h"')
        writer.line()
        memories = (
            ("ACTIVATIONS", plan.activation_bytes, "bytes of activations"),
            ("CONSTANTS", len(plan.constants), "of these, what activations.bin holds"),
            ("WEIGHTS", len(plan.weights), "bytes of weights.bin"),
            ("PARAMETERS", len(plan.parameters), "bytes of parameters.bin"),
        )
        for memory, size, text in memories:
            writer.line(f"const int {name.upper()}_{memory} = {size}; // {text}")
        writer.line()
        for port in (*plan.inputs, *plan.outputs):
            writer.comment(port_text(port))
            writer.line(f"const int {place_of(name, port)} = {byte_of(port)};")
        writer.line()
        for port, (_, text) in PORTS.items():
            writer.comment(f"{port}: {text}")
        writer.line(f"{_head(name)};")
    return writer.text()


def byte_of(port: Port) -> int:
    """The byte of the memory of activations at which a port begins."""
    return port.view.buffer.place + port.view.offset * port.view.element


def place_of(name: str, port: Port) -> str:
    return f"{name.upper()}_AT_{port.name.upper()}"


def port_text(port: Port) -> str:
    """`x: 1024 x Unsigned<8> as uint8_t, loops ((1024, 1),) of [1, 1, 32, 32]`"""
    shape = ", ".join(map(str, port.shape))
    loops = ", ".join(f"{extent} by {stride}" for extent, stride in port.layout.loops) or "one element"
    return f"{port.name}: {port.count} x {port.code.cpp} as {port.code.port}: of [{shape}] in C order, {loops}"


def _head(name: str) -> str:
    return folded(f"void {name}(", [f"{kind} {port}" for port, (kind, _) in PORTS.items()], ")")


def top_source(plan: Plan, name: str, watch: str = "") -> str:
    """`<name>.cpp`; `watch` is a function to call on the memory of activations behind every layer, in a simulation."""
    writer = Writer()
    if watch:
        writer.directive(f'#include "{watch}.h"')
    writer.directive(f'#include "{name}.h"')
    writer.line()
    writer.directive('#include "irc/engine.h"')
    writer.directive('#include "layers.h"')
    writer.line()
    with writer.namespace(namespace(name)):
        writer.comment("What is built: a tile, and the columns of it that are multiplied at once.")
        with writer.block("struct Size", "};"):
            for field, value in size_fields(plan):
                writer.line(f"static constexpr int {field} = {value};")
        writer.line()
    writer.line()
    with writer.block(_head(name)):
        for port in PORTS:
            depth = _depth(plan, port)
            writer.pragma(f"INTERFACE mode=m_axi port={port} offset=slave bundle={port} depth={depth}")
        writer.pragma("INTERFACE mode=s_axilite port=return")
        space = namespace(name)
        if watch:
            with writer.block(f"for (const irc::Layer& layer : {space}::layers)"):
                writer.line(folded(f"irc::run_layer<{space}::Size>(", ["layer", *PORTS], ");", "    "))
                writer.line(f"{watch}(result, {plan.activation_bytes // WORD});")
        else:
            writer.line(folded(f"irc::run_layers<{space}::Size>(", [f"{space}::layers", *PORTS], ");", "    "))
    return writer.text()


def namespace(name: str) -> str:
    return f"{name}_engine"


def size_fields(plan: Plan) -> list[tuple[str, int]]:
    """The fields of the template argument `Size`."""
    size = plan.size
    fields = ("pe", "simd", "rows", "columns", "words", "groups", "turns", "packs")
    return [(field, getattr(size, field)) for field in fields]


def _depth(plan: Plan, port: str) -> int:
    bytes_of = {"weights": len(plan.weights), "parameters": len(plan.parameters)}.get(port, plan.activation_bytes)
    return bytes_of if port in ("from", "to") else bytes_of // WORD


# -- the table


def layer_table(plan: Plan, name: str) -> str:
    """`layers.h`"""
    writer = Writer()
    writer.comment("The layers in order; irc/engine_layer.h says what the fields are.")
    writer.line()
    with writer.guard(f"{name.upper()}_LAYERS_H"):
        writer.directive('#include "irc/engine_layer.h"')
        writer.line()
        with writer.namespace(namespace(name)):
            writer.line(f"const irc::Layer layers[{len(plan.layers)}] = {{")
            for i, layer in enumerate(plan.layers):
                _layer(writer, plan, i, layer)
            writer.line("};")
            writer.line()
    return writer.text()


def kind_of(layer: Layer) -> str:
    """The kind of a layer, as in `Kind` of templates/engine_layer.h."""
    run = layer.run
    return run.kind if isinstance(run, Fold) else type(run).__name__.upper()


def _layer(writer: Writer, plan: Plan, i: int, layer: Layer) -> None:
    run = layer.run
    writer.line(f"    // {layer.name}")
    for text in loc_lines(layer.loc):
        writer.line("    // " + harmless(text))
    lines = _move(run) if isinstance(run, Move) else _tiled(plan, i, run)
    writer.line("    {")
    writer.line(f"        irc::{kind_of(layer)},")
    writer.lines(f"        {text}" for text in lines)
    writer.line("    },")


def _numbers(values: Sequence[int], note: str) -> str:
    return f"{', '.join(map(str, values))}, // {note}"


NO_ACCESS = "{0, 0, 0, 0, 0, 0},"
NO_STEP = "{irc::TAKE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, irc::KEEP, 0},"


def _access(found: Access | None, note: str) -> str:
    if found is None:
        return f"{NO_ACCESS} // {note}"
    code = found.buffer.code
    first = (found.buffer.place + found.offset) // WORD
    numbers = (first, found.batch, found.line, found.pixel, element_bytes(code), int(code.signed))
    return f"{{{', '.join(map(str, numbers))}}}, // {note}"


def _window(window: Window) -> str:
    numbers = (
        window.height, window.width, window.kernel_w, window.stride_h, window.stride_w, window.dilation_h,
        window.dilation_w, window.pad_top, window.pad_left, window.fill,
    )  # fmt: skip
    return f"{{{', '.join(map(str, numbers))}}}, // window"


def _tiled(plan: Plan, i: int, run: Tiled) -> list[str]:
    tiling = plan.tilings[i]
    assert tiling is not None
    rows, tail = run.rows, run.tail
    counts = (tiling.row_tiles, tiling.column_tiles, tiling.depth_tiles, tiling.of(rows.batches))
    second, third = (*tail.operands, None, None)[:2]
    return [
        _numbers((rows.batches, rows.count, rows.width, run.columns), "batches, rows, line_width, columns"),
        _numbers(_depth_of(run), "depth, depth_words, taps"),
        _numbers((tiling.rows, tiling.columns, tiling.words, tiling.pitch), "tile_rows, _columns, _words, pitch"),
        _numbers(counts, "row_tiles, column_tiles, depth_tiles, tiles"),
        _window(run.window if isinstance(run, Gemm | Fold) else Window()),
        _access(run.x, "x"),
        *_weights(run, plan.weight_words[i]),
        _access(second, "second"),
        _access(third, "third"),
        _access(tail.y, "y"),
        *_front(run),
        _numbers(
            _place(plan.parameter_places[i]), "parameters: place, vectors of front and steps, entries of their tables"
        ),
        *_norm(run),
        *_steps(tail.steps),
        "0, 0, {}, {}, {},",
    ]


def _depth_of(run: Tiled) -> tuple[int, int, int]:
    if isinstance(run, Gemm):
        return run.depth, run.depth_words, run.taps
    return (run.scores, run.packs, 1) if isinstance(run, Rank) else (1, 1, run.taps)


def _weights(run: Tiled, word: int) -> list[str]:
    if isinstance(run, Softmax):
        return [_access(run.mask, "mask")]
    if isinstance(run, Gather):
        return [_access(run.indices, "indices")]
    if not isinstance(run, Gemm):
        return [_access(None, "w")]
    if isinstance(run.w, Computed):
        return [_access(run.w.access, "w")]
    return [f"{{{word}, 0, 0, 0, 1, {int(run.w.code.signed)}}}, // w"]


def _front(run: Tiled) -> list[str]:
    mask = isinstance(run, Softmax) and run.mask is not None
    x_zp = run.x_zp if isinstance(run, Gemm | Fold | Norm) else 0
    source, bits, w_zp = "irc::PACKED", 8, 0
    if isinstance(run, Gemm):
        w_zp = run.w_zp
        if isinstance(run.w, Computed):
            source = "irc::BY_COLUMN" if run.w.by_column else "irc::BY_ROW"
        else:
            bits = run.w.bits
    return [f"{int(mask)}, {x_zp}, {w_zp}, {source}, {bits}, // has_mask, x_zp, w_zp, weights, weight_bits"]


def _place(found: Parameters) -> tuple[int, ...]:
    return (found.begin, found.front_vectors, found.step_vectors, found.front_table, found.step_table)


def _norm(run: Tiled) -> list[str]:
    eps, center, shift, zp = 1, 0, 1, 0
    if isinstance(run, Norm):
        eps, center, shift, zp = run.eps, int(run.center), run.shift, run.zp
    elif isinstance(run, Softmax):
        shift = run.frac
    pinned = run.pinned if isinstance(run, Rank) else 0
    return [_numbers((eps, center, shift, zp, pinned), "eps, center, shift, zp, pinned")]


def _steps(steps: Sequence[Step]) -> list[str]:
    rows = [*map(_step, steps), *[NO_STEP] * (STEPS - len(steps))]
    return [f"{len(steps)}, // steps", "{", *(f"    {row}" for row in rows), "},"]


def _step(step: Step) -> str:
    numbers = (
        step.target, step.a, step.b, step.c, step.constant, step.shift, step.x_zp, step.zp, step.low, step.high,
    )  # fmt: skip
    shown = ", ".join(map(literal, map(int, numbers)))
    return f"{{irc::{step.operation}, {shown}, irc::{step.then}, {step.lowest}}},"


def _move(run: Move) -> list[str]:
    loops = [*[(1, 0, 0)] * (MOVE_LOOPS - len(run.loops)), *run.loops]
    extents, sources, targets = (", ".join(str(loop[i]) for loop in loops) for i in range(3))
    places = tuple(place.buffer.place + place.offset for place in (run.x, run.y))
    return [
        _numbers((1, run.bytes, 1, 0), "batches, rows: bytes to move, line_width, columns"),
        "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,",
        _window(Window()),
        *(_access(None, note) for note in ("x", "w", "second", "third", "y")),
        "0, 0, 0, irc::PACKED, 8,",
        "0, 0, 0, 0, 0,",
        "1, 0, 1, 0, 0,",
        *_steps(()),
        _numbers(places, "from, to"),
        f"{{{extents}}}, // extent",
        f"{{{sources}}}, // from_pitch",
        f"{{{targets}}}, // to_pitch",
    ]
