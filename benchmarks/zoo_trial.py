"""What the benchmark `zoo` asks of one model, step by step; a step that fails says why and the next one goes on.

`capture`: the graph, with a batch that varies if PyTorch exports it so. `interpreter`, `cpu`: max|difference| /
max|PyTorch| of each output, at batch sizes 1 and 3 where the batch varies. `quant8`: `quant8,fuse` on the CPU, against
the interpreter, and its signal to noise against floats. `onnx`, `qdq`: onnxruntime on the exported file, float and QDQ.
`hls`: C simulation of `quant8,fuse`, bit by bit.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

import irc
from benchmarks.specimens import Specimen
from irc.backends.execute import run_calls
from irc.frontend.capture import Captured, capture
from irc.frontend.scalars import to_array
from irc.ir.diagnostics import IrcError
from irc.ir.interpret import interpret
from irc.ir.scalars import Array

TOLERANCE = 1e-3
SIZES = (1, 3)  # of the batch, where it varies
CALIBRATION = 16
TESTED = 3
SIMULATED = 2

Facts = dict[str, Any]


class Skipped(Exception):
    """A step that does not apply to this model."""


class Failed(Exception):
    """A step that ran and found what it looked for wrong."""

    def __init__(self, reason: str, **facts: Any) -> None:
        super().__init__(reason)
        self.facts = facts


class Trial:
    """One model on its way through all steps."""

    def __init__(self, specimen: Specimen) -> None:
        self.specimen = specimen
        self.torch_model = specimen.model().eval()
        self.captured: Captured | None = None
        self.artifact: irc.Artifact | None = None

    @property
    def module(self) -> irc.Module:
        if self.captured is None:
            raise Skipped("not captured")
        return self.captured.module

    def samples(self, count: int, seed: int) -> dict[str, Array]:
        return self.specimen.samples(self.module.main, count, seed)

    # -- steps

    def capture(self) -> Facts:
        given = self.specimen.inputs if len(self.specimen.inputs) > 1 else self.specimen.inputs[0]
        facts: Facts = {"parameters": sum(p.numel() for p in self.torch_model.parameters())}
        if self.specimen.batch is None:
            facts["fixed"] = "there is no batch"
        else:
            try:
                self.captured = capture(self.torch_model, given, dynamic=self.specimen.batch)
            except Exception as error:
                facts["fixed"] = reason_of(error)
        if self.captured is None:
            self.captured = capture(self.torch_model, given)
        return facts

    def interpreter(self) -> Facts:
        return self._against_torch(lambda calls: [interpret(self.module, call) for call in calls])

    def cpu(self) -> Facts:
        artifact = irc.compile(self.module, passes="clean,fuse", backend="cpu", feedback=None)
        return self._against_torch(
            lambda calls: list(run_calls(artifact.job(), artifact.backend, artifact.path, calls))
        )

    def quant8(self) -> Facts:
        return self._integers("cpu", "quant8,fuse", TESTED)

    def hls(self) -> Facts:
        if not self.specimen.hardware:
            raise Skipped("not asked")
        facts = self._integers("hls", "quant8,fuse", SIMULATED)
        if not facts["exact"]:
            raise Failed("the simulation differs from the interpreter", **facts)
        return facts

    def onnx(self) -> Facts:
        artifact = irc.compile(self.module, passes="clean", backend="onnx")
        found = artifact.verify(self.samples(TESTED, seed=2))
        error = max((d.relative for d in found.to_float), default=0.0)
        if not error <= TOLERANCE:
            raise Failed(f"onnxruntime is {error:.1e} off the interpreter", error=error)
        return {"error": error}

    def qdq(self) -> Facts:
        artifact = irc.compile(self.module, passes="qdq8", backend="onnx", calib=self.samples(CALIBRATION, seed=1))
        return self._verified(artifact, self.samples(TESTED, seed=2))

    # -- how they compare

    def _calls(self) -> list[list[Array]]:
        """Inputs for one call at each size of the batch."""
        graph = self.module.main
        assert self.captured is not None
        varies = any(not isinstance(d, int) for v in graph.inputs for d in v.type.shape)
        calls: list[list[Array]] = []
        for size in SIZES if varies else (None,):
            highs = (
                self.specimen.high
                if isinstance(self.specimen.high, tuple)
                else (self.specimen.high,) * len(graph.inputs)
            )
            rng = np.random.default_rng(7)
            calls.append([made_up(v.type, size, high, rng) for v, high in zip(graph.inputs, highs, strict=True)])
        return calls

    def _against_torch(self, run: Callable[[Sequence[list[Array]]], list[list[Array]]]) -> Facts:
        """The largest relative error of each output over all calls. Raises Failed if one is too large."""
        calls = self._calls()
        worst: list[float] = []
        for call, given in zip(calls, run(calls), strict=True):
            wanted = outputs_of_torch(self.torch_model, call)
            if len(wanted) != len(given):
                raise Failed(f"{len(given)} outputs, PyTorch has {len(wanted)}")
            found = [relative(a, b, self.specimen.queries) for a, b in zip(given, wanted, strict=True)]
            worst = [max(pair) for pair in zip(worst or found, found, strict=True)]
        facts = {"error": max(worst, default=0.0), "outputs": [float(f"{w:.2e}") for w in worst], "calls": len(calls)}
        if not facts["error"] <= TOLERANCE:
            raise Failed(f"{facts['error']:.1e} off PyTorch", **facts)
        return facts

    def _integers(self, backend: str, passes: str, count: int) -> Facts:
        calib = self.samples(CALIBRATION, seed=1)
        artifact = irc.compile(self.module, passes=passes, backend=backend, calib=calib)
        return self._verified(artifact, self.samples(count, seed=2))

    def _verified(self, artifact: irc.Artifact, samples: Mapping[str, Array]) -> Facts:
        """The backend against the interpreter, and both against floats. Raises Failed if the backend is wrong."""
        found = artifact.verify(dict(samples))
        floats = [v.type.scalar.is_float for v in self.module.main.outputs]
        decibels = [d.decibels for d, is_float in zip(found.to_float, floats, strict=True) if is_float]
        facts: Facts = {"exact": found.exact, "db": min(decibels, default=None) if decibels else None}
        facts["db"] = None if facts["db"] is None else round(min(facts["db"], 200.0), 1)
        found.require_exact()
        return facts


STEPS = ("capture", "interpreter", "cpu", "quant8", "onnx", "qdq", "hls")


def attempts(specimen: Specimen, steps: Sequence[str] = STEPS) -> Iterator[tuple[str, Facts]]:
    """Each step with what it found: `ok`, `seconds`, figures, and a `reason` where it failed or was skipped."""
    trial = Trial(specimen)
    for step in STEPS:
        if step not in steps and step != "capture":
            continue
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                facts: Facts = {"ok": True, **getattr(trial, step)()}
        except Skipped as error:
            facts = {"ok": None, "reason": str(error)}
        except Failed as error:
            facts = {"ok": False, "reason": str(error), **error.facts}
        except Exception as error:
            facts = {"ok": False, "reason": reason_of(error)}
        yield step, {**facts, "seconds": round(time.perf_counter() - start, 1)}


def reason_of(error: Exception) -> str:
    """The first message of an error, in one line, and how many more there are."""
    if isinstance(error, IrcError):
        messages = list(dict.fromkeys(d.message for d in error.diagnostics))
        hint = "; ".join(filter(None, (error.diagnostics[0].hint, *error.diagnostics[0].notes)))
        more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
        return one_line(f"{messages[0]}{f': {hint}' if hint else ''}{more}")
    return one_line(f"{type(error).__name__}: {error}")


def one_line(text: str, most: int = 240) -> str:
    """The first line that says something, shortened."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= most else line[: most - 1] + "…"


