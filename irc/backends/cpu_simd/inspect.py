"""Looking at the assembly of kernels: their loops, the instructions in these, and vectors that do not fit registers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LABEL = re.compile(r"([.\w$]+):")
TARGETS = re.compile(r"[.\w$]*L[.\w$]+")
VECTOR = {
    "x86_64": re.compile(r"%[xyz]mm\d+"),
    "aarch64": re.compile(r"\b[qv]\d+\b"),
    "riscv64": re.compile(r"\bv\d+\b"),
}
STACK = {
    "x86_64": re.compile(r"\(%rsp[,)]"),
    "aarch64": re.compile(r"\[sp[],]"),
    "riscv64": re.compile(r"\(sp\)"),
}
FRAME = {
    "x86_64": (re.compile(r"movq %rsp, %rbp"), re.compile(r"\(%rbp[,)]")),
    "aarch64": (re.compile(r"(?:mov|add) x29, sp"), re.compile(r"\[x29[],]")),
    "riscv64": (re.compile(r"addi s0, sp"), re.compile(r"\(s0\)")),
}
"""What makes a general register the frame of a function, and what uses it then."""


@dataclass(frozen=True)
class Loop:
    """A loop of a function: its instructions, and whether no other loop is inside."""

    function: str
    label: str
    lines: tuple[str, ...]
    innermost: bool

    def uses(self, instruction: str) -> int:
        """How many of its instructions begin with these words."""
        return sum(line.startswith(instruction) for line in self.lines)


def functions(assembly: str) -> dict[str, list[str]]:
    """The lines of each function, without directives and comments; labels end with a colon."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    names = set(re.findall(r"^\s*\.type\s+([\w.$\"]+),\s*[@%]function", assembly, re.MULTILINE))
    for raw in assembly.splitlines():
        line = re.sub(r"\s+", " ", re.split(r"\s(?:#|//)|^#|^//", raw, maxsplit=1)[0].strip())
        label = LABEL.match(line)
        if label and label[1] in names:
            current = found.setdefault(label[1], [])
        elif current is not None and line and (label or not line.startswith(".")):
            current.append(line)
    return found


def loops(assembly: str) -> list[Loop]:
    """All loops: the lines from a label to the last branch back to it."""
    return [loop for name, lines in functions(assembly).items() for loop in _loops(name, lines)]


def _loops(name: str, lines: Sequence[str]) -> Iterator[Loop]:
    places = {match[1]: i for i, line in enumerate(lines) if (match := LABEL.fullmatch(line))}
    ends: dict[str, int] = {}
    for i, line in enumerate(lines):
        if line.endswith(":"):
            continue
        for label in TARGETS.findall(line):
            if places.get(label, len(lines)) <= i and _jumps(line):
                ends[label] = i
    for label, end in ends.items():
        start = places[label]
        inside = any(o != label and start <= places[o] and ends[o] <= end for o in ends)
        body = tuple(line for line in lines[start : end + 1] if not line.endswith(":"))
        yield Loop(name, label, body, not inside)


def _jumps(line: str) -> bool:
    """Whether an instruction is a jump: j.. on x86; b, b.., cb.., tb.. on Arm; b.., j on RISC-V."""
    return re.match(r"(?:j\w+|b(?:\.\w+)?|cbn?z|tbn?z|b\w{2,4}|j) ", line) is not None


def spills(assembly: str, arch: str) -> list[str]:
    """Instructions of innermost loops that move vectors to or from the stack, as `function: instruction`."""
    made, framed = FRAME[arch]
    with_frame = {name for name, lines in functions(assembly).items() if any(made.match(line) for line in lines)}
    return [
        f"{loop.function}: {line}"
        for loop in loops(assembly)
        if loop.innermost
        for line in loop.lines
        if VECTOR[arch].search(line)
        and (STACK[arch].search(line) or (loop.function in with_frame and framed.search(line)))
    ]
