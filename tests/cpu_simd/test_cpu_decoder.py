"""Decoders with a key/value cache as explicit state: one library reads the prompt and goes on token by token."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import irc
from irc.ir.interpret import interpret

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "decoder.py"))
Decoder, captured, greedy, in_torch = (EXAMPLE[n] for n in ("Decoder", "captured", "greedy", "in_torch"))
PROMPT = np.random.default_rng(0).integers(0, 256, (1, 12))
STEPS = 32


def seeded(layers: int, **sizes: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Decoder(layers, **sizes).eval()


@pytest.mark.parametrize(
    ("layers", "sizes"), [pytest.param(2, {}, marks=pytest.mark.slow), (3, {"heads": 6, "width": 96, "kv_heads": 1})]
)
def test_tokens_and_logits_are_those_of_torch(tmp_path: Path, layers: int, sizes: dict[str, int]):
    model = seeded(layers, **sizes)
    artifact = irc.compile(captured(model), passes="fuse", backend="cpu", out=tmp_path / "a")
    tokens, logits = greedy(artifact.run, model, PROMPT, STEPS)
    expected, reference = greedy(in_torch(model), model, PROMPT, STEPS)
    assert tokens == expected
    np.testing.assert_allclose(logits, reference, rtol=0, atol=1e-5 * abs(reference).max())


@pytest.mark.filterwarnings("ignore:no samples are given")
def test_with_4_bit_weights_they_are_those_of_the_interpreter(tmp_path: Path):
    model = seeded(2)
    artifact = irc.compile(captured(model), passes="weight4,fuse", backend="cpu", out=tmp_path / "a")
    assert any(v.type.scalar.bits == 4 for n in artifact.module.main.nodes for v in n.results)
    tokens, logits = greedy(artifact.run, model, PROMPT, STEPS)
    expected, reference = greedy(lambda *call: interpret(artifact.module, list(call)), model, PROMPT, STEPS)
    assert tokens == expected
    np.testing.assert_allclose(logits, reference, rtol=0, atol=1e-5 * abs(reference).max())


class Running(nn.Module):
    """A cache of fixed length, written at a position that is an input."""

    def forward(self, x: Tensor, place: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        at = place + torch.arange(x.shape[1])
        cache = cache.index_copy(1, at, x)
        seen = torch.arange(cache.shape[1])[None, :] <= at[:, None]
        return torch.softmax((x @ cache.mT).masked_fill(~seen, -torch.inf), -1) @ cache, cache


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_cache_of_fixed_length_is_written_at_a_position(tmp_path: Path, shape: tuple[int, ...]):
    module, place = Running(), torch.zeros(shape, dtype=torch.long)
    inputs = {"x": torch.zeros(1, 5, 8), "place": place, "cache": torch.zeros(1, 16, 8)}
    ir = irc.capture(module, inputs, dynamic={"x": {1: ("n", 1, 16)}})
    artifact = irc.compile(ir, backend="cpu", out=tmp_path / "a")
    rng, cache, at = np.random.default_rng(0), np.zeros((1, 16, 8), np.float32), place.numpy()
    for count in (7, 1, 1, 4):
        x = rng.standard_normal((1, count, 8)).astype(np.float32)
        expected = module(*map(torch.from_numpy, (x, at, cache)))
        y, cache = artifact.run(x, at, cache)
        at = np.asarray(at + count)
        np.testing.assert_allclose(y, expected[0], rtol=1e-5, atol=1e-5)
        assert np.array_equal(cache, expected[1])
