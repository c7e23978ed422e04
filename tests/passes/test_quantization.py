"""calibrate, quantize, integerize: what they write, how close they stay, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Module, Node
from irc.ir.interpret import interpret
from irc.ir.op import Op
from irc.ir.ops.linear import Linear
from irc.ir.ops.quant import Dequantize, IntNorm, IntSoftmax, Observe, Quantize, Requantize
from irc.ir.ops.structure import Const
from irc.ir.parser import parse
from irc.ir.scalars import Array, integer
from irc.passes.base import PassContext
from irc.passes.encodings import Range, choose_element, weight_scales
from irc.passes.pipeline import run_pipeline
from irc.passes.rounding import Gram, compensated, nearest

RNG = np.random.default_rng(7)


def weights(*shapes: tuple[int, ...]) -> list[Data]:
    return [Data.of((RNG.normal(size=s) / np.sqrt(s[-1])).astype(np.float32)) for s in shapes]


BLOCK = """
func @main(%x: f32[b, 6, 16]) -> f32[b, 6, 5] where b in [1, 64] {{
  %g = const #{g} : f32[16]
  %w1 = const #{w1} : f32[32, 16]
  %w2 = const #{w2} : f32[16, 32]
  %w3 = const #{w3} : f32[5, 16]
  %b1 = const #{b1} : f32[32]
  %n = layer_norm %x, %g : f32[b, 6, 16]  at "norm"
  %h = linear %n, %w1, %b1 : f32[b, 6, 32]  at "mlp.fc1"
  %a = gelu %h : f32[b, 6, 32]  at "mlp.act"
  %m = linear %a, %w2 : f32[b, 6, 16]  at "mlp.fc2"
  %r = add %x, %m : f32[b, 6, 16]  at "block"
  %t = permute %r {{order = [0, 2, 1]}} : f32[b, 16, 6]
  %s = matmul %r, %t : f32[b, 6, 6]  at "scores"
  %k = const 0.25 : f32[]
  %q = mul %s, %k : f32[b, 6, 6]  at "scores"
  %p = softmax %q : f32[b, 6, 6]  at "softmax"
  %o = matmul %p, %r : f32[b, 6, 16]  at "mix"
  %y = linear %o, %w3 : f32[b, 6, 5]  at "head"
  return %y
}}
"""


def block() -> tuple[Module, Array]:
    g, w1, w2, w3, b1 = weights((16,), (32, 16), (16, 32), (5, 16), (32,))
    text = BLOCK.format(g=g.hash, w1=w1.hash, w2=w2.hash, w3=w3.hash, b1=b1.hash)
    samples = RNG.normal(size=(48, 6, 16)).astype(np.float32)
    return parse(text, weights={d.hash: d.array for d in (g, w1, w2, w3, b1)}), samples


def apply(module: Module, pipeline: str, samples: Array | None) -> Module:
    return run_pipeline(pipeline, module, PassContext(samples=None if samples is None else {"x": samples}))


def nodes(module: Module, cls: type[Node]) -> list[Node]:
    return [n for n in module.walk() if isinstance(n, cls)]


def floats_inside(module: Module) -> list[Op]:
    """Ops with float results between the boundary quantize and dequantize."""
    boundary = (Quantize, Dequantize, Const)
    return [
        n
        for n in module.walk()
        if isinstance(n, Op) and not isinstance(n, boundary) and any(r.type.scalar.is_float for r in n.results)
    ]


# -- calibrate


def test_calibrate_records_the_range_of_every_activation() -> None:
    module, samples = block()
    before = interpret(module, [samples])[0]
    seen = {"lo": float(samples.min()), "hi": float(samples.max())}
    apply(module, "calibrate{observer=minmax}", samples)
    first = nodes(module, Observe)[0]
    assert isinstance(first, Observe)
    assert {"lo": first.lo, "hi": first.hi} == seen
    assert len(nodes(module, Observe)) == 12
    np.testing.assert_array_equal(interpret(module, [samples])[0], before)


def test_percentile_leaves_out_outliers() -> None:
    module, samples = block()
    samples[0, 0, 0] = 1000.0
    apply(module, "calibrate{observer=percentile percentile=99}", samples)
    first = nodes(module, Observe)[0]
    assert isinstance(first, Observe)
    assert first.hi < 100


ONE_VALUE = """
func @main(%x: f32[1, 8]) -> f32[1, 8] {
  %y = neg %x : f32[1, 8]
  return %y
}
"""
BIG = float(np.float32(3e8))
STEP = float(np.spacing(np.float32(BIG)))
F32_MAX = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("observer", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize(
    ("values", "range_"),
    [
        pytest.param([BIG], (BIG, BIG), id="constant and large"),
        pytest.param([BIG, BIG + STEP], (BIG, BIG + STEP), id="neighbouring floats"),
        pytest.param([1e-45, 3e-45], (float(np.float32(1e-45)), float(np.float32(3e-45))), id="subnormal"),
        pytest.param([-F32_MAX, -1.0, 2.0], (-1.0, 2.0), id="filled with the lowest float"),
        pytest.param([np.inf, -np.inf, np.nan, -1.0, 2.0], (-1.0, 2.0), id="not finite"),
        pytest.param([np.nan, np.inf], (0.0, 0.0), id="nothing finite"),
    ],
)
def test_ranges_of_floats_that_hardly_differ_and_of_what_masks_hide_with(
    observer: str, values: list[float], range_: tuple[float, float]
) -> None:
    samples = np.resize(np.asarray(values, np.float32), (2, 8))
    module = apply(parse(ONE_VALUE), f"calibrate{{observer={observer} percentile=100}}", samples)
    first = nodes(module, Observe)[0]
    assert isinstance(first, Observe)
    assert (first.lo, first.hi) == range_


def test_union_of_ranges_of_one_large_value() -> None:
    counts = np.zeros(1024)
    both = Range(1e20, 1e20, counts).union(Range(1e20, 1e20, counts))
    assert (both.lo, both.hi) == (1e20, 1e20)
    assert choose_element(both, 8, "auto").scalar == integer(8, signed=False)


def test_calibrate_without_samples() -> None:
    module, _ = block()
    with pytest.raises(IrcError, match=r"calibrate needs samples"):
        apply(module, "calibrate", None)


# -- encodings


def test_samples_must_be_equally_many() -> None:
    module = parse("func @main(%x: f32[b, 2], %y: f32[b, 2]) -> f32[b, 2] where b in [1, 8] {\n  return %x\n}\n")
    samples = {"x": np.zeros((2, 2), np.float32), "y": np.zeros((3, 2), np.float32)}
    with pytest.raises(IrcError, match="inputs have different numbers of samples"):
        run_pipeline("calibrate", module, PassContext(samples=samples))


def test_ranges_without_negative_values_are_unsigned_with_zero_point_0() -> None:
    element = choose_element(Range(0.5, 2.55), 8, "auto")
    assert str(element) == "u8<0.01>"


def test_auto_takes_a_zero_point_only_for_lopsided_ranges() -> None:
    assert (
        choose_element(Range(-1.0, 1.27), 8, "auto").encoding
        == choose_element(Range(-1.0, 1.27), 8, "symmetric").encoding
    )
    lopsided = choose_element(Range(-0.1, 2.45), 8, "auto").encoding
    assert lopsided is not None
    assert lopsided.zp == -118


def test_mse_clips_a_long_tail() -> None:
    counts = np.zeros(1000)
    counts[:100] = 1000  # nearly everything is small,
    counts[-1] = 1  # and one value is ten times larger
    element = choose_element(Range(0.0, 10.0, counts), 4, "auto")
    assert element.encoding is not None
    assert float(element.encoding.scales) * 15 < 9


def test_weight_scale_search_beats_the_range() -> None:
    w = RNG.normal(size=(8, 64))

    def error(scales: Array) -> float:
        return float(np.sum((nearest(w, scales, 4) * scales.reshape(-1, 1) - w) ** 2))

    covering = weight_scales(w, 4, per_channel=True, search=False)
    searched = weight_scales(w, 4, per_channel=True, search=True)
    assert error(searched) < 0.9 * error(covering)


def test_compensated_rounding_beats_nearest_on_correlated_inputs() -> None:
    w = RNG.normal(size=(16, 48))
    x = RNG.normal(size=(400, 6)) @ RNG.normal(size=(6, 48)) + 0.1 * RNG.normal(size=(400, 48))
    scales = weight_scales(w, 4, per_channel=True, search=True)

    def error(codes: Array) -> float:
        return float(np.sum((x @ (codes * scales.reshape(-1, 1) - w).T) ** 2))

    assert error(compensated(w, x.T @ x, scales, 4)) < 0.5 * error(nearest(w, scales, 4))


def test_compensated_rounding_keeps_masked_weights_0() -> None:
    w = RNG.normal(size=(4, 32))
    kept = RNG.random((4, 32)) > 0.5
    x = RNG.normal(size=(100, 32))
    codes = compensated(w * kept, x.T @ x, weight_scales(w, 4, per_channel=True, search=True), 4, kept)
    assert not np.any(codes[~kept])


def test_layers_of_very_many_inputs_are_rounded_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("irc.passes.rounding.WHOLE", 16)
    monkeypatch.setattr("irc.passes.rounding.PART", 12)
    module, samples = block()
    exact = interpret(module, [samples])[0]
    apply(module, "calibrate,quantize{weights=4}", samples)
    assert np.abs(interpret(module, [samples])[0] - exact).max() <= 0.25 * np.abs(exact).max()
    gram = Gram()
    for rows in (x := RNG.normal(size=(9, 30)).astype(np.float32))[:5], x[5:]:
        gram.add(rows)
    for part, found in zip((slice(0, 12), slice(12, 24), slice(24, 30)), gram.total(), strict=True):
        np.testing.assert_allclose(found, x[:, part].T @ x[:, part], rtol=1e-5, atol=1e-5)


# -- quantize and integerize


@pytest.mark.parametrize(
    ("options", "within"),
    [
        ("weights=8", 0.05),
        ("weights=8 residual=8", 0.08),
        ("weights=8 per=tensor", 0.06),
        ("weights=8 scheme=affine", 0.05),
        ("weights=8 scheme=symmetric rounding=nearest", 0.06),
        ("weights=4 rounding=mse", 0.25),
        ("weights=4", 0.25),
        ("weights=4 inputs=4", 0.4),
        ("weights=2 activations=8 ends=2", 1.0),
    ],
)
@pytest.mark.parametrize("requant", ["fixed", "float"])
def test_integer_graph_stays_close_and_holds_no_float(options: str, within: float, requant: str) -> None:
    module, samples = block()
    exact = interpret(module, [samples])[0]
    apply(module, f"calibrate,quantize{{{options}}}", samples)
    qdq = interpret(module, [samples])[0]
    apply(module, f"integerize{{requant={requant}}},dce", samples)
    integer = interpret(module, [samples])[0]
    size = float(np.abs(exact).max())
    assert np.abs(qdq - exact).max() <= within * size
    assert np.abs(integer - qdq).max() <= within * size
    assert not floats_inside(module)
    assert {n.mode for n in nodes(module, Requantize) if isinstance(n, Requantize)} == {requant}
    assert nodes(module, IntNorm)
    assert nodes(module, IntSoftmax)


POOL = """
func @main(%x: f32[1, 1, 40, 40]) -> f32[1, 1, {out}, {out}] {{
  %r = const 2.0 : f32[]
  %s = const 0.5 : f32[]
  %z = const -3 : i32[]
  %q = quantize %x, %r, %z : i8<0.5, zp=-3>[1, 1, 40, 40]
  %f = dequantize %q, %s, %z : f32[1, 1, 40, 40]
  %y = avg_pool %f {{kernel = [{k}, {k}], stride = [1, 1], padding = [{p}, {p}, {p}, {p}], count_pad = false}} : f32[1, 1, {out}, {out}]
  return %y
}}
"""  # noqa: E501


@pytest.mark.parametrize(("kernel", "padding", "within"), [(2, 1, 0.0), (3, 1, 3e-7), (4, 2, 3e-7), (13, 6, 2e-3)])
def test_means_of_windows_of_different_sizes(kernel: int, padding: int, within: float) -> None:
    text = POOL.format(k=kernel, p=padding, out=41 + 2 * padding - kernel)
    samples = RNG.normal(size=(1, 1, 40, 40), scale=30).astype(np.float32)
    exact, integers = (interpret(apply(parse(text), p, samples), [samples])[0] for p in ("dce", "integerize,dce"))
    assert np.abs(integers - exact).max() <= within * np.abs(exact).max()


STATE = """
func @main(%x: f32[b, 4]) -> f32[b, 4] where b in [1, 64] {{
  %w = const #{w} : f32[8, 4]
  %start = const #{start} : f32[4]
  %state = expand %start : f32[b, 4]
  %h = linear %state, %w : f32[b, 8]  at "state"
  %g = linear %x, %w : f32[b, 8]  at "input"
  %a = slice %h {{axis = 1, start = 0, stop = 4}} : f32[b, 4]
  %c = slice %g {{axis = 1, start = 4, stop = 8}} : f32[b, 4]
  %y = add %a, %c : f32[b, 4]
  return %y
}}
"""


def test_values_that_depend_on_no_input_but_on_the_batch_are_quantized() -> None:
    w, start = weights((8, 4), (4,))
    module = parse(STATE.format(w=w.hash, start=start.hash), weights={d.hash: d.array for d in (w, start)})
    samples = RNG.normal(size=(16, 4)).astype(np.float32)
    exact = interpret(module, [samples])[0]
    apply(module, "calibrate,quantize,integerize,fold,dce", samples)
    assert not floats_inside(module)
    assert np.abs(interpret(module, [samples])[0] - exact).max() <= 0.03 * np.abs(exact).max()


PLACES = """
func @main(%x: f32[b], %t: f32[b, 4]) -> (i64[b], f32[b, 4], f32[b], f32[b, 4], bool[b, 4]) where b in [1, 64] {{
  %w = const #{w} : f32[4, 4]
  %c = const 7.3 : f32[]
  %d = const 41.0 : f32[]
  %a = mul %x, %c : f32[b]
  %n = div %a, %d : f32[b]
  %f = floor %n : f32[b]
  %e = clamp %f {{lo = 0.0, hi = 3.0}} : f32[b]
  %i = cast %e : i64[b]
  %r = gather %t, %i : f32[b, 4]
  %y = linear %r, %w : f32[b, 4]  at "rows"
  %p = relu %y : f32[b, 4]
  %z = const 0.0 : f32[]
  %k = compare %p, %z {{how = gt}} : bool[b, 4]
  return %i, %y, %x, %t, %k
}}
"""


def test_indices_and_results_that_are_inputs_are_exact() -> None:
    (w,) = weights((4, 4))
    module = parse(PLACES.format(w=w.hash), weights={w.hash: w.array})
    samples = {"x": RNG.uniform(0, 20, 48).astype(np.float32), "t": RNG.normal(size=(48, 4)).astype(np.float32)}
    inputs = [2 * samples["x"], 3 * samples["t"]]
    exact = interpret(module, inputs)
    run_pipeline("clean,decompose,calibrate,quantize,integerize,fold,dce", module, PassContext(samples=samples))
    index, _, x, table, _ = interpret(module, inputs)
    np.testing.assert_array_equal(index, exact[0])
    np.testing.assert_array_equal(x, exact[2])
    np.testing.assert_array_equal(table, exact[3])


SMALL = """
func @main(%x: f32[4, 4]) -> f32[4, 8] {{
  %w = const #{w} : f32[8, 4]
  %b = const #{b} : f32[8]
  %t = permute %x {{order = [1, 0]}} : f32[4, 4]
  %y = linear %t, %w, %b : f32[4, 8]  at "scaled"
  return %y
}}
"""


@pytest.mark.parametrize("per", ["channel", "tensor"])
def test_weights_too_small_for_the_bias_get_coarser_scales(per: str) -> None:
    w = Data.of((RNG.normal(size=(8, 4)) * 1e-5).astype(np.float32))
    b = Data.of(np.linspace(-3, 3, 8, dtype=np.float32))
    module = parse(SMALL.format(w=w.hash, b=b.hash), weights={d.hash: d.array for d in (w, b)})
    samples = (RNG.normal(size=(16, 4)) * 1e-3).astype(np.float32)
    exact = interpret(module, [samples[:4]])[0]
    apply(module, f"calibrate,quantize{{per={per}}},integerize,dce", samples)
    np.testing.assert_allclose(interpret(module, [samples[:4]])[0], exact, rtol=1e-6, atol=1e-7)


TABLE = """
func @main(%x: f32[6, 8]) -> f32[6, 8] {{
  %w = const #{w} : f32[8, 2]
  %t = const #{t} : f32[6, 2]
  %bias = linear %t, %w : f32[6, 8]  at "positions"
  %y = add %x, %bias : f32[6, 8]  at "sum"
  return %y
}}
"""


def test_a_layer_of_a_constant_table_that_was_not_folded() -> None:
    w, t = weights((8, 2), (6, 2))
    module = parse(TABLE.format(w=w.hash, t=t.hash), weights={d.hash: d.array for d in (w, t)})
    samples = RNG.normal(size=(12, 8)).astype(np.float32)
    exact = interpret(module, [samples[:6]])[0]
    apply(module, "calibrate,quantize,integerize,dce", samples)
    assert not floats_inside(module)
    assert np.abs(interpret(module, [samples[:6]])[0] - exact).max() <= 0.03 * np.abs(exact).max()


def test_first_and_last_layer_keep_their_bits() -> None:
    module, samples = block()
    apply(module, "calibrate,quantize{weights=4}", samples)
    bits = [n.w.node.operands[0].type.scalar.bits for n in nodes(module, Linear) if isinstance(n, Linear) and n.w.node]
    assert bits == [8, 4, 8]


@pytest.mark.parametrize("rounding", ["gptq", "mse"])
def test_weights_alone_with_a_scale_per_group(rounding: str) -> None:
    module, samples = block()
    exact = interpret(module, [samples])[0]
    apply(module, f"quantize{{weights=4 activations=none group=8 rounding={rounding}}}", samples)
    assert {n.group for n in nodes(module, Dequantize) if isinstance(n, Dequantize)} == {8}
    assert not nodes(module, Quantize)
    assert np.abs(interpret(module, [samples])[0] - exact).max() <= 0.25 * np.abs(exact).max()


def test_layers_are_overridden_by_path() -> None:
    module, samples = block()
    apply(module, "calibrate,quantize{weights=4 layers=mlp.*:w3a6,head:w5}", samples)
    found = {n.loc.path: n for n in nodes(module, Linear) if isinstance(n, Linear)}
    widths = {p: n.w.node.operands[0].type.scalar.bits for p, n in found.items() if n.w.node}
    inputs = {p: n.x.node.operands[0].type.scalar.bits for p, n in found.items() if n.x.node}
    assert widths == {"mlp.fc1": 3, "mlp.fc2": 3, "head": 5}
    assert inputs == {"mlp.fc1": 6, "mlp.fc2": 6, "head": 8}


def test_islands_stay_float() -> None:
    module, samples = block()
    exact = interpret(module, [samples])[0]
    apply(module, "calibrate,quantize,integerize{islands=softmax,layer_norm},dce", samples)
    assert {n.opname for n in floats_inside(module)} == {"softmax", "layer_norm"}
    assert np.abs(interpret(module, [samples])[0] - exact).max() <= 0.05 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("quantize", "quantize needs the ranges of activations"),
        ("calibrate,quantize{layers=nothing.*:w4}", r"no layer matches 'nothing\.\*'"),
        ("calibrate,quantize{layers=head:x4}", r"layers=head:x4 is not PATH:wNaM"),
        ("calibrate,quantize{weights=9}", "weights=9 is outside 2 .. 8 bits"),
        ("calibrate,quantize{residual=1}", "residual=1 is outside 2 .. 16 bits"),
    ],
)
def test_refusals(pipeline: str, message: str) -> None:
    module, samples = block()
    with pytest.raises(IrcError, match=message):
        apply(
            module,
            pipeline.replace("quantize", "quantize{rounding=mse}", 1) if pipeline == "quantize" else pipeline,
            samples,
        )


def test_layer_override_hint_names_the_nearest_layer() -> None:
    module, samples = block()
    with pytest.raises(UsageError, match=r"did you mean 'mlp\.fc1'"):
        apply(module, "calibrate,quantize{layers=mpl.fc1:w4}", samples)


@pytest.mark.parametrize("rounding", ["gptq", "mse"])
def test_steps_that_share_weights_share_codes(rounding: str) -> None:
    text = """
    func @main(%x: f32[b, 8]) -> f32[b, 8] where b in [1, 64] {
      %w = const #W : f32[8, 8]
      %b = const #B : f32[8]
      %1 = linear %x, %w, %b : f32[b, 8]  at "cell"
      %2 = tanh %1 : f32[b, 8]  at "cell"
      %3 = linear %2, %w, %b : f32[b, 8]  at "cell"
      %4 = tanh %3 : f32[b, 8]  at "cell"
      %5 = linear %4, %w : f32[b, 8]  at "last"
      return %5
    }
    """
    w, b = weights((8, 8), (8,))
    text = text.replace("#W", f"#{w.hash}").replace("#B", f"#{b.hash}")
    samples = RNG.normal(size=(48, 8)).astype(np.float32)
    module = parse(text, weights={d.hash: d.array for d in (w, b)})
    (wanted,) = interpret(module, [samples])
    options = f"weights=4 ends=4 layers=last:w8 rounding={rounding}"
    apply(module, f"calibrate,quantize{{{options}}},integerize,fold,cse,dce", samples)
    layers = [n for n in nodes(module, Linear) if isinstance(n, Linear)]
    assert len(layers) == 3
    assert len({layer.w for layer in layers}) == 1
    assert layers[0].w.type.scalar == integer(8, signed=True)  # the most that one of them asks for
    (given,) = interpret(module, [samples])
    assert np.square(given - wanted).sum() < 1e-3 * np.square(wanted).sum()


def test_ops_without_integer_form_are_listed_together() -> None:
    text = """
    func @main(%x: f32[4, 8]) -> f32[4, 8] {
      %w = const #W : f32[8, 8]
      %h = linear %x, %w : f32[4, 8]  at "fc"
      %a = div %h, %h : f32[4, 8]  at "first"
      %c = div %a, %h : f32[4, 8]  at "second"
      %y = linear %c, %w : f32[4, 8]  at "out"
      return %y
    }
    """
    (w,) = weights((8, 8))
    module = parse(text.replace("#W", f"#{w.hash}"), weights={w.hash: w.array})
    with pytest.raises(IrcError) as error:
        apply(module, "calibrate,quantize{rounding=mse},integerize", RNG.normal(size=(8, 8)).astype(np.float32))
    assert '"first": div has no integer form' in str(error.value)
    assert '"second": div has no integer form' in str(error.value)
