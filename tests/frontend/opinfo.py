"""PyTorch's own samples of its operators (OpInfo), captured and run on the interpreter, against PyTorch.

A sample counts if all the ATen overloads that it becomes are in our table.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree
from torch_support import assert_same, outputs_of

from irc.frontend import importer
from irc.frontend.aten import CONVERTERS
from irc.frontend.capture import capture
from irc.frontend.untyped import quiet
from irc.ir.diagnostics import IrcError
from irc.ir.interpret import interpret

TYPES = (torch.float32, torch.int64, torch.bool)
ORDERING = ("argsort", "kthvalue", "median", "sort", "topk")
TOGETHER = 16  # samples captured at once, which is faster
UNCLAIMED = re.compile(r"aten\.\S+ is not supported|aten\.\S+: (batch statistics|random numbers, .*)")


@dataclass(frozen=True)
class Sample:
    """One call of an operator; `name` is that of the operator, the type, and a number."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Tensor, ...]

    def __call__(self, tensors: Sequence[Tensor]) -> Any:
        return self.function(*tensors)

    @property
    def tied(self) -> bool:
        """Whether it orders values some of which are equal."""
        return self.name.split()[0] in ORDERING and len(self.inputs[0].unique()) < self.inputs[0].numel()


class Samples(nn.Module):
    """Several samples as one model; `inputs` are all their tensors, or the first of each: then others are weights."""

    def __init__(self, samples: Sequence[Sample], weights: bool) -> None:
        super().__init__()
        self.samples = samples
        self.given = [1 if weights else len(sample.inputs) for sample in samples]
        self.inputs = tuple(x for s, n in zip(samples, self.given, strict=True) for x in s.inputs[:n])
        for i, (sample, n) in enumerate(zip(samples, self.given, strict=True)):
            for j, x in enumerate(sample.inputs[n:]):
                self.register_buffer(f"b{i}_{j}", x)

    def forward(self, *tensors: Tensor) -> Any:
        found, rest = iter(tensors), iter(self.buffers())
        return [
            sample([next(found if i < n else rest) for i in range(len(sample.inputs))])
            for sample, n in zip(self.samples, self.given, strict=True)
        ]


@cache
def infos() -> dict[str, Any]:
    """All operators that PyTorch has samples for, by name and variant."""
    return {f"{info.name}.{info.variant_test_name}".rstrip("."): info for info in op_db}


def samples_of(name: str, dtype: torch.dtype) -> Iterator[Sample]:
    """The samples of an operator that take and give dense tensors of types that the IR has."""
    info = infos()[name]
    if dtype not in info.dtypes or "cpu" not in (info.only_on or "cpu" if hasattr(info, "only_on") else "cpu"):
        return
    torch.manual_seed(0)
    for number, found in enumerate(info.sample_inputs("cpu", dtype)):
        leaves, spec = pytree.tree_flatten(((found.input, *found.args), found.kwargs))
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        inputs = tuple(leaves[i].detach() for i in places)
        if inputs and all(_is_plain(x) for x in inputs):
            yield Sample(f"{name} {str(dtype)[6:]} {number}", _function(info.op, leaves, places, spec), inputs)


def _function(op: Any, leaves: list[Any], places: list[int], spec: Any) -> Callable[..., Any]:
    def call(*tensors: Tensor) -> Any:
        mine = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            mine[place] = tensor
        args, kwargs = pytree.tree_unflatten(mine, spec)
        return op(*args, **kwargs)

    return call


def _is_plain(x: Any) -> bool:
    return isinstance(x, Tensor) and x.layout == torch.strided and not x.is_complex() and not x.is_quantized


@dataclass
class Count:
    """How samples went, by name; the texts say why not. `met` are the overloads of our table that were imported."""

    passed: list[str] = field(default_factory=list[str])
    unclaimed: dict[str, str] = field(default_factory=dict[str, str])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    wrong: dict[str, str] = field(default_factory=dict[str, str])
    met: set[str] = field(default_factory=set[str])

    @property
    def failed(self) -> dict[str, str]:
        return {**self.refused, **self.wrong}

    @property
    def claimed(self) -> int:
        return len(self.passed) + len(self.failed)

    def run(self, samples: Sequence[Sample]) -> None:
        """Run the samples together, or in halves if that does not work."""
        why = self._run(samples, weights=False)
        if why is not None and len(samples) == 1 and why[0] == "refused":
            why = self._run(samples, weights=True)
        if why is None:
            self.passed += [sample.name for sample in samples]
        elif len(samples) > 1:
            for half in (samples[: len(samples) // 2], samples[len(samples) // 2 :]):
                self.run(half)
        else:
            kind, text = why
            getattr(self, kind)[samples[0].name] = " ".join(text.split())[:200]

    def _run(self, samples: Sequence[Sample], weights: bool) -> tuple[str, str] | None:
        model = Samples(samples, weights)
        inputs = model.inputs
        try:
            expected = outputs_of(model, *inputs)
        except RuntimeError as error:
            return "unclaimed", f"torch itself does not run it: {error}"
        if not expected or not all(_is_plain(x) for x in expected):
            return "unclaimed", "a result is no plain tensor"
        try:
            captured = capture(model, inputs)
            given = interpret(captured.module, captured.sample_inputs)
        except IrcError as error:
            unknown = [d.message for d in error.diagnostics if UNCLAIMED.fullmatch(d.message)]
            return ("unclaimed", unknown[0]) if unknown else ("refused", str(error.diagnostics[0].message))
        try:
            assert_same(given, expected)
        except AssertionError as error:
            if len(samples) == 1 and samples[0].tied:
                return "unclaimed", "PyTorch leaves open which of equal values come first"
            return "wrong", str(error) or "values differ"
        return None


def claimed_names() -> list[str]:
    """Operators one of whose ATen overloads may be in our table: those of its names, or of what they stand for."""
    bases = {target.split(".")[1] for target in CONVERTERS}
    return [
        name
        for name, info in sorted(infos().items())
        if {info.aten_name, info.name.split(".")[-1]} & bases and "empty" not in name  # which nobody filled
    ]


def count_of(names: Sequence[str], types: Sequence[torch.dtype] = TYPES, most: int | None = None) -> Count:
    """Run samples of operators, the first `most` of each type."""
    count, find = Count(), importer.converter

    def recorded(target: str) -> Any:
        found = find(target)
        if found is not None:
            count.met.add(target)
        return found

    importer.converter = recorded
    samples = [s for name in names for dtype in types for s in itertools.islice(samples_of(name, dtype), most)]
    try:
        with quiet():
            for start in range(0, len(samples), TOGETHER):
                count.run(samples[start : start + TOGETHER])
    finally:
        importer.converter = find
    return count


def excluded() -> dict[str, str]:
    """Why samples are refused, by what the message matches: `opinfo_excluded.txt`."""
    reasons: dict[str, str] = {}
    reason = ""
    for line in Path(__file__).with_name("opinfo_excluded.txt").read_text().splitlines():
        if line.startswith("["):
            reason = line[1:-1]
        elif line and not line.startswith("#"):
            reasons[line] = reason
    return reasons
