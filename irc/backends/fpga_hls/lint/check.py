"""The linter: a project in, findings out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from irc.backends.fpga_hls.lint.facts import Facts
from irc.backends.fpga_hls.lint.finding import Finding
from irc.backends.fpga_hls.lint.rules import RULES
from irc.backends.fpga_hls.lint.tree import Program
from irc.ir.diagnostics import Diagnostic, ToolError, UsageError, did_you_mean
from irc.tables import resolve

HEADERS = Path(__file__).parent / "headers"
"""What stands for the headers of compiler and vendor, so that a project can be read without either."""

PARSER = "irc.backends.fpga_hls.lint.clang:parse"


def lint(source: Path, folder: Path, include: Sequence[Path] = ()) -> list[Finding]:
    """What is wrong with the program that starts with a source file and includes files of its folder.

    It is read as synthesis reads it, by headers that stand for those of vendor and compiler; or as a C simulation with
    vendor types, by the headers of the folders `include`. Raises ToolError without libclang.
    """
    try:
        parse = resolve(PARSER)
    except ImportError as error:
        raise ToolError(
            "libclang is needed to read C++, and is not installed", hint="pip install 'irc-compiler[lint]'"
        ) from error
    flags = ["-nostdinc", "-isystem", str(HEADERS), "-D__SYNTHESIS__"]
    if include:  # the vendor's open headers refuse to be synthesised
        flags = [word for path in include for word in ("-isystem", str(path))] + ["-DIRC_AP_TYPES"]
    return findings(parse(source, folder, flags))


TEST_BENCH = "tb.cpp"


def sources_of(project: Path) -> list[Path]:
    """The C++ files of an artifact, a folder, or that file alone. Raises UsageError where there are none."""
    if project.is_file():
        return [project]
    folder = project / "src" if (project / "src").is_dir() else project
    found = sorted(path for path in folder.glob("*.cpp") if path.name != TEST_BENCH)
    if not found:
        problem = "holds no C++ to lint" if project.is_dir() else "there is no such project"
        raise UsageError(Diagnostic(problem, place=str(project), hint="give an artifact of the backend hls, or a .cpp"))
    return found


def findings(program: Program) -> list[Finding]:
    """What the rules find that the program does not allow, by place."""
    facts = Facts(program)
    found = {finding for rule in RULES.values() for finding in rule.find(facts)}
    allowed = list(_allowances(program))
    left = {f for f in found if not any(a.allows(f) for a in allowed)}
    left |= {finding for a in allowed for finding in a.misused(found)}
    return sorted(left | set(_errors(program)))


def _errors(program: Program) -> Iterator[Finding]:
    for note in program.notes:
        if not note.is_pragma:
            yield Finding(note.file, note.line, "parse", note.message, "make it C++14 that stands alone")


class _Allowance:
    """`// lint: allow RULE: REASON`, at the end of a line or above it."""

    def __init__(self, file: str, line: int, rule: str, reason: str) -> None:
        self.file, self.line, self.rule, self.reason = file, line, rule, reason

    def allows(self, finding: Finding) -> bool:
        return finding.rule == self.rule and finding.file == self.file and finding.line in (self.line, self.line + 1)

    def misused(self, found: set[Finding]) -> Iterator[Finding]:
        """What is wrong with the allowance itself."""
        if self.rule not in RULES:
            way_out = did_you_mean(self.rule, RULES)
            yield Finding(self.file, self.line, "allow", f"there is no rule '{self.rule}'", way_out)
        elif not self.reason:
            yield Finding(self.file, self.line, "allow", "there is no reason", f"// lint: allow {self.rule}: why")
        elif not any(self.allows(f) for f in found):
            yield Finding(self.file, self.line, "allow", f"nothing here breaks the rule {self.rule}", "remove it")


ALLOW = re.compile(r"// lint: allow ([\w-]+):? *(.*)")


def _allowances(program: Program) -> Iterator[_Allowance]:
    for file, text in program.files.items():
        for line, content in enumerate(text.split("\n"), 1):
            if match := ALLOW.search(content):
                yield _Allowance(file, line, match[1], match[2].strip())
