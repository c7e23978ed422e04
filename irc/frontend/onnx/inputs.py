"""The inputs of an ONNX graph as types of the IR: names, named sizes, and what the caller says about them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from irc.frontend.building import UNBOUNDED
from irc.frontend.nested import is_list, is_mapping
from irc.frontend.onnx.proto import Port
from irc.frontend.onnx.tensors import MOST_AXES, scalar_type
from irc.ir.diagnostics import Diagnostic, IrcError, UsageError
from irc.ir.dims import FUNCTIONS, Dim, Shape, Symbol, symbol
from irc.ir.scalars import Array
from irc.ir.terms import Terms
from irc.ir.types import TensorType, tensor

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_FOREIGN = re.compile(r"[^A-Za-z0-9_.$]", re.ASCII)
LONGEST = 256  # characters of a dimension
EXAMPLE = "f32[1, 3, 224, 224]"


@dataclass
class Inputs:
    """Collects the types of inputs and the symbols in them.

    `wanted` are types, shapes or arrays by input name; `dynamic` names axes that vary: `{"x": {0: "b"}}`, with a range
    `{"x": {0: ("b", 1, 64)}}`, or `"b"` or `("b", 1, 64)` for the first axis of every input that has the size of the
    first there.
    """

    wanted: Mapping[str, Any]
    dynamic: Any = None
    symbols: dict[str, Symbol] = field(default_factory=dict[str, Symbol])
    samples: dict[str, Array] = field(default_factory=dict[str, Array])
    _names: dict[str, str] = field(default_factory=dict[str, str])  # of the file -> ours
    _first: Dim | None = None  # size of the first input that has axes

    def type_of(self, port: Port, name: str) -> TensorType:
        """The type of an input. Raises IrcError for what is no tensor of a known rank."""
        if port.kind != "tensor":
            raise _at(name, f"is a {port.kind}", "irc compiles functions of tensors")
        try:
            kind = scalar_type(port.element)
        except IrcError as error:
            raise IrcError(
                [Diagnostic(d.message, place=f"input '{name}'", hint=d.hint) for d in error.diagnostics]
            ) from error
        given = self._given(name, kind)
        if given is not None:
            self._check_fits(port, name, given)
            return given
        if port.dims is None:
            stated = f"--input='{name}={EXAMPLE}', in Python {{'{name}': '{EXAMPLE}'}}"
            raise _at(name, "has no shape", f"state it: {stated}")
        if len(port.dims) > MOST_AXES:
            raise _at(name, f"has {len(port.dims)} axes", f"at most {MOST_AXES}")
        dims = tuple(self._dim(d, name, axis) for axis, d in enumerate(port.dims))
        return tensor(kind, self._varying(dims, name))

    def check_all_used(self, names: Sequence[str]) -> None:
        """Raise UsageError if the caller names an input that does not exist."""
        axes: Mapping[str, Any] = self.dynamic if is_mapping(self.dynamic) else {}
        for name in (*self.wanted, *axes):
            if name not in names:
                raise UsageError(f"there is no input '{name}'", hint=f"inputs: {', '.join(names) or 'none'}")

    # -- what the caller says

    def _given(self, name: str, kind: Any) -> TensorType | None:
        given = self.wanted.get(name)
        if given is None:
            return None
        if isinstance(given, str):
            found = self._parsed(given)
        elif is_list(given) and all(type(d) is int for d in given):
            found = tensor(kind, tuple(given))
        else:
            array: Array = np.asarray(given)
            self.samples[name] = array
            found = tensor(kind, tuple(array.shape))
        if found.scalar != kind:
            raise UsageError(f"input '{name}' is {kind}, not {found.scalar}")
        return found

    def _parsed(self, text: str) -> TensorType:
        reader = Terms(text, "--input", {})
        found = reader.tensor_type()
        if reader.token.kind != "end" or found.encoding is not None:
            raise UsageError(f"'{text}' is no input type", hint="write the type and the shape: 'f32[1, 3, 224, 224]'")
        for token in reader.symbols_read:
            self._declare(token.text)
        return found

    def _check_fits(self, port: Port, name: str, given: TensorType) -> None:
        sizes = port.dims
        fits = sizes is None or (
            len(sizes) == given.rank
            and all(not isinstance(s, int) or s < 1 or s == g for s, g in zip(sizes, given.shape, strict=True))
        )
        if not fits:
            raise UsageError(f"input '{name}' is {given}, the model has the sizes {list(sizes or ())}")

    def _varying(self, dims: Shape, name: str) -> Shape:
        """The shape with the axes that the caller lets vary."""
        out = list(dims)
        for axis, what in self._axes(dims, name).items():
            if not -len(dims) <= axis < len(dims):
                raise UsageError(f"input '{name}' has {len(dims)} axes, there is no axis {axis}")
            label, low, high = (what, 1, UNBOUNDED) if isinstance(what, str) else what
            if not _PLAIN.fullmatch(label) or not 0 < low <= high:
                raise UsageError(f"input '{name}': '{label}' in [{low}, {high}] is no size")
            out[axis] = self._declare(label, low, high)
        return tuple(out)

    def _axes(self, dims: Shape, name: str) -> Mapping[int, Any]:
        if self.dynamic is None or not dims:
            return {}
        if is_mapping(self.dynamic):
            return self.dynamic.get(name, {})
        self._first = dims[0] if self._first is None else self._first
        apart = isinstance(dims[0], int) and isinstance(self._first, int) and dims[0] != self._first
        return {} if apart else {0: self.dynamic}

    # -- what the file says

    def _dim(self, d: int | str | None, name: str, axis: int) -> Dim:
        if isinstance(d, int):
            return d if d >= 0 else self._declare(self._free(f"{name}_{axis}"))
        if d is None:
            return self._declare(self._free(f"{name}_{axis}"))
        return self._expression(d) or self._declare(self._named(d))

    def _expression(self, text: str) -> Dim | None:
        """`past + 1` of other sizes; None if that is not how it reads."""
        if len(text) > LONGEST or _PLAIN.fullmatch(text):
            return None
        try:
            reader = Terms(text, "dim", {})
            found = reader.dim()
        except IrcError:
            return None
        plain = all(_PLAIN.fullmatch(t.text) for t in reader.symbols_read)
        if reader.token.kind != "end" or not plain or isinstance(found, int):
            return None
        for token in reader.symbols_read:
            self._declare(self._named(token.text))
        return found

    def _named(self, text: str) -> str:
        """Our name of a size: the same if it is one, else as near as possible."""
        if text not in self._names:
            self._names[text] = text if _PLAIN.fullmatch(text) and text not in FUNCTIONS else self._free(text)
        return self._names[text]

    def _free(self, text: str) -> str:
        stem = re.sub(r"[^A-Za-z0-9_]", "_", text, flags=re.ASCII) or "size"
        stem = f"d{stem}" if stem[0].isdigit() or stem in FUNCTIONS else stem
        taken = {*self.symbols, *self._names.values()}
        return next(n for n in (stem, *(f"{stem}_{i}" for i in range(len(taken) + 1))) if n not in taken)

    def _declare(self, name: str, low: int = 1, high: int = UNBOUNDED) -> Dim:
        known = self.symbols.get(name)
        if known is None or (known.lo, known.hi) == (1, UNBOUNDED):
            self.symbols[name] = Symbol(name, low, high)
        elif (low, high) not in ((1, UNBOUNDED), (known.lo, known.hi)):
            raise UsageError(f"the size '{name}' has two ranges")
        return symbol(name)


def plain_name(name: str, taken: Sequence[str]) -> str:
    """A name that the text IR prints as it is, as near as possible to the one of the file."""
    stem = _FOREIGN.sub("_", name) or "x"
    stem = f"x{stem}" if stem.isdigit() else stem
    return next(n for n in (stem, *(f"{stem}_{i}" for i in range(len(taken) + 1))) if n not in taken)


def _at(name: str, message: str, hint: str) -> IrcError:
    return IrcError(Diagnostic(f"it {message}", place=f"input '{name}'", hint=hint))
