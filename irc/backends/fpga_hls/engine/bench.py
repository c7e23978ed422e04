"""The test bench of an engine: three memories, filled from the files of the project."""

from __future__ import annotations

from irc.backends.fpga_hls.emit.writer import Writer, folded
from irc.backends.fpga_hls.engine.emit import PORTS, place_of
from irc.backends.fpga_hls.engine.plan import Plan
from irc.backends.fpga_hls.testbench import bench

NOTES = ["The memories are filled from the files *.bin of the folder $IRC_PROJECT, or the current one."]

FILL = """\
/// Fills a memory from a file of the project.
bool fill(const char* name, irc::Word* memory, long size) {
    const char* folder = std::getenv("IRC_PROJECT");
    char path[4096];
    std::snprintf(path, sizeof path, "%s/%s", folder != nullptr ? folder : ".", name);
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr || (size > 0 && std::fread(memory, size, 1, file) != 1)) {
        std::fprintf(stderr, "cannot read %s\\n", path);
        std::exit(1);
    }
    return std::fclose(file) == 0;
}

"""


def testbench(plan: Plan, name: str) -> str:
    """`tb.cpp`"""
    return bench(plan, name, NOTES, lambda w: _memories(w, name), lambda w: _run(w, plan, name))


def _memories(writer: Writer, name: str) -> None:
    for memory in ("activations", "weights", "parameters"):
        writer.line(f"irc::Word {memory}[{name.upper()}_{memory.upper()} / irc::WORD_BYTES];")
    writer.line()
    writer.raw(FILL)


def _run(writer: Writer, plan: Plan, name: str) -> None:
    upper = name.upper()
    fills = [
        f'fill("{memory}.bin", {memory}, {upper}_{size})'
        for memory, size in (("activations", "CONSTANTS"), ("weights", "WEIGHTS"), ("parameters", "PARAMETERS"))
    ]
    writer.line(f"static const bool filled = {' && '.join(fills)};")
    with writer.block("if (!filled)"):
        writer.line("return;")
    writer.line("uint8_t* const bytes = reinterpret_cast<uint8_t*>(activations);")
    for port in plan.inputs:
        writer.line(f"std::memcpy(bytes + {place_of(name, port)}, {port.name}, sizeof {port.name});")
    memories = {"weights": "weights", "parameters": "parameters", "from": "bytes", "to": "bytes"}
    writer.line(folded(f"{name}(", [memories.get(port, "activations") for port in PORTS], ");", "    "))
    for port in plan.outputs:
        writer.line(f"std::memcpy({port.name}, bytes + {place_of(name, port)}, sizeof {port.name});")
