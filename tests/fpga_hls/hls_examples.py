"""The example models as jobs of the HLS backend."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from example_models import EXAMPLES, captured
from hls_designs import job_of, legalised

from irc.backends.base import Job
from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.device import Part
from irc.ir.interpret import interpret
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

FAST = {"digits_cnn": "quant8", "digits_vit": "quant4a4"}
"""The preset of each model for short tests."""

IMAGES = np.load(EXAMPLES / "digits_test.npz")["x"]


@cache
def job(model: str, preset: str, calibration: int) -> Job[Part, Options]:
    """The job of an example behind a preset, calibrated on so many samples, with two golden vectors."""
    module = captured(model)
    samples = np.load(EXAMPLES / "digits_calib.npz")["x"][:calibration]
    run_pipeline(preset, module, PassContext(samples={module.main.inputs[0].name: samples}))
    return job_of(legalised(module), [[IMAGES[:1]], [IMAGES[1:2]]])


def differing(given: Job[Part, Options], folder: Path, count: int) -> list[int]:
    """The test images for which the C simulation of an emitted project differs from the interpreter."""
    calls = [[IMAGES[i : i + 1]] for i in range(count)]
    with HLS.start(given, folder) as run:
        results = run(calls)
    expected = [interpret(given.module, call) for call in calls]
    return [i for i in range(count) if not np.array_equal(results[i][0], expected[i][0])]
