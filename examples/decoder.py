"""A LLaMA-style decoder whose key/value cache goes in and comes out, so that one artifact reads a prompt and goes on.

    python examples/decoder.py --passes weight4,fuse

The model takes `ids: i64[1, n]` and the cache of `p` tokens seen so far, and returns the logits of the n tokens and the
cache of n+p tokens. Both sizes vary at run time: n is the prompt's length, then 1; p starts at 0.
Its weights are random, so the text it writes says nothing; what counts is that PyTorch writes the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import irc

Step = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


class Block(nn.Module):
    """Grouped-query attention with rotary positions, and a gated MLP."""

    def __init__(self, width: int, heads: int, kv_heads: int, hidden: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, width // heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.q, self.o = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, kv_heads * self.size, bias=False)
        self.v = nn.Linear(width, kv_heads * self.size, bias=False)
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], seen: Tensor, keys: Tensor, values: Tensor) -> Any:
        batch, count, _ = x.shape
        y = self.norm1(x)
        q = rotated(self.q(y).view(batch, count, self.heads, self.size).transpose(1, 2), *turn)
        k = rotated(self.k(y).view(batch, count, self.kv_heads, self.size).transpose(1, 2), *turn)
        v = self.v(y).view(batch, count, self.kv_heads, self.size).transpose(1, 2)
        keys, values = torch.cat((keys, k), 2), torch.cat((values, v), 2)
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=seen, enable_gqa=True)
        x = x + self.o(y.transpose(1, 2).reshape(batch, count, -1))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y)), keys, values


class Decoder(nn.Module):
    """`ids: i64[b, n]`, `keys` and `values: f32[b, layers, kv_heads, p, size]` to logits and the longer cache."""

    frequencies: Tensor

    def __init__(
        self, layers: int = 2, width: int = 64, heads: int = 4, kv_heads: int = 2, hidden: int = 176, words: int = 256
    ) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(words, width), nn.Linear(width, words, bias=False)
        self.blocks = nn.ModuleList(Block(width, heads, kv_heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        size = width // heads
        self.register_buffer("frequencies", 10000 ** (-torch.arange(0, size, 2) / size))
        self.cache = (1, layers, kv_heads, 0, size)

    def forward(self, ids: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count, past = ids.shape[1], keys.shape[3]
        place = torch.arange(count) + past
        angle = torch.outer(place.float(), self.frequencies).repeat(1, 2)
        seen = torch.arange(past + count)[None, :] <= place[:, None]
        x = self.embedding(ids)
        caches: list[tuple[Tensor, Tensor]] = []
        for i, block in enumerate(self.blocks):
            x, *cache = block(x, (angle.cos(), angle.sin()), seen, keys[:, i], values[:, i])
            caches.append((cache[0], cache[1]))
        new_keys, new_values = zip(*caches, strict=True)
        return self.head(self.norm(x)), torch.stack(new_keys, 1), torch.stack(new_values, 1)


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions, the halves of a head as pairs (arXiv 2104.09864)."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


def captured(model: Decoder, longest: int = 64) -> irc.Module:
    """The model as IR, for prompts and caches of up to `longest` tokens."""
    batch, layers, heads, _, size = model.cache
    cache = torch.zeros(batch, layers, heads, 3, size)
    return irc.capture(
        model,
        {"ids": torch.zeros(1, 5, dtype=torch.long), "keys": cache, "values": cache},
        dynamic={"ids": {1: ("n", 1, longest)}, "keys": {3: ("p", 0, longest)}, "values": {3: ("p", 0, longest)}},
    )


def greedy(step: Step, model: Decoder, prompt: np.ndarray, steps: int) -> tuple[list[int], np.ndarray]:
    """The tokens that `step` writes behind a prompt, and the logits it chose them by: `f32[steps + 1, words]`."""
    keys = values = np.zeros(model.cache, np.float32)
    ids, tokens, logits = prompt, list[int](), list[np.ndarray]()
    for _ in range(steps + 1):  # the prompt, then token by token
        out, keys, values = step(ids, keys, values)
        logits.append(out[0, -1])
        tokens.append(int(out[0, -1].argmax()))
        ids = np.array([[tokens[-1]]])
    return tokens, np.stack(logits)


def in_torch(model: Decoder) -> Step:
    """One step of the PyTorch model on arrays."""

    def step(*arrays: np.ndarray) -> Any:
        with torch.no_grad():
            return [t.numpy() for t in model(*map(torch.from_numpy, arrays))]

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passes", default="fuse")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("-o", "--out", default="decoder.cpu")
    chosen = parser.parse_args()
    torch.manual_seed(0)
    model = Decoder(chosen.layers).eval()
    artifact = irc.compile(captured(model), passes=chosen.passes, backend="cpu", out=Path(chosen.out), force=True)
    prompt = np.random.default_rng(0).integers(0, 256, (1, 12))
    tokens, logits = greedy(artifact.run, model, prompt, chosen.steps)
    expected, reference = greedy(in_torch(model), model, prompt, chosen.steps)
    same = next((i for i, pair in enumerate(zip(tokens, expected, strict=True)) if pair[0] != pair[1]), len(tokens))
    print(f"{same} of {len(tokens)} tokens as PyTorch writes them")
    print(f"largest difference of the logits up to there: {abs(logits - reference)[: same + 1].max():.1e}")


if __name__ == "__main__":
    main()
