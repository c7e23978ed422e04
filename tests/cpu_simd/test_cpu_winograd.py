"""3x3 convolutions of floats by fewer products: where they are chosen, what they give, and how exact that is."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from c_programs import artifact
from cpu_running import results
from emulation import emulated
from hypothesis import given, settings
from hypothesis import strategies as st

from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.inspect import spills
from irc.backends.cpu_simd.isa import ISAS, Isa, host
from irc.backends.cpu_simd.kernel import CACHE_BYTES
from irc.backends.cpu_simd.library import assembly_of
from irc.backends.cpu_simd.schedule import choose
from irc.backends.cpu_simd.schedule.minimal import Tiles, fastest
from irc.backends.cpu_simd.tolerance import PRODUCTS
from irc.backends.cpu_simd.ukernels.winograd import F2, F4, Minimal
from irc.ir.builder import Builder
from irc.ir.dims import Symbol, symbol
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import interpret
from irc.ir.location import at
from irc.ir.ops.linear import Conv
from irc.ir.ops.math import Add, Relu
from irc.ir.ops.structure import Return
from irc.ir.scalars import F32, F64, Array, ScalarType
from irc.ir.types import tensor
from irc.passes.base import PassContext
from irc.passes.fuse import Fuse

AVX2 = ISAS["x86-64-v3"]
ERRORS = {F2: 2e-6, F4: 4e-6}
"""Of the largest result: what 512 channels of random numbers stay below. tolerance.py allows `PRODUCTS`."""


def conv(
    *shape: int,
    batch: int | None = 1,
    kind: ScalarType = F32,
    padding: tuple[int, ...] = (1, 1, 1, 1),
    bias: bool = True,
    more: Mapping[str, object] | None = None,
    residual: bool = False,
    relu: bool = False,
) -> Module:
    """x[batch, C, H, W] -> conv with `shape` = (C, O, H, W), and what may follow it; batch None is a symbol."""
    channels, outputs, height, width = shape
    rng = np.random.default_rng(sum(shape))
    graph = Graph(name="main", symbols=[Symbol("b", 1, 5)] if batch is None else [])
    images = symbol("b") if batch is None else batch
    x = graph.add_input(tensor(kind, (images, channels, height, width)), "x")
    b = Builder.at_end(graph)
    b.loc = at("layer", "Conv2d", "model.py", 1)
    options = {"stride": (1, 1), "padding": padding, "dilation": (1, 1), "groups": 1, **(more or {})}
    groups = options["groups"]
    assert isinstance(groups, int)
    w = b.const(rng.standard_normal((outputs, channels // groups, 3, 3)).astype(np.float32).astype(kind.dtype), kind)
    start = b.const(rng.standard_normal(outputs).astype(kind.dtype), kind) if bias else None
    y: Value = b(Conv(x, w, start, **options))  # pyright: ignore[reportArgumentType]
    if residual:
        y = b(Add(y, graph.add_input(y.type, "r")))
    if relu:
        y = b(Relu(y))
    b.add(Return((y,)))
    module = Module([graph])
    Fuse().run(module, PassContext())
    return module


def operands(module: Module, batch: int = 1, offset: float = 0.0) -> list[Array]:
    return [numbers(v, batch, offset) for v in module.main.inputs]


def numbers(value: Value, batch: int, offset: float) -> Array:
    shape = [d if isinstance(d, int) else batch for d in value.type.shape]
    found = (np.random.default_rng(7).standard_normal(shape) + offset).astype(np.float32)
    return found.astype(value.type.scalar.dtype)


def launched(module: Module, isa: Isa = AVX2, *, winograd: bool = True) -> str:
    """The last kernel of a module without its number."""
    program = compile_graph(module.main, isa, winograd=winograd).program
    return program.launches[-1].kernel.rsplit("_", 1)[0]


@contextmanager
def always(minimal: Minimal) -> Generator[None]:
    """Every convolution that can be is computed by these tiles."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "fastest", partial(Tiles.of, minimal))
        yield


def largest_error(given: Array, expected: Array) -> float:
    return float(np.abs(given - expected).max() / np.abs(expected).max())


@settings(max_examples=8, deadline=None)
@given(
    minimal=st.sampled_from([F2, F4]),
    channels=st.integers(1, 36),
    outputs=st.integers(1, 60),
    size=st.tuples(st.integers(4, 19), st.integers(4, 19)),
    padding=st.tuples(*[st.integers(1, 3)] * 4),
    batch=st.one_of(st.none(), st.integers(1, 3)),
    follows=st.tuples(*[st.booleans()] * 3),
)
def test_any_size_border_batch_and_epilogue(
    minimal: Minimal,
    channels: int,
    outputs: int,
    size: tuple[int, int],
    padding: tuple[int, ...],
    batch: int | None,
    follows: tuple[bool, bool, bool],
):
    bias, residual, relu = follows
    module = conv(channels, outputs, *size, batch=batch, padding=padding, bias=bias, residual=residual, relu=relu)
    with always(minimal):
        assert launched(module).startswith(f"winograd_{minimal.results}x{minimal.results}_")
        for images in {batch or 1, batch or 4}:
            inputs = operands(module, images)
            assert largest_error(results(module, inputs)[0], interpret(module, inputs)[0]) < ERRORS[minimal]


