"""Operators, constants and names of a model that is being written; what is there already is not repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from irc.backends.onnx_export.proto import OnnxNode, OnnxTensor
from irc.backends.onnx_export.scalars import Kind, dtype_of
from irc.ir.location import UNKNOWN, Loc
from irc.ir.scalars import Array

Key = tuple[Any, ...]


@dataclass
class Writer:
    """See the module docstring. `loc` is where operators that are added come from."""

    loc: Loc = UNKNOWN
    nodes: list[OnnxNode] = field(default_factory=list[OnnxNode])
    tensors: list[OnnxTensor] = field(default_factory=list[OnnxTensor])
    _taken: dict[str, int] = field(default_factory=dict[str, int])
    _known: dict[Key, str] = field(default_factory=dict[Key, str])

    def name(self, wanted: str) -> str:
        """A name that is not taken, as near as possible to this one."""
        base = wanted or "value"
        while base in self._taken:
            self._taken[base] += 1
            base = f"{base}_{self._taken[base] - 1}"
        self._taken[base] = 1
        return base

    def node(self, op: str, *inputs: str, result: int = 0, **attributes: Any) -> str:
        """The result of an operator, or one behind it; an empty input is one that is left out."""
        given = {key: value for key, value in attributes.items() if value is not None}
        key: Key = (op, inputs, result, tuple((k, str(v)) for k, v in sorted(given.items())))
        if key not in self._known:
            base = "/".join(filter(None, (self.loc.path, op)))
            unread = tuple(self.name(f"{base}/unread") for _ in range(result))
            self._known[key] = self._add(self.name(base), op, inputs, given, unread)
        return self._known[key]

    def output(self, name: str, value: str) -> None:
        """Give a value another name, which is taken already: that of an output of the model."""
        self._add(name, "Identity", (value,), {})

    def _add(
        self,
        name: str,
        op: str,
        inputs: tuple[str, ...],
        attributes: Mapping[str, Any],
        unread: tuple[str, ...] = (),
    ) -> str:
        self.nodes.append(OnnxNode(name, op, inputs, attributes, str(self.loc), metadata(self.loc), unread))
        return name

    def const(self, values: Array | float, kind: Kind, name: str = "constant") -> str:
        """A constant; one of equal content, whatever it is called."""
        with np.errstate(over="ignore"):  # a bound beyond the range of a float type is infinite
            array = np.asarray(values).astype(dtype_of(kind))
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
        key: Key = ("const", kind, array.shape, digest)
        if key not in self._known:
            self._known[key] = self.name(name)
            self.tensors.append(OnnxTensor(self._known[key], array, kind))
        return self._known[key]

    def needed_for(self, outputs: Iterable[str]) -> tuple[list[OnnxNode], list[OnnxTensor]]:
        """The operators and constants that the outputs are computed from, in order."""
        wanted = set(outputs)
        kept: list[OnnxNode] = []
        for node in reversed(self.nodes):
            if node.name in wanted:
                kept.append(node)
                wanted.update(node.inputs)
        return kept[::-1], [tensor for tensor in self.tensors if tensor.name in wanted]


def metadata(loc: Loc) -> dict[str, str]:
    """Where an operator comes from: the module path in the user's model, its class and source line.

    Further places, of an operator that was several, are numbered: `irc.module.1`, ...
    """
    found: dict[str, str] = {}
    for number, source in enumerate(loc.sources):
        end = f".{number}" if number else ""
        found[f"irc.module{end}"] = source.path
        if source.cls:
            found[f"irc.class{end}"] = source.cls
        if source.file:
            found[f"irc.source{end}"] = f"{source.file}:{source.line}"
    return found