def made_up(kind: Any, batch: int | None, high: int, rng: np.random.Generator) -> Array:
    """A random input of a type, with `batch` in place of sizes that vary."""
    shape = tuple(d if isinstance(d, int) else batch for d in kind.shape)
    if kind.scalar.is_float:
        return rng.normal(size=shape).astype(kind.scalar.dtype)
    if kind.scalar.is_integer:
        return rng.integers(0, high, shape).astype(kind.scalar.dtype)
    return rng.random(shape) < 0.3


def outputs_of_torch(model: torch.nn.Module, call: Sequence[Array]) -> list[Array]:
    """What the model itself computes, its tensors in order."""
    with torch.no_grad():
        result = model(*(torch.from_numpy(a.copy()) for a in call))
    return [to_array(leaf) for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def relative(given: Array, wanted: Array, queries: bool) -> float:
    """max|difference| / max|wanted|; infinite where shapes differ, or one is not finite and the other differs."""
    if given.shape != wanted.shape:
        return float("inf")
    a, b = (np.asarray(x, np.float64) for x in (given, wanted))
    if queries:
        a, b = in_order(a), in_order(b)
    finite = np.isfinite(b)
    with np.errstate(invalid="ignore"):
        if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(a[finite]).all():
            return float("inf")
    return float(np.abs(a - b)[finite].max(initial=0.0) / max(np.abs(b[finite]).max(initial=0.0), 1e-12))


def in_order(rows: Array) -> Array:
    """Candidates [batch, queries, ...] sorted by their values: the same set in whatever order gives the same array."""
    flat = rows.reshape(*rows.shape[:2], -1)
    return np.stack([each[np.lexsort(np.round(each, 3).T[::-1])] for each in flat])
