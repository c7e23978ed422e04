"""The backend test suite of the ONNX project, on the interpreter and on the backend `cpu`: adapters, and runs of it
that count."""

from __future__ import annotations

import contextlib
import io
import unittest
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import ml_dtypes
import numpy as np
import onnx
import onnx.backend.test
from onnx.backend.base import Backend, BackendRep
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from irc.backends.base import Job
from irc.backends.cpu_simd.backend import CPU, Options
from irc.backends.cpu_simd.isa import host
from irc.backends.cpu_simd.runtime import session
from irc.frontend.onnx.read import read
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.scalars import Array, scalar
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

HELD = {
    scalar(name): np.dtype(held)
    for name, held in {
        "bf16": ml_dtypes.bfloat16,
        "i4": ml_dtypes.int4,
        "u4": ml_dtypes.uint4,
        "i2": ml_dtypes.int2,
        "u2": ml_dtypes.uint2,
    }.items()
}
"""What holds a value of a type that NumPy lacks."""


Machine = Callable[[Module, list[Array]], list[Array]]
"""Runs `main` of a module once."""


class Prepared(BackendRep):
    """A model that runs on one of our machines.

    Tests of one operator give shapes, axes, weights and the like as inputs of the model, where irc must know them when
    it reads or compiles it: then small inputs, else all but the first, else all, become constants.
    """

    def __init__(self, model: onnx.ModelProto, machine: Machine) -> None:
        self.model = model
        self.machine = machine
        self.names = [p.name for p in model.graph.input if p.name not in {t.name for t in model.graph.initializer}]

    def run(self, inputs: Sequence[Any], **kwargs: Any) -> tuple[Any, ...]:
        given = dict(zip(self.names, inputs, strict=True))
        small = {name: v for name, v in given.items() if getattr(v, "ndim", 0) <= 1}
        reasons: list[IrcError] = []
        for bound in ({}, small, dict(list(given.items())[1:]), given):
            try:
                module = read(_with_constants(self.model, bound)).module
                found = self.machine(module, [_plain(v) for name, v in given.items() if name not in bound])
            except IrcError as error:
                reasons.append(error)
                continue
            return tuple(_held(a, v.type.scalar) for a, v in zip(found, module.main.outputs, strict=True))
        raise reasons[0]


class OnInterpreter(Backend):
    machine: ClassVar[Machine] = interpret

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> Prepared:
        return Prepared(model, cls.machine)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


def on_cpu(module: Module, inputs: list[Array]) -> list[Array]:
    """What the backend `cpu` makes of a module, behind the passes of `irc compile`."""
    run_pipeline(f"clean,{CPU.pipeline}", module, PassContext())
    job = Job(module, host(), Options())
    with session(module.main, CPU.lower(job).program, job.target) as run:
        return run(inputs)


class OnCpu(OnInterpreter):
    machine = on_cpu


def _with_constants(model: onnx.ModelProto, values: Mapping[str, Any]) -> onnx.ModelProto:
    if not values:
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for name, value in values.items():
        if not isinstance(value, np.ndarray | np.generic):
            raise IrcError(f"input '{name}' is {type(value).__name__}")
        changed.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    return changed


def _plain(value: Any) -> Array:
    """A type that NumPy lacks as the one that irc holds it in."""
    array = np.asarray(value)
    if array.dtype == ml_dtypes.bfloat16:
        return array.astype(np.float32)
    return array.astype(np.int8) if array.dtype in HELD.values() else array


def _held(array: Array, kind: Any) -> Any:
    return array.astype(HELD[kind]) if kind in HELD else array


# -- running it


@dataclass
class Count:
    """How the tests went, by name; the texts say why not."""

    passed: list[str] = field(default_factory=list[str])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    wrong: dict[str, str] = field(default_factory=dict[str, str])
    crashed: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def failed(self) -> set[str]:
        return {*self.refused, *self.wrong, *self.crashed}

    def run(self, name: str, test: Callable[[], object]) -> None:
        try:
            with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
                test()
        except IrcError as error:
            self.refused[name] = str(error.diagnostics[0].message)
        except AssertionError as error:
            self.wrong[name] = " ".join(str(error).split())[:200]
        except Exception as error:
            self.crashed[name] = f"{type(error).__name__}: {error}"[:200]
        else:
            self.passed.append(name)


@cache
def suite(backend: type[Backend]) -> dict[str, Callable[[], object]]:
    """All tests for the CPU that need no download, by name."""
    runner: Any = onnx.backend.test.BackendTest(backend, __name__)
    return {name: test for category, cls in runner.test_cases.items() for name, test in _tests(category, cls)}


def _tests(category: str, cls: type[unittest.TestCase]) -> Iterator[tuple[str, Callable[[], object]]]:
    if "Real" in category:
        return
    for name in dir(cls):
        if name.startswith("test_") and name.endswith("_cpu"):
            yield name, getattr(cls(name), name)


def stored(backend: type[Backend]) -> dict[str, Callable[[], object]]:
    """The tests that are files, which load fast."""
    kinds = ("simple", "pytorch-converted", "pytorch-operator")
    cases = [case for kind in kinds for case in load_model_tests(kind=kind)]
    return {
        f"{case.name}_cpu": partial(_run_stored, backend, Path(str(case.model_dir)), case.rtol, case.atol)
        for case in cases
    }


def _run_stored(backend: type[Backend], folder: Path, rtol: float, atol: float) -> None:
    prepared: Any = backend.prepare(onnx.load(folder / "model.onnx"))
    for data in sorted(folder.glob("test_data_set*")):
        inputs, wanted = (_arrays(data, what) for what in ("input", "output"))
        Runner.assert_similar_outputs(wanted, prepared.run(inputs), rtol, atol)


def _arrays(folder: Path, what: str) -> list[Array]:
    files = [folder / f"{what}_{i}.pb" for i in range(len(list(folder.glob(f"{what}_*.pb"))))]
    return [onnx.numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes())) for file in files]


@cache
def excluded() -> dict[str, str]:
    """Why tests are excluded, by name: `onnx_suite_excluded.txt`, for both machines."""
    reasons: dict[str, str] = {}
    reason = ""
    for line in Path(__file__).with_name("onnx_suite_excluded.txt").read_text().splitlines():
        if line.startswith("["):
            reason = line[1:-1]
        elif not line.startswith("#"):
            reasons.update((f"test_{name}_cpu", reason) for name in line.split())
    return reasons
