"""Random float models, quantized at random: bits, granularity, scheme; as graphs of codes with sample inputs."""

from __future__ import annotations

import numpy as np
from passes.generator import float_graph
from random_graphs import SAMPLES, RandomGraph

from irc.ir.diagnostics import IrcError
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

STEPS = 6
NO_INTEGERS = ("found no linear or convolution", "has no integer form", "is read in several encodings")
"""What a random model may lack, so that there is no accelerator of it."""


def pipeline_of(rng: np.random.Generator) -> str:
    """A quantization at random, as the presets have it."""
    weights, ends, inputs, activations = (int(rng.integers(2, 9)) for _ in range(4))
    residual = int(rng.integers(4, 17))
    per, scheme = rng.choice(["channel", "tensor"]), rng.choice(["auto", "affine", "symmetric"])
    options = f"weights={weights} ends={ends} inputs={inputs} activations={activations} residual={residual}"
    quantize = f"quantize{{{options} per={per} scheme={scheme} rounding=nearest}}"
    return f"decompose,canonicalize,fold,canonicalize,cse,dce,calibrate,{quantize},integerize,fold,cse,dce"


def random_model(seed: int) -> RandomGraph | None:
    """The quantized model of a seed, or None where nothing of it can be integer."""
    sample = float_graph(seed, STEPS)
    (x,) = sample.inputs
    try:
        run_pipeline(pipeline_of(np.random.default_rng(seed)), sample.module, PassContext(samples={"x0": x}))
    except IrcError as error:
        if any(reason in str(error) for reason in NO_INTEGERS):
            return None
        raise
    return RandomGraph(sample.module, [[x[i % len(x)][None]] for i in range(SAMPLES)])
