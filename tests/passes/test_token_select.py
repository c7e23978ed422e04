"""token-select on the digits ViT: what is kept, what is saved, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from example_models import EXAMPLES, captured
from torch import nn

from irc.frontend.capture import capture
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.equal import difference
from irc.ir.files import read_module, write_module
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.ops.token import Select
from irc.ir.parser import parse
from irc.ir.scalars import Array
from irc.passes.analysis.cost import cost_table, total
from irc.passes.base import PassContext
from irc.passes.pipeline import parse_pipeline, run_pipeline

IMAGES = np.load(EXAMPLES / "digits_calib.npz")["x"][:8]
KEEP_ALL = "specialize{batch=1},token-select{kind=threshold threshold=0}"


def selected(pipeline: str, name: str = "digits_vit", notes: list[str] | None = None) -> Module:
    module = captured(name)
    cx = PassContext(samples={module.main.inputs[0].name: IMAGES}, notes=[] if notes is None else notes)
    return run_pipeline(pipeline, module, cx)


def results(module: Module) -> Array:
    """The logits of each image by itself."""
    return np.concatenate([interpret(module, [image[None]])[0] for image in IMAGES])


def counts(module: Module) -> list[str]:
    return [str(n.shape[-2]) for n in module.walk() if isinstance(n, Select)]


def macs(module: Module) -> int:
    return total(cost_table(module)).macs


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("", ["46", "33", "24"]),
        ("{keep=0.5}", ["33", "17", "9"]),
        ("{keep=0.01}", ["2", "2", "2"]),
        ("{at=2}", ["46"]),
        ("{keep=0.9 at=3,1,3}", ["59", "54"]),
    ],
)
def test_a_share_of_those_that_are_left_stays(options: str, kept: list[str]):
    notes: list[str] = []
    assert counts(selected(f"token-select{options}", notes=notes)) == kept
    assert len(notes) == len(kept)
    assert notes[0].startswith(f"token-select: {kept[0]} of 65 tokens in front of block ")


def test_products_fall_with_the_tokens():
    dense, most, half = (macs(selected(p)) for p in ("clean", "token-select,clean", "token-select{keep=0.5},clean"))
    assert half < most < 0.72 * dense
    assert half < 0.5 * dense
    bounded = macs(selected("specialize{batch=1},token-select{kind=threshold threshold=0.02},clean"))
    assert bounded == macs(selected("specialize{batch=1},clean"))  # at worst nothing is dropped


@pytest.mark.parametrize("behind", ["clean", "quant8,fuse", pytest.param("quant4a4,fuse", marks=pytest.mark.slow)])
def test_keeping_all_changes_no_bit(behind: str):
    plain = selected(f"specialize{{batch=1}},{behind}")
    share = selected(f"specialize{{batch=1}},token-select{{keep=1.0}},{behind}")
    assert counts(share) == []
    by_count = selected(f"{KEEP_ALL},{behind}")
    assert counts(by_count) == ["n1", "n2", "n3"]
    for module in (share, by_count):
        np.testing.assert_array_equal(results(module), results(plain))


def test_keeping_all_by_rank_changes_no_bit():
    np.testing.assert_array_equal(results(selected("token-select{keep=1.0}")), results(selected("decompose")))


def test_each_sample_has_its_own_count():
    module = selected("specialize{batch=1},token-select{kind=threshold threshold=0.012},quant8,fuse")
    nodes = [n for n in module.walk() if isinstance(n, Select)]
    seen: dict[Select, set[int]] = {n: set() for n in nodes}
    for image in IMAGES:
        here: list[int] = []

        def observe(value: object, array: Array, here: list[int] = here) -> None:
            for node in nodes:
                if value is node.result:
                    here.append(array.shape[1])
                    seen[node].add(array.shape[1])

        interpret(module, [image[None]], observe=observe)
        assert here == sorted(here, reverse=True)
        assert here[0] <= 65
    assert all(len(found) > 1 for found in seen.values())


@pytest.mark.parametrize(
    "pipeline",
    ["token-select", "token-select,quant8,fuse", pytest.param(f"{KEEP_ALL},quant4,fuse", marks=pytest.mark.slow)],
)
def test_text_and_files_give_the_selectors_back(tmp_path: Path, pipeline: str):
    module = selected(pipeline)
    write_module(module, tmp_path / "model.irc")
    again = read_module(tmp_path / "model.irc")
    assert not difference(module, again)
    assert counts(again) == counts(module)
    np.testing.assert_array_equal(results(again), results(module))


def test_pipeline_text_reads_back():
    text = "token-select{kind=threshold threshold=0.02 at=1,3}"
    (stage,) = parse_pipeline(text)
    assert str(stage.run) == text


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ("keep=0", "token-select: keep=0 is not above 0 and at most 1", ""),
        ("keep=1.5", "token-select: keep=1.5 is not above 0 and at most 1", ""),
        ("keep=nan", "token-select: keep=nan is not above 0 and at most 1", ""),
        (
            "kind=threshold threshold=2",
            "token-select: threshold=2 is not between 0 and 1, as attention is",
            "",
        ),
        ("kind=threshold", "token-select: kind=threshold needs a threshold", "for example threshold=0.005"),
        ("threshold=0.1", "token-select: kind=topk takes no threshold", "kind=threshold"),
        ("kind=threshold threshold=0.1 keep=0.5", "token-select: kind=threshold takes no keep", "kind=topk"),
        (
            "at=0",
            "token-select: at=0 is no block with one before it",
            "the model has blocks 0 .. 3, of which 1 .. 3 can have a selector",
        ),
        (
            "at=1,4",
            "token-select: at=4 is no block with one before it",
            "the model has blocks 0 .. 3, of which 1 .. 3 can have a selector",
        ),
    ],
)
def test_options_that_say_nothing_sensible(options: str, message: str, hint: str):
    with pytest.raises(UsageError) as raised:
        selected(f"token-select{{{options}}}")
    (found,) = raised.value.diagnostics
    assert (found.message, found.hint) == (message, hint)


def refusal(module: Module, options: str = "") -> tuple[str, str]:
    with pytest.raises(IrcError) as raised:
        run_pipeline(f"token-select{options}", module, PassContext())
    (found,) = raised.value.diagnostics
    return found.message, found.hint


def test_a_model_without_blocks():
    message, hint = refusal(captured("digits_cnn"))
    assert message == (
        "token-select found 0 encoder blocks (attention over [batch, tokens, channels], then a residual addition), "
        "and needs one in front of each selector"
    )
    assert hint == "put it in front of fuse and quantize, and behind inline"


def test_a_count_needs_one_sample():
    message, hint = refusal(captured("digits_vit"), "{kind=threshold threshold=0.1}")
    assert message == "token-select: a threshold counts the tokens of one sample, the batch is b"
    assert hint == "put specialize{batch=1} in front of it"
    message, hint = refusal(encoder(batch=2), "{kind=threshold threshold=0.1}")
    assert message == "token-select: a threshold counts the tokens of one sample, the batch is 2"
    assert hint == "export the model with a batch of 1"


def test_a_share_of_a_count_is_no_number():
    module = run_pipeline(f"{KEEP_ALL[:-1]} at=1}}", captured("digits_vit"), PassContext())
    message, hint = refusal(module, "{at=2}")
    assert message == "token-select: a share of n1 tokens is no fixed number"
    assert hint == "fix the number of tokens with specialize, or use kind=threshold"


BLOCKS = """
func @main(%x: f32[1, 4, 2]) -> {result} {{
  %c = const [[[1.0, 2.0]]] : f32[1, 1, 2]
  {tokens}
  %k0 = permute %t0 {{order = [0, 2, 1]}} : f32[1, 2, {n}]
  %m0 = matmul %t0, %k0 : f32[1, {n}, {n}]
  %s0 = softmax %m0 : f32[1, {n}, {n}]
  %a0 = matmul %s0, %t0 : f32[1, {n}, 2]
  %t1 = add %a0, %t0 : f32[1, {n}, 2]
  %a1 = sdpa %t1, %t1, %t1 {{scale = 1.0}} : f32[1, {n}, 2]
  %t2 = add %a1, %t1 : f32[1, {n}, 2]
  {end}
}}
"""
JOINED = "%t0 = concat %c, %x {axis = 1} : f32[1, 5, 2]"


def test_a_model_without_a_class_token():
    text = BLOCKS.format(
        result="f32[1, 2]",
        tokens="%t0 = add %x, %c : f32[1, 4, 2]",
        n=4,
        end="%y = mean %t2 {axes = [1]} : f32[1, 2]\n  return %y",
    )
    message, hint = refusal(parse(text))
    assert message == "token-select found no class token: nothing learned is joined in front of the tokens"
    assert hint == "scores are the attention of a class token; without one there is nothing to select by"


@pytest.mark.parametrize(
    ("result", "end", "because"),
    [
        ("f32[1, 5, 2]", "return %t2", "return takes one row a token"),
        (
            "f32[1, 5, 2]",
            "%p = const [[[1.0], [2.0], [3.0], [4.0], [5.0]]] : f32[1, 5, 1]\n"
            "  %y = mul %t2, %p : f32[1, 5, 2]\n  return %y",
            "mul: shapes [1, 4, 2] and [1, 5, 1] do not broadcast",
        ),
        (
            "f32[10]",
            "%y = reshape %t2 : f32[10]\n  %z = reshape %y : f32[2, 5]\n  return %y",
            "reshape: [8] cannot be reshaped to [2, 5]",
        ),
    ],
)
def test_what_needs_all_tokens(result: str, end: str, because: str):
    message, hint = refusal(parse(BLOCKS.format(result=result, tokens=JOINED, n=5, end=end)))
    assert message == f"token-select: what is computed from all tokens stands against it: {because}"
    assert hint == "at= chooses blocks; a model whose result has a row a token cannot drop any"


def test_blocks_are_found_by_what_they_do():
    """Attention in parts and as a whole, without projections or norms."""
    end = "%y = slice %t2 {axis = 1, start = 0, stop = 1} : f32[1, 1, 2]\n  return %y"
    module = parse(BLOCKS.format(result="f32[1, 1, 2]", tokens=JOINED, n=5, end=end))
    assert counts(run_pipeline("token-select{keep=0.5}", module, PassContext())) == ["3"]


class Encoder(nn.Module):
    """A vision transformer of PyTorch's own layers, whose attention keeps tokens in front and merges them with the
    batch; drops tokens as token-select does, with the attention that PyTorch reports.
    """

    def __init__(self, keep: float = 1.0) -> None:
        super().__init__()
        self.keep = keep
        self.cls, self.pos = nn.Parameter(torch.randn(1, 1, 16)), nn.Parameter(torch.randn(1, 10, 16))
        self.layers = nn.ModuleList(
            [nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True) for _ in range(4)]
        )
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.pos
        scores = x[:, :, 0]  # of the block before, which the first has not
        for place, layer in enumerate(self.layers):
            if self.keep == 1:
                x = layer(x)
                continue
            if place:
                chosen = scores[:, 1:].argsort(1, descending=True)[:, : int(np.ceil(self.keep * (x.shape[1] - 1)))]
                rows = torch.cat([torch.zeros_like(chosen[:, :1]), chosen.sort(1)[0] + 1], 1)
                x = x.gather(1, rows[:, :, None].expand(-1, -1, x.shape[2]))
            n = layer.norm1(x)
            scores = layer.self_attn(n, n, n, average_attn_weights=True)[1][:, 0]
            x = layer(x)
        return self.head(x[:, 0])


def encoder(batch: int) -> Module:
    torch.manual_seed(3)
    return capture(Encoder().eval(), (torch.randn(batch, 9, 16),)).module


def test_what_pytorch_computes_from_fewer_tokens():
    module = run_pipeline("token-select{keep=0.6}", encoder(batch=4), PassContext())
    assert counts(module) == ["7", "5", "4"]
    torch.manual_seed(3)
    model = Encoder(keep=0.6).eval()
    x = torch.randn(4, 9, 16)
    with torch.no_grad():
        expected = model(x).numpy()
    np.testing.assert_allclose(interpret(module, [x.numpy()])[0], expected, atol=1e-5)
