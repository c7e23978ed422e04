"""The one lazy table of names: ops, passes, backends, ..., as `"module:attribute"` strings resolved on first use.

Everything above layer 1 finds things by name here, so that a command imports only what it uses and no module imports
another just to register itself. Third parties add rows by the entry-point group `irc.plugins` or by `--load file.py`; a
name that is taken is an error that names both owners.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from irc.ir.diagnostics import Diagnostic, UsageError, did_you_mean

BUILT_IN = "irc"


@dataclass
class Row:
    """Where a name leads, and who put it there. A lazy target is a `"module:attribute"` string still to be resolved."""

    target: Any
    owner: str
    lazy: bool


class Table:
    """Names of one kind. `get` resolves `"module:attribute"` strings by importing the module."""

    def __init__(self, kind: str, rows: dict[str, str]) -> None:
        self.kind = kind
        self._rows = {name: Row(target, BUILT_IN, lazy=True) for name, target in rows.items()}

    def add(self, name: str, target: Any, owner: str, *, lazy: bool = False) -> None:
        """Add a row, or replace one of the same owner. Raises UsageError if another owner has the name."""
        row = self._rows.get(name)
        if row is not None and row.owner != owner:
            raise UsageError(f"{self.kind} '{name}' of {owner} clashes with the one of {row.owner}")
        self._rows[name] = Row(target, owner, lazy)

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def names(self) -> Iterator[str]:
        """All names, sorted, plug-ins included."""
        load_plugins()
        return iter(sorted(self._rows))

    def owner(self, name: str) -> str:
        return self._rows[name].owner

    def get(self, name: str) -> Any:
        """What the name stands for. Raises UsageError for an unknown name, with the nearest known one."""
        if name not in self._rows:
            load_plugins()
        row = self._rows.get(name)
        if row is None:
            raise UsageError(
                Diagnostic(f"unknown {self.kind} '{name}'", hint=did_you_mean(name, self._rows)),
            )
        if row.lazy:
            row.target, row.lazy = resolve(row.target), False
        return row.target


def resolve(target: str) -> Any:
    """What a `"module:attribute"` string names."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def load_plugins() -> None:
    """Let installed plug-ins add their rows; nothing after the first time."""
    resolve("irc.plugins:load_installed")()


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
            "tensor": "reshape:Reshape permute:Permute expand:Expand concat:Concat slice:Slice pad:Pad gather:Gather "
            "scatter:Scatter iota:Iota",
            "math": "relu:Relu leaky_relu:LeakyRelu gelu:Gelu sigmoid:Sigmoid silu:Silu hardsigmoid:Hardsigmoid "
            "hardswish:Hardswish softplus:Softplus elu:Elu tanh:Tanh exp:Exp log:Log sqrt:Sqrt rsqrt:Rsqrt erf:Erf "
            "sin:Sin cos:Cos floor:Floor round:Round neg:Neg abs:Abs clamp:Clamp pow:Pow cast:Cast add:Add sub:Sub "
            "mul:Mul div:Div "
            "maximum:Maximum minimum:Minimum compare:Compare where:Where "
            "sum:Sum mean:Mean amax:Amax argmax:Argmax topk:Topk "
            "cumsum:Cumsum",
            "bits": "and:And or:Or xor:Xor not:Not shift_left:ShiftLeft shift_right:ShiftRight",
            "linear": "linear:Linear matmul:Matmul conv:Conv",
            "pool": "max_pool:MaxPool avg_pool:AvgPool sum_pool:SumPool",
            "norm": "softmax:Softmax layer_norm:LayerNorm rms_norm:RmsNorm group_norm:GroupNorm batch_norm:BatchNorm",
            "attention": "sdpa:Sdpa",
            "token": "select:Select",
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
            "decompose": "decompose:Decompose",
            "inline": "inline:Inline",
            "specialize": "specialize:Specialize",
            "widen": "widen:Widen",
            "fuse": "fuse:Fuse",
            "calibrate": "calibrate:Calibrate",
            "prune": "prune:Prune",
            "smooth": "smooth:Smooth",
            "token_select": "token-select:TokenSelect",
            "quantize": "quantize:QuantizePass",
            "integerize": "integerize:Integerize",
        },
    )
    | _rows("irc.backends.fpga_hls", {"boundary": "hls-boundary:Boundary"}),
)
PRESETS = Table(
    "preset",
    _rows(
        "irc.passes",
        {
            "presets": "clean:CLEAN quant8:QUANT8 quant4:QUANT4 quant4a4:QUANT4A4 weight4:WEIGHT4 "
            "qdq8:QDQ8 qdq4:QDQ4 qdq4a4:QDQ4A4"
        },
    ),
)
BACKENDS = Table(
    "backend",
    _rows(
        "irc.backends",
        {
            "reference": "reference:REFERENCE",
            "fpga_hls.backend": "hls:HLS",
            "cpu_simd.backend": "cpu:CPU",
            "onnx_export.backend": "onnx:ONNX",
        },
    ),
)
EXPORTS = Table("format", {"onnx": "irc.backends.onnx_export.backend:export"})  # by backend: (job, path) -> files
FOLDERS = Table("format", {"params": "irc.tools.params.export:write_params"})  # formats of several files
LOWERINGS = Table("lowering", {})  # "backend/op" -> lowering of a third party
FRONTENDS = Table("frontend", {"torch": "irc.frontend.capture:capture", "onnx": "irc.frontend.onnx.read:read"})
API = Table(  # what `import irc` offers, see irc/__init__.py
    "public name",
    {
        "compile": "irc.driver:compile",
        "capture": "irc.driver:capture",
        "check": "irc.tools.check:check",
        "compare": "irc.tools.compare:compare",
        "bisect": "irc.tools.bisect:bisect",
        "reduce": "irc.tools.reduce:reduce",
        "sensitivity": "irc.tools.sensitivity:sensitivity",
        "apply": "irc.driver:apply",
        "export_params": "irc.tools.params.export:export_params",
        "load": "irc.driver:load",
        "parse": "irc.ir.parser:parse",
        "interpret": "irc.ir.interpret:interpret",
        "Artifact": "irc.backends.artifact:Artifact",
        "Backend": "irc.backends.base:Backend",
        "Builder": "irc.ir.builder:Builder",
        "Data": "irc.ir.constants:Data",
        "Graph": "irc.ir.graph:Graph",
        "IrcError": "irc.ir.diagnostics:IrcError",
        "Job": "irc.backends.base:Job",
        "Module": "irc.ir.graph:Module",
        "Op": "irc.ir.op:Op",
        "Pass": "irc.passes.base:Pass",
        "PassContext": "irc.passes.base:PassContext",
        "Plugin": "irc.plugins:Plugin",
        "Rule": "irc.ir.rewrite:Rule",
    },
)
