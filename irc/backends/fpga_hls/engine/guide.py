"""The guide to a project with an engine."""

from __future__ import annotations

from irc.backends.fpga_hls.emit.scripts import CODES, INTERFACES, USE
from irc.backends.fpga_hls.emit.writer import harmless, source_text
from irc.backends.fpga_hls.engine.cost import Cost
from irc.backends.fpga_hls.engine.emit import PORTS, kind_of, port_text
from irc.backends.fpga_hls.engine.memory import WORD
from irc.backends.fpga_hls.engine.plan import Plan
from irc.backends.fpga_hls.engine.program import Layer, Size
from irc.backends.fpga_hls.engine.reports import Costs, utilisation
from irc.backends.fpga_hls.engine.schedule import SIZE
from irc.backends.fpga_hls.utilisation import Bill


def guide(plan: Plan, known: Costs, name: str, bill: Bill, clock: float) -> str:
    """`README.md`"""
    size, part = plan.size, bill.part
    cycles = sum(c.cycles for _, c in known)
    ports = "\n".join(f"- `{port_text(port)}`" for port in (*plan.inputs, *plan.outputs))
    rows = "\n".join(_row(layer, c, size) for layer, c in known)
    totals = "\n".join(f"| {use.kind} | {use.text} | {use.most} |" for use in bill.uses)
    memory = "\n".join(f"| `{port}` | {text} |" for port, (_, text) in PORTS.items())
    return f"""\
# {name}

One engine for all layers, in Vitis HLS C++ for {part.name} ({part.part}) at {clock:g} MHz: an array of
{size.pe} x {size.simd * WORD} multipliers and units for what is not a sum of products. Activations and weights are
in memory; `layers.h` is the table of what the engine does. An engine, since {plan.why}.

A sample takes {cycles} cycles, {cycles / clock / 1e3:.3f} ms, if every memory port carries {WORD} bytes a cycle.
The multipliers are busy {100 * utilisation(known, size):.0f} % of the time that sums of products take.

## Use

    make                      # golden vectors, C simulation with g++: prints PASS
    make ap AP_TYPES=<folder> # the same with ap_int
    irc lint .                # pragmas, loops, memories: what synthesis would refuse or run in sequence
    make hls                  # C simulation, synthesis, co-simulation, IP by Vitis HLS

{USE.format(name=name)}
## Memory

{ports}

`{name}.h` says how large the three memories are, and at which byte of the activations a port is; the files `*.bin` hold
what is there before the first run. Several ports lead to one memory, so that tiles are read while others are written:

| port | memory |
|---|---|
{memory}

{INTERFACES["m_axi"].format(name=name)}
Before the first run, the host fills the three memories from the files `*.bin`.

{CODES}
## Find a layer

Layers in order of execution; `layers.h` has an entry for each, behind a comment with its place in the model. `bound`
is what takes longest: reading (load), the array or unit (compute), what happens to results (steps), writing (store), or
moving bytes one by one (move). `busy` is the share of the multipliers.

| layer | entry | kind | cycles | bound | bytes of memory traffic | busy |
|---|---|---|---|---|---|---|
{rows}

What the engine takes of the part is estimated from its structure, not synthesised:

| of {part.name} | estimated | most of it in |
|---|---|---|
{totals}

## Change the engine

`Size` in `{name}.cpp` says how large it is. Weights are packed for it, so it is chosen when the project is written: the
fastest one within a share of the DSPs and LUTs of the part, or the one that you name. `schedule.txt` of the artifact
has the size and the rows of the tiles of every layer, by the entries above; keep the lines that you want to change:

    irc compile ... --schedule FILE    # `{SIZE} = {plan.schedule[SIZE]}`{_tile_example(plan)}
    irc compile ... --backend 'hls{{style=engine dsp=0.5 lut=0.5}}'   # the fastest in half of the DSPs and LUTs
    irc compile ... --backend 'hls{{style=engine fps=100}}'   # says if that is not reached
    irc compile ... --backend 'hls{{style=dataflow}}'     # a stage for each layer instead, everything on chip

`pe` columns times `simd` words of depth ({WORD} codes each) are multiplied at once; `rows`, `columns` and `words` are
the largest tile, which lies on chip.

## Files

| file | content |
|---|---|
| `{name}.cpp`, `{name}.h` | top function, sizes, places of ports in memory |
| `layers.h` | the table of layers |
| `irc/engine*.h` | the engine: all algorithms, the same for every model |
| `*.bin` | memories before the first run: weights tile by tile, parameters, constants among the activations |
| `tb.cpp`, `golden.h` | test bench and golden vectors |
| `codes.py` | floats to codes and back |
| `run_hls.tcl`, `Makefile` | scripts |
"""


def _tile_example(plan: Plan) -> str:
    """Of a layer in the middle."""
    lines = [f"{name} = {text}" for name, text in plan.schedule.items() if name != SIZE]
    return f", `{lines[len(lines) // 2]}`" if lines else ""


def _row(layer: Layer, found: Cost, size: Size) -> str:
    sources = layer.loc.sources
    path = harmless(source_text(sources[0])).replace("|", "/") if sources else "(no module path)"
    busy = f"{100 * found.utilisation(size):.0f} %" if found.macs else ""
    kind = kind_of(layer).lower()
    return f"| {path} | `{layer.name}` | {kind} | {found.cycles} | {found.bound} | {found.bytes} | {busy} |"