@pytest.mark.parametrize("minimal", [F2, F4], ids=["2x2", "4x4"])
@pytest.mark.parametrize("size", [(1, 1), (2, 0), (0, 0)])
def test_images_of_one_tile_and_without_a_border(minimal: Minimal, size: tuple[int, int]):
    height, width = (minimal.results + 2 + more for more in size)
    module = conv(9, 17, height, width, padding=(0,) * 4)
    with always(minimal):
        inputs = operands(module)
        assert largest_error(results(module, inputs)[0], interpret(module, inputs)[0]) < ERRORS[minimal]


@pytest.mark.parametrize("minimal", [F2, F4], ids=["2x2", "4x4"])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_the_error_stays_far_inside_the_tolerance(minimal: Minimal, offset: float):
    module, exact = (conv(512, 64, 12, 12, kind=kind, bias=False) for kind in (F32, F64))
    with always(minimal):
        (found,) = results(module, operands(module, offset=offset))
    (expected,) = interpret(exact, operands(exact, offset=offset))
    assert largest_error(found, expected) < ERRORS[minimal] < PRODUCTS


@pytest.mark.parametrize("minimal", [F2, F4], ids=["2x2", "4x4"])
def test_whole_numbers_have_no_error_of_transforms(minimal: Minimal):
    """The products are those of the direct sum: the matrices are exact, for any sizes."""
    taps = np.arange(9.0).reshape(3, 3)
    image = np.arange(float(minimal.points) ** 2).reshape(minimal.points, -1) % 7
    rows = np.array([[float(c) for c in row] for row in minimal.inputs])
    inputs = rows @ image @ rows.T
    last = minimal.results - 1
    powers = np.array([[*(float(p) ** i for p in minimal.finite), float(i == last)] for i in range(minimal.results)])
    found = powers @ (minimal.weights(taps) * inputs) @ powers.T
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    np.testing.assert_allclose(found, np.einsum("ijab,ab->ij", windows, taps), rtol=1e-12)


@pytest.mark.parametrize("isa", ISAS.values(), ids=lambda isa: isa.name)
@pytest.mark.parametrize("minimal", [F2, F4], ids=["2x2", "4x4"])
def test_no_inner_loop_spills(isa: Isa, minimal: Minimal):
    module = conv(72, 88, 13, 11, residual=True, relu=True)
    with always(minimal):
        text = assembly_of(compile_graph(module.main, isa).program, module.main, isa)
    assert spills(text, isa.arch) == []
    assert "fmaf" not in text


@pytest.mark.parametrize("name", ["x86-64", "avx512"])
def test_other_vectors_give_the_same_sums(name: str):
    module = conv(20, 37, 9, 10, batch=None, relu=True)
    inputs = operands(module, 2)
    with always(F4):
        (found,), _ = emulated(module, inputs, ISAS[name])
    assert largest_error(found, interpret(module, inputs)[0]) < ERRORS[F4]


CHOICES = {
    (64, 64, 56, 56): "winograd_4x4",
    (128, 128, 28, 28): "winograd_4x4",
    (256, 256, 14, 14): "winograd_4x4",
    (512, 512, 7, 7): "winograd_2x2",  # 37 MB of weights for 4 tiles of 4x4
    (3, 64, 224, 224): "conv",  # the transforms of 64 results cost more than 27 products
    (64, 64, 8, 8): "winograd_2x2",
    (64, 64, 3, 3): "conv",  # as much time for its weights as for its products
    (64, 64, 1, 56): "conv",
}


@pytest.mark.parametrize(("shape", "kernel"), CHOICES.items(), ids=str)
def test_what_is_chosen_by_sizes(shape: tuple[int, ...], kernel: str):
    assert launched(conv(*shape)).startswith(f"{kernel}_")


def test_a_larger_batch_pays_for_more_weights():
    assert launched(conv(512, 512, 7, 7, batch=16)).startswith("winograd_4x4_")


OTHERS = {
    "stride": {"stride": (2, 1)},
    "dilation": {"dilation": (1, 2)},
    "groups": {"groups": 2},
}


@pytest.mark.parametrize("more", OTHERS.values(), ids=OTHERS)
def test_other_convolutions_are_summed_directly(more: Mapping[str, object]):
    assert launched(conv(64, 64, 28, 28, more=more)).startswith("conv_")


def test_doubles_are_summed_directly():
    assert launched(conv(64, 64, 28, 28, kind=F64)).startswith("conv_")


def test_the_scratch_does_not_grow_with_the_image():
    """Workspace beyond the image with its border."""
    kept = [
        compile_graph(conv(64, 64, size, size).main, AVX2).program.workspace_bytes({}) - 256 * (size + 2) ** 2
        for size in (56, 224)
    ]
    assert kept[1] <= kept[0] + 2**12
    assert kept[1] < 2 * CACHE_BYTES


def test_tiles_are_in_blocks_of_one_size():
    (found,) = compile_graph(conv(64, 64, 56, 56).main, AVX2).scheduled.values()
    images = found.problem.images
    assert images is not None
    tiles = fastest(images, AVX2)
    assert tiles is not None
    assert (tiles.rows, tiles.columns, tiles.block) == (14, 14, 25)


def test_it_can_be_switched_off_and_the_report_names_the_algorithm(tmp_path: Path):
    module = conv(64, 64, 28, 28)
    for options, kernel in (("", "winograd_4x4_64_64"), ("winograd=no", "conv_64_192")):
        report = artifact(module, tmp_path / kernel, options).report
        (layer,) = report["layers"]
        assert kernel in layer["kernels"]
    assert launched(module, host(), winograd=False).startswith("conv_")
