"""Random modules, generated from the declarations of ops.

    module = random_module(random.Random(7), size=12)
    module = random_module(random.Random(7), size=12, ops=["relu", "linear"], strange=False)
    arrays = random_inputs(module, random.Random(8))

Every field of an op is filled by its kind: operands with values at hand or with new constants, attributes by their
annotation. What `infer` or `check` refuses is thrown away and drawn again, so a new op needs nothing here; the tables
`ATTRIBUTES` and `CONSTANTS` only make names that many ops share (`axis`, `padding`, `w`, ...) fit sooner. Modules have
symbolic dimensions, encodings, masks, kernels, calls, several results, and with `strange` names and locations that are
hard to print.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, get_args, get_origin

import numpy as np

from irc.ir.attrs import FuncRef, Mask
from irc.ir.builder import Builder
from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError
from irc.ir.dims import Dim, Expr, Shape, Symbol, add, bounds, dim_max, evaluate, floordiv, mul, symbol
from irc.ir.fields import MISSING, OPERANDS, Field
from irc.ir.graph import Graph, Module, Value
from irc.ir.location import Loc, Source
from irc.ir.op import Op
from irc.ir.ops.quant import exp_table
from irc.ir.ops.structure import Call, Const, Kernel, Return, Yield
from irc.ir.registry import all_ops
from irc.ir.scalars import F32, I32, Array, ScalarType, scalar
from irc.ir.types import Element, Encoding, TensorType
from irc.ir.verify import verify

N, K = symbol("n"), symbol("k")
SYMBOLS = (Symbol("n", 1, 6), Symbol("k", 0, 5, counted=True))
DIMS: tuple[Dim, ...] = (1, 2, 3, 4, N, K, add(N, 1), mul(N, 2), floordiv(add(N, K), 2), dim_max(N, K))
SHAPES: tuple[Shape, ...] = ((), (4,), (2, 4), (4, 3), (3, 4), (N, 4), (2, N, 4), (1, 2, 4, 4), (2, 4, 6), (2, 3, 5, 4))
FLOATS = ["f32", "f32", "f32", "f16", "bf16", "f64"]
SCALARS = tuple(map(scalar, [*FLOATS, "bool", "i8", "i8", "u8", "i4", "u2", "i16", "i32", "i32", "i64", "u7", "i23"]))
SIZES = TensorType(Element(scalar("bool")), (N, K))  # the first input of every function tells its symbols
ENCODINGS = (Encoding(0.5), Encoding(0.5), Encoding(0.25), Encoding(0.5, 3), Encoding(2.0**-8), Encoding(0.1, -7))
NASTY = (
    "",
    "x",
    "blocks.0.attn",
    'a "quoted" name',
    "two\nlines",
    "tab\t\\",
    "ümläut",
    "日本",
    "\x00\x7f",
    "😀",
    "a, b",
)
ATTEMPTS = 60


def random_module(
    rng: random.Random, size: int = 10, *, ops: Iterable[str] | None = None, strange: bool = True
) -> Module:
    """A verified module whose `main` has about `size` nodes of the given ops (default: all)."""
    module = Module()
    names = sorted(all_ops() if ops is None else ops)
    main = Graph([SIZES, *(_type(rng) for _ in range(rng.randint(1, 4)))], name="main", symbols=SYMBOLS)
    _Body(rng, module, main, names, strange).fill(size)
    module.functions = {"main": main} | module.functions  # callees were added first
    main.module = module
    for index, value in enumerate(main.inputs):
        value.name = f"in{index}"
    verify(module)
    return module


def random_inputs(module: Module, rng: random.Random) -> list[Array]:
    """Arrays for `main`; symbols take random values of their ranges."""
    dims = {s.name: rng.randint(s.lo, s.hi) for s in module.main.symbols.values()}
    return [
        random_array(rng, v.type.scalar, tuple(evaluate(d, dims) for d in v.type.shape)) for v in module.main.inputs
    ]


def random_array(rng: random.Random, kind: ScalarType, shape: tuple[int, ...]) -> Array:
    generator = np.random.default_rng(rng.getrandbits(32))
    if kind.kind == "bool":
        return generator.integers(0, 2, shape) == 1
    if kind.is_integer:
        return generator.integers(max(kind.min, -300), min(kind.max, 300), shape, endpoint=True).astype(kind.dtype)
    return generator.standard_normal(shape).astype(kind.dtype)


def _type(rng: random.Random) -> TensorType:
    element, shape = _element(rng), rng.choice(SHAPES)
    return TensorType(element, shape)


def _element(rng: random.Random) -> Element:
    kind = rng.choice(SCALARS)
    return Element(kind, rng.choice(ENCODINGS) if kind.is_integer and rng.random() < 0.6 else None)


class _Body:
    """A graph that is being filled, and the values that can be read in it."""

    def __init__(self, rng: random.Random, module: Module, graph: Graph, ops: Sequence[str], strange: bool) -> None:
        self.rng, self.module, self.graph, self.ops, self.strange = rng, module, graph, ops, strange
        self.builder = Builder.at_end(graph)
        self.values: list[Value] = list(graph.inputs)

    def fill(self, size: int, terminator: type[Op] = Return) -> None:
        for _ in range(size):
            self.step(self.rng.choice(self.ops))
        results = self.rng.sample(self.values, min(len(self.values), self.rng.randint(1, 3)))
        self.add(terminator(results))

    def step(self, name: str) -> None:
        """Add a node of this op, if one can be found that its declaration admits."""
        special = {"const": self.constant, "kernel": self.kernel, "call": self.call}
        cls = all_ops()[name]
        if name in special:
            special[name]()
        elif not cls.terminator:
            any(self.attempt(cls) for _ in range(ATTEMPTS))

    def add(self, node: Op) -> Op:
        """Insert a node with a random location and names. Raises IrcError if it is refused."""
        if self.strange:
            node.loc = self.location()
        self.builder.add(node)
        try:
            node.check()
            ranges = {s.name: s for s in SYMBOLS}
            if any(bounds(d, ranges)[1] < 0 for v in node.results for d in v.type.shape):
                node.fail("a dimension is negative")
        except IrcError:
            node.erase()
            raise
        for value in node.results:
            value.name = self.rng.choice(NASTY) if self.strange else ""
        self.values += node.results
        return node

    def attempt(self, cls: type[Op]) -> bool:
        known = len(self.values)
        try:
            self.add(cls(**self.fields(cls)))
            return True
        except IrcError:
            for value in reversed(self.values[known:]):  # constants that were made for the node
                value.node.erase()
            del self.values[known:]
            return False

    # -- fields

    def fields(self, cls: type[Op]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        first: Value | None = None
        for field in cls.fields:
            if field.kind in OPERANDS:
                taken = self.operands(field, first)
                given[field.name] = taken
                first = first or (taken[0] if field.kind == "variadic" else taken)
            else:
                given[field.name] = self.attribute(field, first)
        return given

    def operands(self, field: Field, first: Value | None) -> Any:
        if field.kind == "variadic":
            alike = [v for v in self.values if first is None or v.type.matches(first.type)]
            return [self.rng.choice(alike) for _ in range(self.rng.randint(1, 3))]
        if field.kind == "optional" and self.rng.random() < 0.5:
            return None
        if first is None:
            return self.rng.choice(self.values)
        if field.name in CONSTANTS and self.rng.random() < 0.7:
            return self.new(CONSTANTS[field.name](self.rng, first.type))
        alike = [v for v in self.values if v.type.scalar == first.type.scalar]
        return self.rng.choice(alike if self.rng.random() < 0.7 else self.values)

    def attribute(self, field: Field, first: Value | None) -> Any:
        if field.default is not MISSING and field.kind == "attribute" and self.rng.random() < 0.3:
            return field.default
        t = first.type if first is not None else TensorType(Element(F32), ())
        if field.name in ATTRIBUTES:
            value = ATTRIBUTES[field.name](self.rng, t)
            if field.admits(field.plain(value)):
                return value
        return self.by_annotation(field.annotation)

    def by_annotation(self, annotation: Any) -> Any:
        rng = self.rng
        if get_origin(annotation) is Literal:
            return rng.choice(get_args(annotation))
        options = get_args(annotation) if get_origin(annotation) is not tuple else ()
        if options:
            return self.by_annotation(rng.choice(options))
        if get_origin(annotation) is tuple:
            return tuple(self.by_annotation(get_args(annotation)[0]) for _ in range(rng.randint(0, 3)))
        makers: dict[Any, Callable[[], Any]] = {
            bool: lambda: rng.random() < 0.5,
            int: lambda: rng.randint(0, 4),
            float: lambda: rng.choice([0.0, 0.5, -1.0, 1e-5, 3.25]),
            str: lambda: rng.choice(NASTY),
            Expr: lambda: rng.choice(DIMS),
            Element: lambda: _element(rng),
            ScalarType: lambda: rng.choice(SCALARS),
            TensorType: lambda: _type(rng),
        }
        return makers[annotation]() if annotation in makers else None

    # -- nodes with more than fields

    def new(self, data: Data, element: Element | None = None) -> Value:
        return self.add(Const(data, element or Element(data.scalar))).result

    def constant(self) -> None:
        """A constant of any element, maybe with scales along an axis or with a mask."""
        rng = self.rng
        shape = tuple(d for d in rng.choice(SHAPES) if isinstance(d, int))
        if rng.random() < 0.1:
            shape = (0, *shape[1:])
        element = _element(rng)
        array = random_array(rng, element.scalar, shape)
        mask = None
        if shape and element.encoding is not None and rng.random() < 0.5:
            element = Element(element.scalar, _vector_encoding(rng, shape))
        elif shape and element.encoding is None and rng.random() < 0.5:
            bits = random_array(rng, scalar("bool"), shape[:1])
            mask = Mask("filter", (), Data.of(bits))
            array = np.where(bits.reshape(-1, *[1] * (len(shape) - 1)), array, 0).astype(array.dtype)
        self.add(Const(Data.of(array, element.scalar), element, mask))

    def kernel(self) -> None:
        if self.graph.parent is not None or not self.graph.name:
            return
        outer = self.rng.sample(self.values, min(len(self.values), self.rng.randint(1, 3)))
        body = Graph([v.type for v in outer], symbols=())
        node = Kernel(outer, body)
        self.graph.append(node)  # so that the body sees the symbols
        _Body(self.rng, self.module, body, self.ops, self.strange).fill(self.rng.randint(0, 3), Yield)
        self.graph.unlink(node)
        self.add(node)

    def call(self) -> None:
        if self.graph.name != "main":
            return
        given = [self.graph.inputs[0], *self.rng.sample(self.values, min(len(self.values), self.rng.randint(1, 3)))]
        name = f"f{len(self.module.functions)}"
        function = self.module.add(Graph([v.type.plain() for v in given], name=name, symbols=SYMBOLS))
        _Body(self.rng, self.module, function, self.ops, self.strange).fill(self.rng.randint(0, 3))
        self.add(Call(FuncRef(name), given, types=tuple(v.type.plain() for v in function.outputs)))

    def location(self) -> Loc:
        rng = self.rng
        sources = [
            Source(rng.choice(NASTY), rng.choice(NASTY), file := rng.choice(NASTY), rng.randint(0, 99) if file else 0)
            for _ in range(rng.choice([0, 1, 1, 2]))
        ]
        return Loc(
            tuple(dict.fromkeys(sources)), tuple(rng.sample(["load", "dead-code", "my pass"], rng.randint(0, 2)))
        )


def _vector_encoding(rng: random.Random, shape: tuple[int, ...]) -> Encoding:
    axis = rng.randrange(len(shape))
    group = rng.choice([None, None, 1, 2])
    if group is not None and shape[axis] % group:
        group = None
    wanted = tuple(d for d in Encoding(1.0, axis=axis, group=group).vector_shape(shape) if isinstance(d, int))
    scales = Data.of(np.exp2(random_array(rng, scalar("i4"), wanted).astype(np.float32)), F32)
    zps = Data.of(random_array(rng, scalar("i4"), wanted), I32) if rng.random() < 0.5 else 0
    return Encoding(scales, zps, axis, group)


Draw = Callable[[random.Random, TensorType], Any]


def _channels(t: TensorType, axis: int) -> int:
    size = t.shape[axis] if -t.rank <= axis < t.rank else 1
    return size if isinstance(size, int) else 4


def _vector(low: int, high: int) -> Draw:
    """A vector as long as some axis of the operand."""

    def draw(rng: random.Random, t: TensorType) -> Data:
        kind = t.scalar if t.scalar.is_float else I32
        values = [rng.randint(low, high) for _ in range(_channels(t, rng.choice([1, -1])))]
        return Data.of(np.array(values, np.float32 if kind.is_float else np.int32), kind)

    return draw


def _weights(rng: random.Random, t: TensorType) -> Data:
    kernel = [rng.randint(1, 2) for _ in range(t.rank - 2)] if t.rank > 2 and rng.random() < 0.8 else []
    shape = (rng.choice([2, 4]), _channels(t, 1 if kernel else -1), *kernel)
    return Data.of(random_array(rng, t.scalar, shape), t.scalar)


def _table(rng: random.Random, t: TensorType) -> Data:
    scale = t.encoding.scale if t.encoding is not None and isinstance(t.encoding.scale, float) else 0.5
    if rng.random() < 0.5 or t.scalar.bits > 8 or not t.scalar.is_integer:
        return exp_table(scale, rng.choice([1, 8, 20]))
    return Data.of(random_array(rng, scalar("i8"), (1 << t.scalar.bits,)))


def _zp_of(rng: random.Random, t: TensorType) -> int:
    known = t.encoding.zp if t.encoding is not None else rng.randint(-2, 2)
    return known if isinstance(known, int) else 0


def _spatial(low: int, high: int, factor: int = 1) -> Draw:
    return lambda rng, t: tuple(rng.randint(low, high) for _ in range(factor * max(0, t.rank - 2)))


def _each_axis(low: int, high: int) -> Draw:
    return lambda rng, t: tuple(rng.randint(low, high) for _ in range(t.rank))


def _reshaped(rng: random.Random, t: TensorType) -> Shape:
    merged = (*t.shape[:-2], mul(t.shape[-2], t.shape[-1])) if t.rank > 1 else t.shape
    fewer = (*t.shape[:-2], rng.randint(1, 4), *t.shape[-1:])
    return rng.choice([merged, fewer, (1, *t.shape), (3, *t.shape), (*t.shape, 1), (N,), (4,)])


def _scores(rng: random.Random, t: TensorType) -> Data:
    """A number for each row; one that no tensor takes where rows are not known."""
    shape = (t.static_shape or (7, 1))[:-1]
    return Data.of(np.array([rng.random() for _ in range(math.prod(shape))], np.float32).reshape(shape))


def _some_axes(rng: random.Random, t: TensorType) -> Any:
    chosen = [a - t.rank * rng.randint(0, 1) for a in range(t.rank) if rng.random() < 0.4]
    return rng.choice([tuple(chosen), tuple(chosen[:1])])


# What names that many ops share stand for. A value of another kind than the field declares is not used.
ATTRIBUTES: dict[str, Draw] = {
    "axis": lambda rng, t: rng.randrange(-t.rank, t.rank) if t.rank else None,
    "axes": lambda rng, t: _some_axes(rng, t) if rng.random() < 0.8 else 1,
    "order": lambda rng, t: tuple(rng.sample(range(t.rank), t.rank)),
    "kernel": _spatial(1, 3),
    "stride": _spatial(1, 3),
    "dilation": _spatial(1, 2),
    "padding": _spatial(0, 1, 2),
    "before": _each_axis(0, 2),
    "after": _each_axis(0, 2),
    "groups": lambda rng, t: rng.choice([1, 1, 2]),
    "group": lambda rng, t: rng.choice([None, None, 2]),
    "shape": _reshaped,
    "shift": lambda rng, t: rng.randint(1, 8),
    "eps": lambda rng, t: rng.choice([1, 1e-5]),
    "frac": lambda rng, t: 8,
    "x_zp": _zp_of,
    "lo": lambda rng, t: float(rng.randint(-4, 0)),
    "hi": lambda rng, t: float(rng.randint(0, 3)),
    "by": lambda rng, t: rng.choice([0.5, 2.0]),
    "pinned": lambda rng, t: rng.randint(0, 1),
}
CONSTANTS: dict[str, Draw] = {
    "w": _weights,
    "b": _vector(-3, 3),
    "g": _vector(1, 3),
    "mean": _vector(-1, 1),
    "var": _vector(1, 3),
    "r": lambda rng, t: Data.of(rng.choice([2.0, 4.0]), F32),
    "scale": lambda rng, t: Data.of(rng.choice([0.5, 0.25]), F32),
    "zp": lambda rng, t: Data.of(_zp_of(rng, t), I32),
    "m": lambda rng, t: Data.of(2 ** rng.randint(1, 8), I32) if rng.random() < 0.7 else Data.of(0.5, F32),
    "table": _table,
    "scores": _scores,
    "histogram": lambda rng, t: Data.of([1.0, 2.0], F32),
    "indices": lambda rng, t: Data.of([0, -1], scalar("i64")),
}
