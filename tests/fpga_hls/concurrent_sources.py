"""The sources of a design with the processes of every DATAFLOW region side by side, and FIFOs of the declared depth.

`concurrent.h` takes the place of the simulation's streams. Each call in a region becomes a process, at whose end the
region waits; a process that reads a memory begins when the one that fills it has ended. Blocks and samples follow one
another without overlap, so less is in flight than in hardware.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from hls_designs import write

from irc.backends.fpga_hls.lint.check import HEADERS, PARSER
from irc.backends.fpga_hls.lint.dataflow_rules import (
    Roles,
    channels,
    is_stream,
    processes,
    regions,
    scalar_writers,
    scalars,
    users,
)
from irc.backends.fpga_hls.lint.facts import Call, Facts, Scope, bare
from irc.backends.fpga_hls.lint.tree import Node
from irc.tables import resolve

STREAMS = (Path(__file__).parent / "concurrent.h").read_text(encoding="ascii")
BOUND = re.compile(r"#pragma HLS STREAM variable=(\w+) depth=(\S+)")


def concurrent(files: dict[str, str], name: str, folder: Path) -> dict[str, str]:
    """The sources with top function `name`, rewritten; `folder` is for their originals."""
    write(files, folder)
    flags = ["-nostdinc", "-isystem", str(HEADERS), "-D__SYNTHESIS__"]
    facts = Facts(resolve(PARSER)(folder / f"{name}.cpp", folder, flags))
    roles = Roles(facts)
    inserted: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for region in regions(facts):
        begin, end = region.block.begin + 1, region.block.end - 1
        calls = processes(facts, region)
        found = inserted[region.block.file]
        found += [(begin, " irc::Region irc_region;"), (end, "irc_region.join(); ")]
        for call in calls:
            after = _filled_by(call, calls, region, roles)
            found += [(call.node.begin, f"irc_region.run({after}, [&] {{ "), (call.node.end, "; })")]
    texts = {file: BOUND.sub(r"\1.bound(\2);", _insert(text, inserted[file])) for file, text in files.items()}
    return {**texts, "irc/irc_stream.h": STREAMS}


def _filled_by(call: Call, calls: list[Call], region: Scope, roles: Roles) -> int:
    """The process that fills a memory, or finds a number, which a call reads; -1 if it reads none."""
    for scalar in scalars(region):
        writers = scalar_writers(scalar, calls)
        if calls.index(call) not in writers and _is_given(call, scalar):
            return writers[0]
    for memory in channels(region):
        if not is_stream(memory) and calls.index(call) in users(memory, calls, roles, "read"):
            return users(memory, calls, roles, "write")[0]
    return -1


def _is_given(call: Call, variable: Node) -> bool:
    return any(bare(node).kind == "DECL_REF_EXPR" and variable.place in bare(node).refers for node in call.arguments)


def _insert(text: str, inserted: list[tuple[int, str]]) -> str:
    for offset, new in sorted(inserted, reverse=True):
        text = text[:offset] + new + text[offset:]
    return text
