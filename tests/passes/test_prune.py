"""prune on the example models: masks survive text, files, folding, smoothing and quantization."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from example_models import EXAMPLES, captured

from irc.ir.equal import difference
from irc.ir.files import read_module, write_module
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.masks import expand_mask
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.quant import Dequantize
from irc.ir.ops.structure import Const
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

SAMPLES = np.load(EXAMPLES / "digits_calib.npz")["x"][:8]
KINDS = ["2:4", "unstructured sparsity=0.7", "block:4x4 sparsity=0.7", "filter sparsity=0.5"]


def pruned(name: str, pipeline: str) -> Module:
    module = captured(name)
    return run_pipeline(pipeline, module, PassContext(samples={module.main.inputs[0].name: SAMPLES}))


def weights(module: Module) -> list[Const]:
    """The weights of the layers, in order."""
    found = [n.w.node for n in module.walk() if isinstance(n, Linear | Conv)]
    consts = [n.x.node if isinstance(n, Dequantize) else n for n in found]
    return [n for n in consts if isinstance(n, Const)]


def zeros(const: Const) -> float:
    assert const.mask is not None
    kept = expand_mask(const.mask, const.value.shape)
    assert not np.any(const.value.array[~kept])
    return 1 - float(np.mean(kept))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["digits_cnn", "digits_vit"])
def test_masks_are_kept_to_the_integers(name: str, kind: str) -> None:
    share = 0.7 if "0.7" in kind else 0.5
    module = pruned(name, f"prune{{kind={kind}}},quant4")
    first, *inner, last = weights(module)
    assert first.mask is None
    assert last.mask is None
    chosen = [w for w in inner if w.value.shape[1] > 1]  # of depthwise convolutions only the other kinds
    assert all(w.value.scalar.bits == 4 and zeros(w) == pytest.approx(share, abs=0.1) for w in chosen)


@pytest.mark.parametrize("quantize", ["mse", "nearest", "gptq", "gptq group=4 activations=none"])
def test_every_rounding_keeps_masks(quantize: str) -> None:
    steps = "calibrate{samples=2}," if "activations" not in quantize else ""
    module = pruned(
        "digits_vit", f"decompose,prune{{kind=1:4}},smooth,{steps}quantize{{weights=3 rounding={quantize}}}"
    )
    assert [zeros(w) for w in weights(module)[1:-1]] == [0.75] * 16


def test_no_sparsity_changes_nothing() -> None:
    module = pruned("digits_vit", "prune{kind=unstructured sparsity=0 ends=true}")
    (expected,), (given,) = (interpret(m, [SAMPLES[:2]]) for m in (captured("digits_vit"), module))
    np.testing.assert_array_equal(given, expected)
    assert all(zeros(w) == 0 for w in weights(module))


@pytest.mark.parametrize("pipeline", ["", ",quant8,fuse"])
def test_text_and_files_give_the_masks_back(tmp_path: Path, pipeline: str) -> None:
    module = pruned("digits_vit", f"prune{{kind=block:4x16 sparsity=0.7}}{pipeline}")
    write_module(module, tmp_path / "model.irc")
    again = read_module(tmp_path / "model.irc")
    assert not difference(module, again)
    assert [w.mask for w in weights(again)] == [w.mask for w in weights(module)]


def test_files_hold_no_zeros(tmp_path: Path) -> None:
    sizes: list[int] = []
    for kind in ("unstructured sparsity=0", "unstructured sparsity=0.7"):
        write_module(pruned("digits_vit", f"prune{{kind={kind}}}"), tmp_path / kind / "model.irc")
        sizes.append((tmp_path / kind / "weights.safetensors").stat().st_size)
    assert sizes[1] < 0.45 * sizes[0]


def test_the_pass_is_the_same_every_time() -> None:
    first, second = (pruned("digits_vit", "prune{kind=block:4x16 sparsity=0.7}") for _ in range(2))
    assert str(first) == str(second)
