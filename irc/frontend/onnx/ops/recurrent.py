"""Recurrent layers, one step after the other: the IR has no loops, so they are unrolled over a fixed number of steps.

LSTM: Hochreiter and Schmidhuber, 1997; GRU: Cho et al., 2014; gates in the order of the ONNX standard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from irc.frontend.composed.tensor import cut, pieces, reversed_along
from irc.frontend.onnx.context import Context
from irc.frontend.onnx.ops.tensor import transpose
from irc.frontend.onnx.table import converts
from irc.ir.dims import Dim
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.linear import Linear
from irc.ir.ops.math import Add, Mul, Relu, Sigmoid, Sub, Tanh
from irc.ir.ops.tensor import Concat, Expand, Reshape

MOST_STEPS = 512
FUNCTIONS: dict[str, Callable[[Value], Op]] = {"sigmoid": Sigmoid, "tanh": Tanh, "relu": Relu}
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
State = tuple[Value, ...]


@dataclass(frozen=True)
class Cell:
    """One direction: weights w[G*H, I] and r[G*H, H], biases for both, peepholes, and the functions of its gates."""

    w: Value
    r: Value
    w_bias: Value | None
    r_bias: Value | None
    peepholes: Sequence[Value]
    functions: Sequence[Callable[[Value], Op]]
    hidden: int


Step = Callable[[Context, Cell, Value, State], State]  # what X gives at a time, and the state, to the next state


@dataclass(frozen=True)
class Layer:
    """A layer as the operator states it."""

    gates: int
    functions: tuple[str, ...]
    step: Step
    separate: bool = False  # whether the bias of the recurrence stays apart (GRU before its reset)


@dataclass(frozen=True)
class Weights:
    """The parameters of all directions."""

    w: Value
    r: Value
    bias: Value | None
    peepholes: Value | None = None


@dataclass(frozen=True)
class Form:
    """The attributes that all recurrent layers have."""

    hidden_size: int | None
    direction: str
    layout: int
    activations: Sequence[str]
    clip: float | None

    def problem(self) -> str:
        """Why this cannot be unrolled; empty if it can."""
        if self.clip is not None:
            return "its attribute clip"
        if self.direction not in DIRECTIONS:
            return f"direction={self.direction}"
        unknown = [name for name in self.activations if name.lower() not in FUNCTIONS]
        return f"the activation {unknown[0]}" if unknown else ""


def unrolled(
    c: Context,
    layer: Layer,
    x: Value,
    weights: Weights,
    lengths: Value | None,
    initial: Sequence[Value | None],
    form: Form,
) -> tuple[Value, ...]:
    """All outputs [steps, directions, batch, H], and the last state of each kind [directions, batch, H]."""
    if problem := form.problem():
        c.unsupported(problem)
    layout = form.layout
    x = transpose(c, x, perm=(1, 0, 2)) if layout else x
    steps = c.number(x.type.shape[0], "the number of steps")
    if steps > MOST_STEPS:
        c.unsupported(f"{steps} steps", f"at most {MOST_STEPS}, which are unrolled")
    if lengths is not None and np.any(c.values(lengths, "the lengths of sequences") != steps):
        c.unsupported("sequences of different lengths", "mask the result instead")
    hidden = form.hidden_size or c.number(weights.r.type.shape[-1], "the hidden size")
    outputs: list[Value] = []
    last: list[State] = []
    for i, backwards in enumerate(DIRECTIONS[form.direction]):
        cell = _cell(c, layer, i, weights, form.activations, hidden)
        state = tuple(_start(c, v, i, x.type.shape[1], hidden, layout, x) for v in initial)
        ordered = reversed_along(c, x, 0) if backwards else x
        found, state = _run(c, layer, cell, ordered, steps, state)
        outputs.append(reversed_along(c, found, 0) if backwards else found)
        last.append(state)
    return _results(c, outputs, last, layout)


def _results(c: Context, outputs: Sequence[Value], last: Sequence[State], layout: int) -> tuple[Value, ...]:
    """The results of all directions side by side."""
    y = _joined(c, [_with_axis(c, v, 1) for v in outputs], 1)
    states = [_joined(c, [_with_axis(c, s[k], 0) for s in last], 0) for k in range(len(last[0]))]
    if layout:
        y = transpose(c, y, perm=(2, 0, 1, 3))
        states = [transpose(c, s, perm=(1, 0, 2)) for s in states]
    return (y, *states)


def _run(c: Context, layer: Layer, cell: Cell, x: Value, steps: int, state: State) -> tuple[Value, State]:
    """The hidden states of all steps [steps, batch, H], and the last state."""
    given = c.b(Linear(x, cell.w, cell.w_bias))
    rows: list[Value] = []
    for t in range(steps):
        state = layer.step(c, cell, _without_axis(c, cut(c, given, 0, t, t + 1), 0), state)
        rows.append(_with_axis(c, state[0], 0))
    return _joined(c, rows, 0), state


def _cell(c: Context, layer: Layer, i: int, weights: Weights, activations: Sequence[str], hidden: int) -> Cell:
    """The parameters of direction `i`."""
    w_bias = r_bias = None
    if weights.bias is not None:
        w_bias, r_bias = pieces(c, _part(c, weights.bias, i), 0, [layer.gates * hidden] * 2)
        if not layer.separate:
            w_bias, r_bias = c.b(Add(w_bias, r_bias)), None
    n = len(layer.functions)
    names = list(activations[i * n : (i + 1) * n]) or list(layer.functions)
    looks = () if weights.peepholes is None else pieces(c, _part(c, weights.peepholes, i), 0, [hidden] * 3)
    functions = [FUNCTIONS[name.lower()] for name in names]
    return Cell(_part(c, weights.w, i), _part(c, weights.r, i), w_bias, r_bias, looks, functions, hidden)


def _part(c: Context, x: Value, i: int) -> Value:
    return _without_axis(c, cut(c, x, 0, i, i + 1), 0)


def _start(c: Context, given: Value | None, i: int, batch: Dim, hidden: int, layout: int, x: Value) -> Value:
    if given is None:
        return c.b(Expand(c.const(0, x.type.scalar), (batch, hidden)))
    return _part(c, transpose(c, given, perm=(1, 0, 2)) if layout else given, i)


def _with_axis(c: Context, x: Value, axis: int) -> Value:
    return c.b(Reshape(x, (*x.type.shape[:axis], 1, *x.type.shape[axis:])))


def _without_axis(c: Context, x: Value, axis: int) -> Value:
    return c.b(Reshape(x, (*x.type.shape[:axis], *x.type.shape[axis + 1 :])))


def _joined(c: Context, xs: Sequence[Value], axis: int) -> Value:
    return xs[0] if len(xs) == 1 else c.b(Concat(tuple(xs), axis))


# -- the steps


def _lstm_step(c: Context, cell: Cell, given: Value, state: State) -> State:
    """i, o, f, c: new cell = f * cell + i * g, hidden = o * h(cell)."""
    h, memory = state
    total = c.b(Add(given, c.b(Linear(h, cell.r, cell.r_bias))))
    i, o, f, g = pieces(c, total, 1, [cell.hidden] * 4)
    gate, candidate, out = cell.functions
    if cell.peepholes:
        i = c.b(Add(i, c.b(Mul(cell.peepholes[0], memory))))
        f = c.b(Add(f, c.b(Mul(cell.peepholes[2], memory))))
    memory = c.b(Add(c.b(Mul(c.b(gate(f)), memory)), c.b(Mul(c.b(gate(i)), c.b(candidate(g))))))
    if cell.peepholes:
        o = c.b(Add(o, c.b(Mul(cell.peepholes[1], memory))))
    return c.b(Mul(c.b(gate(o)), c.b(out(memory)))), memory


def _rnn_step(c: Context, cell: Cell, given: Value, state: State) -> State:
    (h,) = state
    return (c.b(cell.functions[0](c.b(Add(given, c.b(Linear(h, cell.r, cell.r_bias)))))),)


def _gru_step(c: Context, cell: Cell, given: Value, state: State) -> State:
    """z, r, h: hidden = (1 - z) * g + z * hidden, the reset in front of the recurrence."""
    (h,) = state
    n = cell.hidden
    gate, candidate = cell.functions
    gates, new = pieces(c, given, 1, [2 * n, n])
    r_gates, r_new = pieces(c, cell.r, 0, [2 * n, n])
    b_gates, b_new = (None, None) if cell.r_bias is None else pieces(c, cell.r_bias, 0, [2 * n, n])
    z, reset = pieces(c, c.b(gate(c.b(Add(gates, c.b(Linear(h, r_gates, b_gates)))))), 1, [n, n])
    g = c.b(candidate(c.b(Add(new, c.b(Linear(c.b(Mul(reset, h)), r_new, b_new))))))
    return (c.b(Add(g, c.b(Mul(z, c.b(Sub(h, g)))))),)


def _gru_step_late(c: Context, cell: Cell, given: Value, state: State) -> State:
    """The same with the reset behind the recurrence (linear_before_reset)."""
    (h,) = state
    n = cell.hidden
    gate, candidate = cell.functions
    gates, new = pieces(c, given, 1, [2 * n, n])
    r_gates, r_new = pieces(c, c.b(Linear(h, cell.r, cell.r_bias)), 1, [2 * n, n])
    z, reset = pieces(c, c.b(gate(c.b(Add(gates, r_gates)))), 1, [n, n])
    g = c.b(candidate(c.b(Add(new, c.b(Mul(reset, r_new))))))
    return (c.b(Add(g, c.b(Mul(z, c.b(Sub(h, g)))))),)


@converts("LSTM")
def lstm(
    c: Context,
    x: Value,
    w: Value,
    r: Value,
    bias: Value | None = None,
    lengths: Value | None = None,
    initial_h: Value | None = None,
    initial_c: Value | None = None,
    peepholes: Value | None = None,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    layout: int = 0,
    activations: Sequence[str] = (),
    clip: float | None = None,
    input_forget: int = 0,
) -> tuple[Value, ...]:
    if input_forget:
        c.unsupported("input_forget", "use separate gates")
    layer = Layer(4, ("sigmoid", "tanh", "tanh"), _lstm_step)
    form = Form(hidden_size, direction, layout, activations, clip)
    return unrolled(c, layer, x, Weights(w, r, bias, peepholes), lengths, (initial_h, initial_c), form)


@converts("GRU")
def gru(
    c: Context,
    x: Value,
    w: Value,
    r: Value,
    bias: Value | None = None,
    lengths: Value | None = None,
    initial_h: Value | None = None,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    layout: int = 0,
    activations: Sequence[str] = (),
    clip: float | None = None,
    linear_before_reset: int = 0,
) -> tuple[Value, ...]:
    step = _gru_step_late if linear_before_reset else _gru_step
    layer = Layer(3, ("sigmoid", "tanh"), step, separate=True)
    form = Form(hidden_size, direction, layout, activations, clip)
    return unrolled(c, layer, x, Weights(w, r, bias), lengths, (initial_h,), form)


@converts("RNN")
def rnn(
    c: Context,
    x: Value,
    w: Value,
    r: Value,
    bias: Value | None = None,
    lengths: Value | None = None,
    initial_h: Value | None = None,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    layout: int = 0,
    activations: Sequence[str] = (),
    clip: float | None = None,
) -> tuple[Value, ...]:
    layer = Layer(1, ("tanh",), _rnn_step)
    form = Form(hidden_size, direction, layout, activations, clip)
    return unrolled(c, layer, x, Weights(w, r, bias), lengths, (initial_h,), form)
