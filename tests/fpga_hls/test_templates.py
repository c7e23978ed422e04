"""The HLS templates against the formulas of docs/numerics.md: plain, sanitized, and with vendor types."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hls_designs import ap_types
from template_cases import Case, Ints, all_cases

TEMPLATES = Path(__file__).parents[2] / "irc" / "backends" / "fpga_hls" / "templates"
HEADERS = sorted(path.name for path in TEMPLATES.glob("*.h"))
BASE_FLAGS = ["-std=c++14", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", f"-I{TEMPLATES}"]
BUILD_FLAGS = {
    "sanitized": ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "plain": ["-O0"],
    "optimized": ["-O1"],
    "ap_types": ["-O0"],
}
BUILD_FLAGS["sanitized rest"] = BUILD_FLAGS["sanitized"]
CASES = {case.name: case for case in all_cases()}
CASES_PER_FILE = 16
"""Small enough to keep every core busy, large enough to read the headers seldom."""
SOME = [name for name in CASES if not name.endswith(tuple("123456789"))]
"""Some cases of every kind, where a build is slow."""
NAMES = {
    "sanitized": SOME,
    "plain": [name for name in CASES if name.endswith(("1", "2"))],
    "sanitized rest": [name for name in CASES if name not in SOME],
    "optimized": list(CASES),
    "ap_types": SOME,
}
"""The cases of each build."""

pytestmark = pytest.mark.tool("g++")


def build_flags(mode: str) -> list[str]:
    """The compiler flags of a build, or a skip with the reason why it cannot be built here."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    return [*BASE_FLAGS, *BUILD_FLAGS[mode], *(ap_types() if mode == "ap_types" else [])]


def run(command: Sequence[str | Path]) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command[0]} failed\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def write_program(cases: Sequence[Case], folder: Path) -> Path:
    """A main program that runs the cases one after the other, and the tape of their inputs."""
    headers = sorted({case.header for case in cases})
    lines = [f'#include "{name}"' for name in ["harness.h", *headers]]
    lines += [case.cpp() for case in cases]
    lines += ["int main(int, char** argv) {", "Tape tape(argv[1]);"]
    lines += [f"{case.name}::run(tape);" for case in cases]
    lines += ["tape.save(argv[2]);", "return 0;", "}"]
    folder.mkdir(parents=True)
    np.concatenate([case.input_tape() for case in cases]).tofile(folder / "inputs.bin")
    source = folder / "cases.cpp"
    source.write_text("\n".join(lines) + "\n")
    return source


def run_cases(cases: Sequence[Case], folder: Path, flags: list[str]) -> dict[str, Ints]:
    """Compiles and runs some cases; what each put on the output tape."""
    source = write_program(cases, folder)
    program = folder / "cases"
    run(["g++", *flags, f"-I{Path(__file__).parent}", source, "-o", program])
    run([program, folder / "inputs.bin", folder / "outputs.bin"])
    tape = np.fromfile(folder / "outputs.bin", np.int64)
    results: dict[str, Ints] = {}
    for case in cases:
        # Counts on the tape tell how much each stream really gave, so that one bad case does not shift the others.
        size = 0
        for _ in range(len(next(iter(case.outputs))[1])):
            size += len(case.inputs)
            for _ in case.outputs:
                size += 1 + int(tape[size])
        results[case.name], tape = tape[:size], tape[size:]
    return results


class Builds:
    """Compiles and runs the cases once per build mode, on demand."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.jobs: dict[str, dict[str, Future[dict[str, Ints]]]] = {}

    def tape(self, mode: str, name: str) -> Ints:
        """What a case put on the output tape, or the error of the file it was in."""
        if mode not in self.jobs:
            self.jobs[mode] = self.start(mode, build_flags(mode))
        return self.jobs[mode][name].result()[name]

    def start(self, mode: str, flags: list[str]) -> dict[str, Future[dict[str, Ints]]]:
        names = NAMES[mode]
        jobs: dict[str, Future[dict[str, Ints]]] = {}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for i in range(0, len(names), CASES_PER_FILE):
                chunk = names[i : i + CASES_PER_FILE]
                job = pool.submit(run_cases, [CASES[name] for name in chunk], self.folder / mode / str(i), flags)
                jobs |= dict.fromkeys(chunk, job)
        return jobs


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("templates"))


def check(case: Case, actual: Ints) -> None:
    """Inputs are used up, outputs are complete and equal."""
    np.testing.assert_array_equal(actual, case.expected_tape())


BUILDS = [
    pytest.param(mode, name, marks=[pytest.mark.slow] if mode in ("sanitized rest", "optimized") else [])
    for mode in ("sanitized", "plain", "sanitized rest", "optimized")
    for name in NAMES[mode]
]


@pytest.mark.parametrize(("mode", "name"), BUILDS)
def test_template_computes_the_formula(builds: Builds, name: str, mode: str):
    check(CASES[name], builds.tape(mode, name))


@pytest.mark.parametrize("name", SOME)
def test_vendor_types_give_the_same_codes(builds: Builds, name: str):
    check(CASES[name], builds.tape("ap_types", name))


@pytest.mark.parametrize("header", HEADERS)
def test_header_compiles_alone(header: str, tmp_path: Path):
    source = tmp_path / "alone.cpp"
    source.write_text(f'#include "{header}"\n#include "{header}"\n')
    run(["g++", *build_flags("plain"), "-fsyntax-only", source])


STREAM_PROGRAM = """
#include <cstring>
#include "irc_stream.h"
int main(int count, char** words) {
    irc::stream<irc::Int<8>> x("pipe");
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 37; i++) { x.write(irc::Int<8>(i)); }
        for (int i = 0; i < 37; i++) { if (x.read() != i) { return 2; } }
        if (!x.empty() || x.size() != 0) { return 3; }
    }
    if (x.max_occupancy() != 37 || std::strcmp(x.name(), "pipe") != 0) { return 4; }
    if (count > 1 && std::strcmp(words[1], "read") == 0) { x.read(); }
    if (count > 1 && std::strcmp(words[1], "leave") == 0) { x.write(1); }
    return 0;
}
"""


def test_stream_counts_and_refuses(tmp_path: Path):
    source, program = tmp_path / "stream.cpp", tmp_path / "stream"
    source.write_text(STREAM_PROGRAM)
    run(["g++", *build_flags("plain"), source, "-o", program])
    run([program])
    empty = subprocess.run([program, "read"], capture_output=True, text=True)
    assert (empty.returncode != 0, empty.stderr) == (True, "irc::stream pipe: read while empty\n")
    full = subprocess.run([program, "leave"], capture_output=True, text=True)
    assert (full.returncode != 0, full.stderr) == (True, "irc::stream pipe: left with elements in it\n")
