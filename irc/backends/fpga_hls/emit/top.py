"""The top function: interfaces, streams, and one call a stage in a dataflow region."""

from __future__ import annotations

from typing import Literal

from irc.backends.fpga_hls.emit.stages import grouped, write_stage
from irc.backends.fpga_hls.emit.weights import write_roms
from irc.backends.fpga_hls.emit.writer import Writer, folded, harmless
from irc.backends.fpga_hls.stage import Design, Port, Stage
from irc.ir.location import ROOT

Io = Literal["m_axi", "axis"]


def top_header(design: Design, name: str, io: Io) -> str:
    """`<name>.h`: what a host or test bench includes."""
    writer = Writer()
    writer.comment(
        "The accelerator. Inputs and outputs are integer codes; the order of their elements is given beside them."
    )
    writer.line()
    with writer.guard(f"{name.upper()}_H"):
        writer.directive('#include "irc/irc_stream.h"')
        writer.line()
        for port in (*design.inputs, *design.outputs):
            writer.comment(port_text(port))
        writer.line(f"void {name}({_parameters(design, io)});")
    return writer.text()


def port_text(port: Port) -> str:
    """`x: 1024 codes (uint8_t), order h, w, c of [1, 1, 32, 32] (dimensions 2, 3, 1)`"""
    return f"{port.name}: {port.count} x {port.code.cpp} as {port.code.port}, {order_text(port)}"


def order_text(port: Port) -> str:
    """How the elements of a port travel, in words."""
    shape = ", ".join(map(str, port.shape))
    loops = port.layout.split(port.shape)
    if loops is None or not loops:
        return (
            f"the elements of [{shape}] in C order"
            if port.layout.count <= 1
            else f"[{shape}], loops {port.layout.loops}"
        )
    dims = [loop.dim for loop in loops]
    if dims == sorted(dims):
        return f"[{shape}] in C order"
    return f"[{shape}] with dimension {', '.join(map(str, dims))} from the outermost to the innermost"


def _parameters(design: Design, io: Io) -> str:
    if io == "axis":
        ports = [f"irc::stream<{p.code.port}>& {p.name}" for p in (*design.inputs, *design.outputs)]
    else:
        ports = [f"const {p.code.port} {p.name}[{p.count}]" for p in design.inputs]
        ports += [f"{p.code.port} {p.name}[{p.count}]" for p in design.outputs]
    return ", ".join(ports)


def top_source(design: Design, name: str, io: Io, watch: str = "") -> str:
    """`<name>.cpp`; `watch` is a function to call on every stream between two stages, in a simulation."""
    writer = Writer()
    if watch:
        writer.directive(f'#include "{watch}.h"')
    writer.directive(f'#include "{name}.h"')
    writer.line()
    for header in sorted({"port.h", "tensor.h"}):
        writer.directive(f'#include "irc/{header}"')
    for group in grouped(design.stages):
        writer.directive(f'#include "stages/{group}.h"')
    writer.line()
    with writer.block(f"void {name}({_parameters(design, io)})"):
        _interfaces(writer, design, io)
        writer.pragma("DATAFLOW")
        if design.stages:
            writer.line(f"using namespace {namespace(name)};")
        writer.line()
        writer.comment("FIFOs; where paths part and join again, the shorter one holds what the longer one delays.")
        for stream in design.streams:
            writer.line(f'irc::stream<irc::{stream.code.storage}> {stream.name}("{stream.name}");')
            writer.pragma(f"STREAM variable={stream.name} depth={stream.depth}")
        writer.line()
        for port in design.inputs:
            call = f"load<{port.count}>" if io == "m_axi" else f"copy<{port.count}>"
            writer.line(f"irc::{call}({port.name}, {port.stream.name});")
        path = None
        for stage in design.stages:
            if stage.loc.path != path:
                path = stage.loc.path
                writer.line()
                writer.comment(path or ROOT)
            streams = [s.name for s in (*stage.inputs, *stage.outputs)]
            writer.line(folded(f"{stage.name}(", streams, ");", "    "))
            if watch:
                writer.lines(f"{watch}({stream.name});" for stream in stage.outputs)
        writer.line()
        for port in design.outputs:
            call = f"save<{port.count}>" if io == "m_axi" else f"copy<{port.count}>"
            writer.line(f"irc::{call}({port.stream.name}, {port.name});")
    return writer.text()


def _interfaces(writer: Writer, design: Design, io: Io) -> None:
    for port in (*design.inputs, *design.outputs):
        if io == "axis":
            writer.pragma(f"INTERFACE mode=axis port={port.name}")
        else:
            writer.pragma(f"INTERFACE mode=m_axi port={port.name} offset=slave bundle={port.name} depth={port.count}")
    if io == "m_axi":
        writer.pragma("INTERFACE mode=s_axilite port=return")
    else:
        writer.pragma("INTERFACE mode=ap_ctrl_none port=return")


def namespace(name: str) -> str:
    return f"{name}_stages"


HELPERS = {"requantize_float": "arith_float.h", "extend_code": "rom.h"}
"""Functions of epilogues that not every template header brings along."""


def stage_file(name: str, group: str, stages: list[Stage]) -> str:
    """`stages/<group>.h`"""
    writer = Writer()
    writer.comment(f"Stages of {harmless(group)}, in order of execution.")
    writer.line()
    with writer.guard(f"{name.upper()}_STAGES_{group.upper()}_H"):
        headers = {stage.header for stage in stages}
        headers |= {HELPERS[word] for word in HELPERS if any(s.epilogue and s.epilogue.uses(word) for s in stages)}
        for header in sorted(headers):
            writer.directive(f'#include "../irc/{header}"')
        for stage in stages:
            if stage.roms:
                writer.directive(f'#include "../weights/{stage.name}.h"')
        writer.line()
        with writer.namespace(namespace(name)):
            writer.line("using namespace irc;")
            writer.line()
            for stage in stages:
                write_stage(writer, stage)
    return writer.text()


def weight_file(name: str, stage: Stage) -> str:
    """`weights/<stage>.h`"""
    writer = Writer()
    writer.comment(f"Constants of {stage.name}: {stage.loc.path or ROOT}")
    writer.line()
    with writer.guard(f"{name.upper()}_WEIGHTS_{stage.name.upper()}_H"):
        writer.directive("#include <cstdint>")
        writer.line()
        with writer.namespace(namespace(name)):
            write_roms(writer, stage)
    return writer.text()
