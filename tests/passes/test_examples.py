"""The example models through the clean-up passes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from example_models import EXAMPLES, captured

from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.passes.analysis.cost import cost_table, total
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline


def counts(module: Module) -> Counter[str]:
    return Counter(node.opname for node in module.main.nodes)


@pytest.mark.parametrize("name", ["digits_cnn", "digits_vit"])
@pytest.mark.parametrize("pipeline", ["canonicalize,fold,canonicalize,cse,dce", "decompose,clean,fuse"])
def test_examples_keep_their_outputs(name: str, pipeline: str) -> None:
    module = captured(name)
    x = next(iter(np.load(EXAMPLES / "digits_test.npz").values()))[:8].astype(np.float32)
    before = interpret(module, [x])[0]
    run_pipeline(pipeline, module, PassContext())
    after = interpret(module, [x])[0]
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-4)
    assert not counts(module)["batch_norm"]


def test_the_cnn_is_convolutions() -> None:
    module = captured("digits_cnn")
    rows = cost_table(module)
    run_pipeline("clean", module, PassContext())
    found = counts(module)
    assert found["conv"] == 8
    assert found["const"] == 18  # weights and bias of nine layers
    assert sum(found.values()) == 39
    # Folding keeps the products; it takes the statistics of eight norms and leaves eight biases.
    assert total(cost_table(module)).macs == total(rows).macs
    assert total(cost_table(module)).weights < total(rows).weights


def test_attention_stays_whole_until_decompose() -> None:
    module = captured("digits_vit")
    run_pipeline("clean", module, PassContext())
    assert counts(module)["sdpa"] == 4
    run_pipeline("decompose", module, PassContext())
    assert (counts(module)["sdpa"], counts(module)["matmul"], counts(module)["softmax"]) == (0, 8, 4)
