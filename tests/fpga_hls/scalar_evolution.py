"""How often loops run, by LLVM: clang compiles the code as synthesis sees it, scalar evolution counts its loops.

The counts of a process are added up over its loops. A call costs what is called; functions in a DATAFLOW region are
processes of their own. Which loops are unrolled, and which functions are regions, pragmas say.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path

import pytest

from irc.backends.fpga_hls.lint.check import HEADERS, PARSER
from irc.backends.fpga_hls.lint.facts import Facts, Function, Loop
from irc.tables import resolve

READ = ["-std=c++14", "-nostdinc", "-nostdinc++", "-isystem", str(HEADERS), "-D__SYNTHESIS__"]
EMIT = ["-gline-tables-only", "-O1", "-Xclang", "-disable-llvm-passes", "-fno-exceptions", "-Wno-unknown-pragmas"]
KEEP_LOOPS = "-fwrapv"
"""A loop of one iteration would be none any more if its counter could not overflow."""
SIZE = r"^(define .*@_ZN\w*(?:2atEi|C[12]Ei|8tiles_ofEii)\(.*?)( #\d+ )"
"""Functions that make sizes of a count: `Fixed<65>::at(int)`, and what `Sizes` names."""
VERSIONS = range(13, 30)
KEEP_CALLS = "always-inline,function(sroa),ipsccp,function(instsimplify,loop-simplify)"
"""Sizes become numbers where the count is one, which all callers know who are there; calls and loops stay."""
INLINE = "cgscc(inline),function(sroa,early-cse,instcombine,simplifycfg,gvn,instcombine,simplifycfg,loop-simplify)"
"""The same with calls in place, and what constants decide decided."""


def llvm() -> tuple[str, str]:
    """clang and opt of one version; a skip where there is no such pair."""
    for version in VERSIONS:
        found = [shutil.which(f"{name}-{version}") for name in ("clang++", "opt")]
        if found[0] and found[1]:
            return found[0], found[1]
    pytest.skip("no clang++-N and opt-N of one version: apt-get install clang llvm")


@dataclass
class Code:
    """A function of the compiled program: where its source is, its blocks with the lines of each."""

    name: str
    file: str
    line: int
    blocks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def successors(self, block: str) -> list[str]:
        return re.findall(r"label %([\w.$-]+)", self.blocks[block][-1] if self.blocks[block] else "")

    @cached_property
    def predecessors(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {block: [] for block in self.blocks}
        for block in self.blocks:
            for after in self.successors(block):
                found[after].append(block)
        return found

    def natural_loop(self, header: str, latch: str) -> frozenset[str]:
        """The blocks from which the latch is reached without passing the header."""
        inside, todo = {header}, [latch]
        while todo:
            block = todo.pop()
            if block not in inside:
                inside.add(block)
                todo += self.predecessors[block]
        return frozenset(inside)


@dataclass(frozen=True)
class Counted:
    """A loop of the compiled program: its blocks, the file and line of its `for`, how often its body runs."""

    blocks: frozenset[str]
    file: str
    line: int
    count: int


class Program:
    """A compiled program, and what the linter knows of its source."""

    def __init__(self, source: Path, passes: str = KEEP_CALLS) -> None:
        clang, opt = llvm()
        text = _run([clang, *READ, *EMIT, KEEP_LOOPS, "-S", "-emit-llvm", str(source), "-o", "-"])
        text = re.sub(r"^(define) linkonce_odr(.*?) comdat", r"\1 internal\2", text, flags=re.MULTILINE)
        text = re.sub(SIZE, r"\1 alwaysinline\2", text, flags=re.MULTILINE)
        text = _run([opt, "-S", "-inline-threshold=1000000", f"-passes={passes}"], text)
        shown = _run([opt, "-disable-output", "-passes=print<scalar-evolution>"], text)
        self._metadata = dict(re.findall(r"^(!\d+) = (?:distinct )?(.*)$", text, re.MULTILINE))
        self._counts = _counts(shown)
        self._folder = source.parent.resolve()
        self.codes = {code.name: code for code in self._codes(text)}
        facts = Facts(resolve(PARSER)(source, source.parent, READ[1:]))
        self._functions = {(f.node.file, f.node.line): f for f in facts.functions}
        self._loops = {(loop.node.file, loop.node.line): loop for loop in facts.loops}

    def stage(self, name: str) -> list[tuple[str, int]]:
        """The processes of the stage function of that name, with their iterations."""
        (code,) = [c for c in self.codes.values() if re.match(rf"_ZN\w+_stages{len(name)}{name}E", c.name)]
        return self._processes(code, 1)

    def pipelined(self, name: str) -> int:
        """The iterations of the pipelined loops of an `extern "C"` function with its calls in place."""
        code = self.codes[name]
        loops = self._loops_of(code)
        total = 0
        for loop in loops:
            if self._source(code, loop).pragma("PIPELINE"):
                around = [other.count for other in loops if loop.blocks < other.blocks]
                total += loop.count * prod(around)
        return total

    # -- costs

    def _processes(self, code: Code, times: int) -> list[tuple[str, int]]:
        function = self._function(code)
        loops = self._loops_of(code)
        within = [loop for loop in loops if self._source(code, loop).pragma("DATAFLOW")]
        if within or function.has("DATAFLOW") or (function.has("INLINE") and not loops):
            times *= within[0].count if within else 1
            called = [self.codes[n] for block in code.blocks.values() for n in _called(block) if n in self.codes]
            return [process for callee in called for process in self._processes(callee, times)]
        return [(re.sub("<.*", "", function.name), times * self._cost(code))]

    def _cost(self, code: Code) -> int:
        return self._inside(code, self._loops_of(code), frozenset(code.blocks))

    def _inside(self, code: Code, loops: list[Counted], blocks: frozenset[str]) -> int:
        """The iterations of what is in some blocks; `loops` are all of the function, `blocks` perhaps one of them."""
        inner = [loop for loop in loops if loop.blocks < blocks]
        outermost = [loop for loop in inner if not any(loop.blocks < other.blocks for other in inner)]
        direct = blocks - {block for loop in outermost for block in loop.blocks}
        called = [self.codes[n] for b in direct for n in _called(code.blocks[b]) if n in self.codes]
        total = sum(self._cost(callee) for callee in called)
        for loop in outermost:
            source = self._source(code, loop)
            if source.unrolled:
                continue
            body = 0 if source.pragma("PIPELINE") else self._inside(code, loops, loop.blocks)
            total += loop.count * (body or 1)
        return total

    # -- the program

    def _function(self, code: Code) -> Function:
        return self._functions[code.file, code.line]

    def _source(self, code: Code, loop: Counted) -> Loop:
        return self._loops[loop.file, loop.line]

    def _loops_of(self, code: Code) -> list[Counted]:
        found: list[Counted] = []
        for latch, lines in code.blocks.items():
            match = re.search(r"!llvm\.loop (!\d+)", lines[-1]) if lines else None
            if match:
                (header,) = [b for b in code.successors(latch) if (code.name, b) in self._counts]
                location = self._metadata[re.findall(r"!\d+", self._metadata[match[1]])[1]]
                file = self._file_of(re.search(r"scope: (!\d+)", location)[1])
                line = int(re.search(r"line: (\d+)", location)[1])
                blocks = code.natural_loop(header, latch)
                found.append(Counted(blocks, str(file), line, self._counts[code.name, header]))
        return found

    def _file_of(self, scope: str) -> Path:
        """The file of a scope, from the folder of the program if it is in it."""
        file = self._metadata[re.search(r"file: (!\d+)", self._metadata[scope])[1]]
        path = Path(re.search(r'directory: "(.*?)"', file)[1], re.search(r'filename: "(.*?)"', file)[1]).resolve()
        return path.relative_to(self._folder) if path.is_relative_to(self._folder) else path

    def _codes(self, text: str) -> list[Code]:
        codes: list[Code] = []
        for head, body in re.findall(r"^define ([^\n]*) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
            place = re.search(r"!dbg (!\d+)", head)
            if place is None:
                continue
            path = self._file_of(place[1])
            if path.is_absolute():
                continue
            line = int(re.search(r"line: (\d+)", self._metadata[place[1]])[1])
            code = Code(re.search(r"@([\w.$]+)\(", head)[1], str(path), line)
            _split(code, body)
            codes.append(code)
        return codes


def _split(code: Code, body: str) -> None:
    """Its blocks by name; nothing jumps to the first one."""
    block = "the first"
    code.blocks[block] = []
    for line in body.splitlines():
        if match := re.match(r"([\w.$-]+):", line):
            block = match[1]
            code.blocks[block] = []
        elif line.strip():
            code.blocks[block].append(line)


def _called(lines: list[str]) -> list[str]:
    return [match[1] for line in lines if (match := re.search(r"\b(?:call|invoke)\b.*? @([\w.$]+)\(", line))]


def _counts(shown: str) -> dict[tuple[str, str], int]:
    """For each function and loop header how often the loop comes around."""
    counts: dict[tuple[str, str], int] = {}
    function = ""
    for line in shown.splitlines():
        if match := re.match(r"Determining loop execution counts for: @([\w.$]+)", line):
            function = match[1]
        elif match := re.match(r"Loop %([\w.$-]+): backedge-taken count is (?:i\d+ )?(\d+)$", line):
            counts[function, match[1]] = int(match[2])
    return counts


def _run(command: list[str], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout or done.stderr
