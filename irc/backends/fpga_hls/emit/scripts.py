"""Scripts of a project, and the guide to it."""

from __future__ import annotations

from collections.abc import Sequence

from irc.backends.fpga_hls.device import Part
from irc.backends.fpga_hls.emit.stages import group_of
from irc.backends.fpga_hls.emit.top import Io, port_text
from irc.backends.fpga_hls.emit.writer import harmless, source_text
from irc.backends.fpga_hls.resources import cycles
from irc.backends.fpga_hls.stage import Design, Stage

FLAGS = "-std=c++14 -O2 -ffp-contract=off -Wall -Wextra -Wno-unknown-pragmas"


def makefile(name: str) -> str:
    """`Makefile`"""
    return "\n".join(
        [
            "# make          runs the golden vectors in a C simulation with plain integers",
            "# make ap       the same with the vendor's integer types: AP_TYPES is the folder of ap_int.h and hls_stream.h",
            "# make hls      C simulation, synthesis and co-simulation by Vitis HLS",
            "",
            "CXX ?= g++",
            f"FLAGS = {FLAGS}",
            f"SOURCES = {name}.cpp tb.cpp",
            "HEADERS = $(wildcard *.h irc/*.h stages/*.h weights/*.h)",
            "",
            "check: tb",
            "\t./tb",
            "",
            "tb: $(SOURCES) $(HEADERS)",
            "\t$(CXX) $(FLAGS) $(SOURCES) -o $@",
            "",
            "ap: tb_ap",
            "\t./tb_ap",
            "",
            "tb_ap: $(SOURCES) $(HEADERS)",
            "\t$(CXX) $(FLAGS) -DIRC_AP_TYPES -isystem $(AP_TYPES) $(SOURCES) -o $@",
            "",
            "hls:",
            "\tvitis_hls -f run_hls.tcl",
            "",
            "clean:",
            f"\trm -rf tb tb_ap {name}_hls",
            "",
            ".PHONY: check ap hls clean",
            "",
        ]
    )


def run_hls(name: str, part: Part, clock: float) -> str:
    """`run_hls.tcl`"""
    return "\n".join(
        [
            "# vitis_hls -f run_hls.tcl",
            f"open_project -reset {name}_hls",
            f"set_top {name}",
            f'add_files {name}.cpp -cflags "-std=c++14"',
            'add_files -tb tb.cpp -cflags "-std=c++14"',
            "add_files -tb golden.h",
            "open_solution -reset solution",
            f"set_part {part.part}",
            f"create_clock -period {1000 / clock:.3f}ns",
            "csim_design",
            "csynth_design",
            "cosim_design",
            "export_design -format ip_catalog",
            "exit",
            "",
        ]
    )


def guide(design: Design, name: str, part: Part, clock: float, io: Io) -> str:
    """`README.md`"""
    pace = max((cycles(stage) for stage in design.stages), default=0)
    return "\n".join(
        [
            f"# {name}",
            "",
            f"A dataflow accelerator in Vitis HLS C++ for {part.name} ({part.part}) at {clock:g} MHz.",
            f"Every row of the table below is one process; they all work at once. The slowest takes {pace} cycles a sample,",
            f"so {clock * 1e6 / max(pace, 1):.0f} samples a second if memory keeps up.",
            "",
            "## Use",
            "",
            "    make                      # golden vectors, C simulation with g++: prints PASS",
            "    ./tb in.bin out.bin 100   # 100 samples of a file: ports in order, little-endian, without gaps",
            "    make ap AP_TYPES=<folder> # the same with ap_int and hls::stream",
            "    make hls                  # C simulation, synthesis, co-simulation, IP by Vitis HLS",
            "",
            "## Ports",
            "",
            *(f"- `{port_text(port)}`" for port in (*design.inputs, *design.outputs)),
            "",
            _interface_text(io),
            "A code is what the integer graph computes with: quantizing inputs and dequantizing results is the host's work.",
            "`lowered.irc` of the artifact has both: `@main` is quantize, `@accelerator`, dequantize.",
            "",
            "## Find a layer",
            "",
            "Stages in order of execution. Names are the module paths of the model with `_` for everything but letters and",
            "digits. Each stage is a function in its file below `stages/`, behind a comment with its place in the model; its",
            "constants are in `weights/<stage>.h`.",
            "",
            "| layer | stage | file | template | pe x simd | cycles |",
            "|---|---|---|---|---|---|",
            *map(_row, design.stages),
            "",
            "## Change the folding",
            "",
            "`pe` (output channels at once) and `simd` (input channels at once) decide how many multipliers a stage has, and",
            "how its weights are packed. So they are chosen when the project is written, not in the C++:",
            "",
            "    irc compile ... --backend 'hls{fold=" + _fold_example(design.stages) + "}'",
            "    irc compile ... --backend 'hls{fps=1000}'     # only as many multipliers as that needs",
            "    irc compile ... --backend 'hls{dsp=0.5}'      # at most half of the DSPs",
            "",
            "## Files",
            "",
            "| file | content |",
            "|---|---|",
            f"| `{name}.cpp`, `{name}.h` | top function: interfaces, streams with their depths, calls of the stages |",
            "| `stages/` | one function a stage, with its configuration and epilogue; one file for each top-level module |",
            "| `weights/` | constant arrays, packed as `irc/rom.h` says |",
            "| `irc/` | the templates: all algorithms, the same for every model |",
            "| `tb.cpp`, `golden.h` | test bench and golden vectors |",
            "| `run_hls.tcl`, `Makefile` | scripts |",
            "",
        ]
    )


def _interface_text(io: Io) -> str:
    if io == "axis":
        return "Ports are AXI4-Stream without side channels (no TLAST): a sample is as many elements as stated.\n"
    return "Ports are AXI4 masters, one bundle each; start and done are in the AXI4-Lite registers.\n"


def _row(stage: Stage) -> str:
    pe, simd = stage.fold
    sources = [harmless(source_text(s)).replace("|", "/") for s in stage.loc.sources[:1]] or ["(no module path)"]
    size = f"{pe} x {simd}" if stage.foldable else ""
    return f"| {sources[0]} | `{stage.name}` | `stages/{group_of(stage)}.h` | {stage.template} | {size} | {cycles(stage)} |"


def _fold_example(stages: Sequence[Stage]) -> str:
    return next((f"{s.name}:8x4" for s in stages if s.template == "linear"), "head:8x4")
