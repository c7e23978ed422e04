"""Scripts of a project, and the guide to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from irc.backends.fpga_hls.area import Area
from irc.backends.fpga_hls.device import Part
from irc.backends.fpga_hls.emit.stages import group_of
from irc.backends.fpga_hls.emit.top import Io, port_text
from irc.backends.fpga_hls.emit.writer import harmless, source_text
from irc.backends.fpga_hls.fifo import SMALLEST
from irc.backends.fpga_hls.folding import folding_text, lanes_of
from irc.backends.fpga_hls.resources import BIRTHS, LINEAR, cycles, pace
from irc.backends.fpga_hls.stage import Design, Stage
from irc.backends.fpga_hls.utilisation import Bill


def makefile(name: str) -> str:
    """`Makefile`"""
    return f"""\
# make          C simulation of the golden vectors with plain integers
# make ap       the same with the vendor's integer types; AP_TYPES is the folder of ap_int.h and hls_stream.h
# make hls      C simulation, synthesis and co-simulation by Vitis HLS; for releases without the command vitis_hls,
#               make hls VITIS_HLS="vitis-run --mode hls --tcl"

CXX ?= g++
VITIS_HLS = vitis_hls -f
FLAGS = -std=c++14 -O2 -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas
SOURCES = {name}.cpp tb.cpp
HEADERS = $(wildcard *.h irc/*.h stages/*.h weights/*.h)

check: tb
	./tb

tb: $(SOURCES) $(HEADERS)
	$(CXX) $(FLAGS) $(SOURCES) -o $@

ap: tb_ap
	./tb_ap

ifneq ($(filter ap tb_ap,$(MAKECMDGOALS)),)
ifeq ($(wildcard $(AP_TYPES)/ap_int.h),)
$(error AP_TYPES is to be the folder of ap_int.h: make ap AP_TYPES=<folder>)
endif
endif

tb_ap: $(SOURCES) $(HEADERS)
	$(CXX) $(FLAGS) -Wno-maybe-uninitialized -DIRC_AP_TYPES -isystem $(AP_TYPES) $(SOURCES) -o $@

hls:
	$(VITIS_HLS) run_hls.tcl

clean:
	rm -rf tb tb_ap {name}_hls

.PHONY: check ap hls clean
"""


def run_hls(name: str, part: Part, clock: float, data: Sequence[str] = ()) -> str:
    """`run_hls.tcl`; `data` are further files of the test bench."""
    files = "".join(f"add_files -tb {file}\n" for file in data)
    return f"""\
# make hls
open_project -reset {name}_hls
set_top {name}
add_files {name}.cpp -cflags "-std=c++14"
add_files -tb tb.cpp -cflags "-std=c++14"
add_files -tb golden.h
{files}open_solution -reset solution
set_part {part.part}
create_clock -period {1000 / clock:.3f}ns
csim_design
csynth_design
cosim_design
export_design -format ip_catalog
exit
"""


USE = """\
Ports carry codes. `codes.py` makes them from the floats of the model, and floats from the results, with NumPy alone; to
begin with, `golden/inputs.npz` of the artifact has samples:

    python3 codes.py encode ../golden/inputs.npz in.bin
    ./tb in.bin out.bin 1     # as many samples as `encode` says: ports in order, little-endian, without gaps
    python3 codes.py decode out.bin results.npz

`make ap` needs the headers of the vendor's integer types: the folder `include` of a Vitis HLS, or
`hls4ml/templates/vivado/ap_types` of the Python package hls4ml. `irc verify` on the artifact runs the C simulation on
any data and names the first layer that differs from the integer graph.

`make hls` leaves its reports in `{name}_hls/solution/syn/report/`: `csynth.rpt` to read, and `csynth.xml`, to which
`irc calibrate {name}_hls/solution/syn/report/csynth.xml` fits the estimates below. Part and clock stand in
`run_hls.tcl`; the code was folded for them, so another part or clock is better compiled again:
`irc compile ... --part NAME --backend 'hls{{clock=MHZ}}'`. Here and below, `...` is what this project was compiled
with: model, `--passes` and `--calib`; `manifest.json` of the artifact has passes and options.
"""
"""Behind the commands of a guide, which are the same for both styles."""

CODES = """\
A code is what the integer graph computes with: quantizing inputs and dequantizing results is the work of the host, as
in `codes.py`. `lowered.irc` of the artifact has both: `@main` is quantize, call of `@accelerator`, dequantize.
"""
"""Behind what a guide says of ports."""

INTERFACES = {
    "m_axi": """\
Ports are AXI4 masters, one bundle each; start and done are in the AXI4-Lite registers. `make hls` exports the IP to
`{name}_hls/solution/impl/ip`; with it comes a C driver, whose `x{name}_hw.h` lists the registers. A host writes the
physical address of a buffer to the 64-bit register of every port, sets bit 0 (start) of register 0x00 and waits for bit
1 (done): one sample.""",
    "axis": """\
Ports are AXI4-Stream without side channels (no TLAST): a sample is as many elements as stated. There are no registers;
the accelerator runs whenever there is input (`ap_ctrl_none`). `make hls` exports the IP to
`{name}_hls/solution/impl/ip`.""",
}


def guide(design: Design, name: str, bill: Bill, clock: float, io: Io, averages: Mapping[str, Any]) -> str:
    """`README.md`; `averages` are figures of golden vectors by label."""
    sample, part = pace(design), bill.part
    ports = "\n".join(f"- `{port_text(port)}`" for port in (*design.inputs, *design.outputs))
    rows = "\n".join(_row(stage, bill.areas[stage.name]) for stage in design.stages)
    totals = "\n".join(f"| {use.kind} | {use.text} | `{use.most}` |" for use in bill.uses)
    return f"""\
# {name}

A dataflow accelerator in Vitis HLS C++ for {part.name} ({part.part}) at {clock:g} MHz. Every row of the table below is
a process; all of them work at once. The slowest takes {sample} cycles a sample, so {clock * 1e6 / sample:.0f} samples a
second if memory keeps up.

## Use

    make                      # golden vectors, C simulation with g++: prints PASS
    make ap AP_TYPES=<folder> # the same with ap_int and hls::stream
    irc lint .                # pragmas, loops, streams: what synthesis would refuse or run in sequence
    make hls                  # C simulation, synthesis, co-simulation, IP by Vitis HLS

{USE.format(name=name)}
## Ports

{ports}

{INTERFACES[io].format(name=name)}

{CODES}
## Find a layer

Stages in order of execution. Names are the module paths of the model with `_` for everything but letters and digits.
Each stage is a function in its file below `stages/`, behind a comment with its place in the model; its constants are
in `weights/<stage>.h`.

| layer | stage | file | template | pe x simd | cycles | DSP | BRAM18 | LUT | FF |
|---|---|---|---|---|---|---|---|---|---|
{rows}

What stages take is estimated from their structure, not synthesised; a stage counts the FIFOs that it writes.
`report.html` of the artifact has multiply-accumulates and weights of each layer beside it. In all, with the ports of
the accelerator:

| of {part.name} | estimated | most of it in |
|---|---|---|
{totals}

## FIFOs

`{name}.cpp` declares one FIFO a stream, with its depth. Where one path leads, {SMALLEST} elements are enough. Where
paths part and join again, such as around a residual block, the FIFOs in front of the join are deep enough that no stage
waits for another in a circle. A larger depth is safe; a smaller one may deadlock, which C simulation does not show.

{_counts(design, averages)}## Change the folding

`pe` (output channels at once) and `simd` (input channels at once) decide how many multipliers a stage has, and how its
weights are packed. So they are chosen when the project is written, not in the C++. `8x4/2` lets one DSP make two of the
8 x 4 products, those of neighbouring output channels (`irc/packed.h`); a part of other DSPs may hold fewer. Products
with an operand below 9 bits that are not packed are LUTs; they become DSPs only when LUTs run out, so DSPs may be idle.

More multipliers make a stage faster only until something else bounds it: one element a cycle enters and leaves a stage,
and `pe` and `simd` that do not divide the channels leave multipliers idle in the last round. Stages work at once, so
only the slowest decides how many samples a second there are.

    irc compile ... --schedule FILE    # lines as in schedule.txt of the artifact: `{_fold_example(design.stages)}`
    irc compile ... --backend 'hls{{fps=1000}}'     # only as many multipliers as that needs
    irc compile ... --backend 'hls{{dsp=0.5 lut=0.5}}'   # multipliers until half of the DSPs or LUTs are used

## Files

| file | content |
|---|---|
| `{name}.cpp`, `{name}.h` | top function: interfaces, streams with their depths, calls of the stages |
| `stages/` | a function for each stage, with configuration and epilogue; a file for each top-level module |
| `weights/` | constant arrays, packed as `irc/rom.h` says |
| `irc/` | the templates: all algorithms, the same for every model |
| `tb.cpp`, `golden.h` | test bench and golden vectors |
| `codes.py` | floats to codes and back |
| `run_hls.tcl`, `Makefile` | scripts |
"""


def _counts(design: Design, averages: Mapping[str, Any]) -> str:
    """What readers have to know of counts that are born in the run; nothing without any."""
    born = [(stage, s.carries.most) for stage in design.stages for s in stage.outputs if s.carries is not None]
    born = [(stage, most) for stage, most in born if stage.template in BIRTHS]
    if not born:
        return ""
    rows = "\n".join(f"- `{stage.name}`: 1 to {most}" for stage, most in born)
    seen = "".join(f"- {label}: {value}\n" for label, value in averages.items())
    golden = f"In the golden samples:\n\n{seen}\n" if seen else ""
    return f"""\
## Counts

How many tokens stay differs from sample to sample. These stages find it:

{rows}

They write it to a FIFO; every stage behind them reads a copy (`irc::take_count`) before the sample and bounds its loops
by it. `Counted` in the configuration of a stage says what it makes of it; the other sizes, and all memories and FIFOs,
are those of the most there can be, as are the cycles above. `LOOP_TRIPCOUNT` tells synthesis the same.

{golden}"""


def _row(stage: Stage, used: Area) -> str:
    layer = harmless(source_text(stage.loc.sources[0])).replace("|", "/") if stage.loc.sources else "(no module path)"
    size = folding_text(stage) if stage.foldable else ""
    file = f"`stages/{group_of(stage)}.h`"
    costs = f"{used.dsp} | {used.bram18} | {used.lut} | {used.ff}"
    return f"| {layer} | `{stage.name}` | {file} | {stage.template} | {size} | {cycles(stage)} | {costs} |"


def _fold_example(stages: Sequence[Stage]) -> str:
    stage = next((s for s in stages if s.template in LINEAR), None)
    if stage is None:
        return "head = 8x4"
    outputs, inputs = lanes_of(stage)
    return f"{stage.name} = {min(8, outputs)}x{min(4 * stage.simd_step, inputs)}"
