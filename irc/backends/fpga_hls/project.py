"""All files of a project, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from irc.backends.fpga_hls.emit.codes import codes_script
from irc.backends.fpga_hls.emit.scripts import guide, makefile, run_hls
from irc.backends.fpga_hls.emit.stages import grouped
from irc.backends.fpga_hls.emit.top import Io, stage_file, top_header, top_source, weight_file
from irc.backends.fpga_hls.identifiers import TEMPLATES
from irc.backends.fpga_hls.stage import Design
from irc.backends.fpga_hls.testbench import golden_header, testbench
from irc.backends.fpga_hls.utilisation import Bill
from irc.ir.scalars import Array

Samples = Sequence[tuple[Sequence[Array], Sequence[Array]]]


def sources(design: Design, name: str, io: Io) -> dict[str, str]:
    """The synthesizable part."""
    files = {f"{name}.h": top_header(design, name, io), f"{name}.cpp": top_source(design, name, io)}
    for group, stages in grouped(design.stages).items():
        files[f"stages/{group}.h"] = stage_file(name, group, stages)
    for stage in design.stages:
        if stage.roms:
            files[f"weights/{stage.name}.h"] = weight_file(name, stage)
    files |= templates(files)
    return files


def templates(files: dict[str, str]) -> dict[str, str]:
    """The template headers that the files include, and those that these include."""
    wanted = sorted({n for text in files.values() for n in re.findall(r'#include "(?:\.\./)?irc/(\w+\.h)"', text)})
    found: dict[str, str] = {}
    while wanted:
        header = wanted.pop()
        text = (TEMPLATES / header).read_text(encoding="ascii")
        found[f"irc/{header}"] = text
        wanted += [n for n in re.findall(r'#include "(\w+\.h)"', text) if f"irc/{n}" not in found]
    return dict(sorted(found.items()))


def project(
    design: Design, name: str, io: Io, bill: Bill, clock: float, samples: Samples, averages: Mapping[str, Any]
) -> dict[str, str]:
    """Everything: the sources for a part at a clock (MHz), a test bench with these golden vectors, scripts, a guide.

    `averages` are figures of the golden vectors by label, where counts decide them.
    """
    return {
        **sources(design, name, io),
        "tb.cpp": testbench(design, name, io),
        "golden.h": golden_header(design, samples),
        "codes.py": codes_script(design.inputs, design.outputs),
        "Makefile": makefile(name),
        "run_hls.tcl": run_hls(name, bill.part, clock),
        "README.md": guide(design, name, bill, clock, io, averages),
    }
