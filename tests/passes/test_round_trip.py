"""`parse(print(g)) == g` behind every pass, on the examples and on models of real size."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from irc.frontend.capture import capture
from irc.ir.equal import difference
from irc.ir.files import data_of
from irc.ir.graph import Module
from irc.ir.parser import parse
from irc.ir.scalars import Array
from irc.passes.base import PassContext
from irc.passes.pipeline import Stage, parse_pipeline, run_pipeline
from irc.tables import BACKENDS

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.models import MODELS  # noqa: E402 (the folder is no package that is installed)

QUICK = [("digits_cnn", "quant4a4")]
EVERY = [(name, preset) for name in ("digits_cnn", "digits_vit") for preset in ("quant8", "quant4", "quant4a4")]


def assert_every_stage_reads_back(module: Module, passes: str, samples: dict[str, Array]) -> None:
    """Run the passes, then those of the HLS backend, and read back the text behind each."""
    stages = parse_pipeline(f"{passes},fuse,{BACKENDS.get('hls').pipeline}")
    seen: list[str] = []

    def check(stage: Stage, module: Module, changed: bool) -> None:
        weights = {digest: data.array for digest, data in data_of(module).items()}
        assert not difference(parse(str(module), weights=weights), module), stage.run
        seen.append(str(stage.run))

    run_pipeline(stages, module, PassContext(samples=samples), after=check)
    assert len(seen) == len(stages)


@pytest.mark.parametrize(
    ("name", "preset"), [*QUICK, *(pytest.param(*pair, marks=pytest.mark.slow) for pair in EVERY if pair not in QUICK)]
)
def test_examples(name: str, preset: str) -> None:
    with np.load(ROOT / "examples" / "digits_calib.npz") as data:
        samples = {"x": data["x"][:8]}
    assert_every_stage_reads_back(capture(ROOT / "examples" / f"{name}.pt2").module, preset, samples)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "deit_tiny", "bert_mini"])
def test_models(name: str) -> None:
    captured = capture(MODELS[name].build(), MODELS[name].inputs, dynamic="b")
    preset = "quant4" if name == "resnet18" else "quant8"
    assert_every_stage_reads_back(captured.module, preset, captured.sample_inputs)
