"""Trip counts of the report are those that LLVM's scalar evolution finds in the generated code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hls_designs import write
from hls_examples import FAST, job
from scalar_evolution import Program
from test_random_graphs import trials_of

from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.iterations import iterations
from irc.backends.fpga_hls.project import sources
from irc.backends.fpga_hls.resources import cycles
from irc.backends.fpga_hls.stage import Design

pytestmark = [
    pytest.mark.tool("clang"),
    pytest.mark.skipif(importlib.util.find_spec("clang") is None, reason="no libclang: the extra `lint`"),
]


def differing(design: Design, folder: Path, name: str) -> list[str]:
    """Stages whose iterations are not those of their code, or take fewer cycles than these."""
    write(sources(design, name, "m_axi"), folder)
    return differing_from(design, Program(folder / f"{name}.cpp"))


def differing_from(design: Design, program: Program) -> list[str]:
    found: list[str] = []
    for stage in design.stages:
        counted, stated = program.stage(stage.name), iterations(stage)
        if counted != stated:
            found.append(f"{stage.name}: {stated} stated, {counted} in the code")
        if cycles(stage) < max(count for _, count in stated):
            found.append(f"{stage.name}: {stated}, but {cycles(stage)} cycles")
    return found


@pytest.mark.parametrize("model", ["digits_cnn", pytest.param("digits_vit", marks=pytest.mark.slow)])
def test_examples(tmp_path: Path, model: str):
    assert differing(HLS.lower(job(model, FAST[model], 16)), tmp_path, "top") == []


def in_random_graphs(folder: Path, seeds: range) -> list[str]:
    return [line for t in trials_of(seeds) for line in differing(t.design, folder / t.name, t.name)]


def test_random_graphs(tmp_path: Path):
    assert in_random_graphs(tmp_path, range(4)) == []


def test_an_iteration_more_is_seen(tmp_path: Path):
    (trial,) = trials_of(range(1))
    files = sources(trial.design, "top", "m_axi")
    wrong = {name: text.replace("i < size.count;", "i <= size.count;") for name, text in files.items()}
    assert wrong != files
    write(wrong, tmp_path)
    assert len(differing_from(trial.design, Program(tmp_path / "top.cpp"))) == sum(
        stage.template == "elementwise" for stage in trial.design.stages
    )


@pytest.mark.slow
def test_many_random_graphs(tmp_path: Path):
    assert in_random_graphs(tmp_path, range(100, 300)) == []
