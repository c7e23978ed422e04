"""smooth: the channels of a norm become alike, the results stay, and quantization loses less."""

from __future__ import annotations

import numpy as np
import pytest

from irc.ir.attrs import Mask
from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.ops.linear import Linear
from irc.ir.ops.norm import LayerNorm
from irc.ir.ops.structure import Const
from irc.ir.parser import parse
from irc.ir.scalars import Array
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

RNG = np.random.default_rng(3)
TEXT = """
func @main(%x: f32[b, 16]) -> {results} where b in [1, 64] {{
  %g = const #{g} : f32[16]
  %o = const #{o} : f32[16]
  %w = const #{w} : f32[8, 16]
  %n = {norm} : f32[b, 16]  at "norm"
  %y = linear %n, %w : f32[b, 8]  at "fc"
  return {returned}
}}
"""


def model(norm: str = "layer_norm %x, %g, %o", returned: str = "%y", results: str = "f32[b, 8]") -> Module:
    """A norm with one large channel in front of a linear."""
    gain, offset = RNG.uniform(0.5, 1.5, 16).astype(np.float32), RNG.normal(size=16).astype(np.float32)
    gain[5] = 40
    data = {
        "g": Data.of(gain),
        "o": Data.of(offset),
        "w": Data.of((RNG.normal(size=(8, 16)) / 4).astype(np.float32)),
    }
    text = TEXT.format(norm=norm, returned=returned, results=results, **{k: d.hash for k, d in data.items()})
    return parse(text, weights={d.hash: d.array for d in data.values()})


def smoothed(module: Module, samples: Array, options: str = "") -> None:
    run_pipeline(f"smooth{options}", module, PassContext(samples={"x": samples}))


def norms(module: Module) -> list[LayerNorm]:
    return [n for n in module.main.nodes if isinstance(n, LayerNorm)]


def spread(module: Module, samples: Array) -> float:
    """The largest channel of what the linear reads, in the middle ones."""
    (linear,) = (n for n in module.main.nodes if isinstance(n, Linear))
    found: dict[object, Array] = {}
    interpret(module, [samples], observe=lambda value, array: found.__setitem__(value, array))
    sizes = np.abs(found[linear.x]).max(axis=0)
    return float(sizes.max() / np.median(sizes))


@pytest.mark.parametrize("norm", ["layer_norm %x, %g, %o", "layer_norm %x, %g", "rms_norm %x, %g"])
def test_results_stay_and_channels_become_alike(norm: str) -> None:
    module, samples = model(norm), RNG.normal(size=(32, 16)).astype(np.float32)
    before, wide = interpret(module, [samples])[0], spread(module, samples)
    smoothed(module, samples)
    np.testing.assert_allclose(interpret(module, [samples])[0], before, atol=1e-4)
    assert spread(module, samples) < 0.5 * wide


def test_a_norm_that_others_read_is_kept_for_them() -> None:
    module = model(returned="%y, %n", results="(f32[b, 8], f32[b, 16])")
    samples = RNG.normal(size=(32, 16)).astype(np.float32)
    before = interpret(module, [samples])
    smoothed(module, samples)
    after = interpret(module, [samples])
    np.testing.assert_allclose(after[0], before[0], atol=1e-4)
    np.testing.assert_array_equal(after[1], before[1])
    assert len(norms(module)) == 2


def test_a_norm_of_its_own_is_changed_in_place() -> None:
    module = model()
    smoothed(module, RNG.normal(size=(32, 16)).astype(np.float32))
    (norm,) = norms(module)
    assert "smooth" in norm.loc.passes


def test_alike_channels_stay() -> None:
    module = parse(
        "func @main(%x: f32[4, 4]) -> f32[4, 4] {\n  %w = const "
        "[[0.5, -0.5, 0.5, -0.5], [0.5, 0.5, -0.5, -0.5], [-0.5, 0.5, 0.5, -0.5], [0.5, 0.5, 0.5, 0.5]] : f32[4, 4]\n"
        "  %n = layer_norm %x : f32[4, 4]\n  %y = linear %n, %w : f32[4, 4]\n  return %y\n}\n"
    )
    text = str(module)
    rows = np.array([[3, -1, -1, -1], [-1, 3, -1, -1], [-1, -1, 3, -1], [-1, -1, -1, 3]], np.float32)
    smoothed(module, rows)
    assert str(module) == text


def test_masked_weights_stay_0() -> None:
    module = model()
    (linear,) = (n for n in module.main.nodes if isinstance(n, Linear))
    const = linear.w.node
    assert isinstance(const, Const)
    kept = RNG.random((8, 16)) < 0.5
    const.value, const.mask = Data.of(const.value.array * kept), Mask("unstructured", (), Data.of(kept))
    smoothed(module, RNG.normal(size=(32, 16)).astype(np.float32))
    changed = linear.w.node
    assert isinstance(changed, Const)
    assert changed is not const
    assert changed.mask == const.mask
    assert not np.any(changed.value.array[~kept])


def test_quantization_loses_less() -> None:
    samples = RNG.normal(size=(64, 16)).astype(np.float32)
    errors = {}
    for pipeline in ("calibrate,quantize", "smooth,calibrate,quantize"):
        module = model()
        expected = interpret(module, [samples])[0]
        run_pipeline(pipeline, module, PassContext(samples={"x": samples}))
        errors[pipeline] = float(np.mean((interpret(module, [samples])[0] - expected) ** 2))
    assert errors["smooth,calibrate,quantize"] < 0.5 * errors["calibrate,quantize"]


def test_needs_samples() -> None:
    with pytest.raises(IrcError, match="smooth needs samples"):
        run_pipeline("smooth", model(), PassContext())


@pytest.mark.parametrize("options", ["weights=9", "inputs=1"])
def test_bits(options: str) -> None:
    with pytest.raises(UsageError, match=rf"smooth: {options} is outside 2 .. 8 bits"):
        run_pipeline(f"smooth{{{options}}}", model(), PassContext())
