"""The one lazy table of names: ops, passes, presets, backends and lowerings, as `"module:attribute"` strings resolved on first use.

Everything above layer 1 finds things by name here, so that a command imports only what it uses and no module imports another
just to register itself. Third parties add rows by the entry-point group `irc.plugins` or by `--load file.py`; a name that is
taken is an error that names both owners.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from irc.ir.diagnostics import Diagnostic, UsageError, did_you_mean

BUILT_IN = "irc"


@dataclass
class Row:
    """Where a name leads, and who put it there."""

    target: Any
    owner: str


class Table:
    """Names of one kind. `get` resolves `"module:attribute"` strings by importing the module."""

    def __init__(self, kind: str, rows: dict[str, str]) -> None:
        self.kind = kind
        self._rows = {name: Row(target, BUILT_IN) for name, target in rows.items()}
        self.on_miss: Callable[[], None] | None = None  # loads entry points, set by `irc.plugins`

    def add(self, name: str, target: Any, owner: str) -> None:
        """Add a row. Raises UsageError if another owner has the name."""
        row = self._rows.get(name)
        if row is not None and (row.owner != owner or row.target is not target):
            raise UsageError(f"{self.kind} '{name}' of {owner} clashes with the one of {row.owner}")
        self._rows[name] = Row(target, owner)

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def names(self) -> Iterator[str]:
        """All names, sorted, plug-ins included."""
        self._load_plugins()
        return iter(sorted(self._rows))

    def owner(self, name: str) -> str:
        return self._rows[name].owner

    def get(self, name: str) -> Any:
        """What the name stands for. Raises UsageError for an unknown name, with the nearest known one."""
        if name not in self._rows:
            self._load_plugins()
        row = self._rows.get(name)
        if row is None:
            raise UsageError(
                Diagnostic(f"unknown {self.kind} '{name}'", hint=did_you_mean(name, self._rows)),
            )
        if isinstance(row.target, str):
            module, _, attribute = row.target.partition(":")
            row.target = getattr(importlib.import_module(module), attribute)
        return row.target

    def _load_plugins(self) -> None:
        if self.on_miss is not None:
            self.on_miss()


def _rows(package: str, files: dict[str, str]) -> dict[str, str]:
    """{"file": "a:ClassA b:ClassB"} -> {"a": "package.file:ClassA", ...}"""
    return {
        name: f"{package}.{file}:{attribute}"
        for file, entries in files.items()
        for name, _, attribute in (entry.partition(":") for entry in entries.split())
    }


OPS = Table(
    "op",
    _rows(
        "irc.ir.ops",
        {
            "structure": "const:Const return:Return yield:Yield kernel:Kernel call:Call",
            "tensor": "reshape:Reshape permute:Permute expand:Expand concat:Concat slice:Slice pad:Pad gather:Gather iota:Iota",
            "math": "relu:Relu leaky_relu:LeakyRelu gelu:Gelu sigmoid:Sigmoid silu:Silu hardsigmoid:Hardsigmoid "
            "hardswish:Hardswish softplus:Softplus elu:Elu tanh:Tanh exp:Exp log:Log sqrt:Sqrt rsqrt:Rsqrt erf:Erf sin:Sin "
            "cos:Cos floor:Floor neg:Neg abs:Abs clamp:Clamp pow:Pow cast:Cast add:Add sub:Sub mul:Mul div:Div "
            "maximum:Maximum minimum:Minimum compare:Compare logical_and:LogicalAnd logical_or:LogicalOr "
            "logical_not:LogicalNot where:Where sum:Sum mean:Mean amax:Amax cumsum:Cumsum",
            "linear": "linear:Linear matmul:Matmul conv:Conv",
            "pool": "max_pool:MaxPool avg_pool:AvgPool sum_pool:SumPool",
            "norm": "softmax:Softmax layer_norm:LayerNorm rms_norm:RmsNorm group_norm:GroupNorm batch_norm:BatchNorm",
            "attention": "sdpa:Sdpa",
            "quant": "quantize:Quantize dequantize:Dequantize requantize:Requantize lut:Lut int_softmax:IntSoftmax "
            "int_norm:IntNorm observe:Observe rescale:Rescale",
        },
    ),
)
PASSES = Table(
    "pass",
    _rows(
        "irc.passes",
        {
            "canonicalize": "canonicalize:Canonicalize",
            "fold": "fold:Fold",
            "cse": "cse:Cse",
            "dce": "dce:Dce",
            "specialize": "specialize:Specialize",
            "fuse": "fuse:Fuse",
            "calibrate": "calibrate:Calibrate",
            "quantize": "quantize:QuantizePass",
            "integerize": "integerize:Integerize",
        },
    ),
)
PRESETS = Table("preset", _rows("irc.passes", {"presets": "clean:CLEAN quant8:QUANT8 quant4:QUANT4 quant4a4:QUANT4A4"}))
BACKENDS = Table("backend", _rows("irc.backends", {"reference": "reference:REFERENCE"}))
LOWERINGS = Table("lowering", {})  # "backend/op" -> lowering of a third party
