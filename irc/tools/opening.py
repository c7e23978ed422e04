"""What can be compared, as sides: a model, IR text at any stage, an artifact, each on the engine it asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irc.backends.artifact import Artifact
from irc.backends.data import Dataset
from irc.backends.folder import MANIFEST
from irc.backends.sides import Side, on_backend, on_interpreter, on_torch
from irc.driver import Settings, is_onnx, read_model, read_onnx, read_torch
from irc.ir.diagnostics import UsageError
from irc.ir.graph import Module
from irc.ir.scalars import Array
from irc.passes.sampling import as_samples
from irc.tables import resolve

INTERPRETER = "interpreter"
ENGINES = ("torch", "onnxruntime", INTERPRETER, "compiled")


@dataclass(frozen=True)
class Opened:
    """A side, and the samples that came with it; `chosen` are those that somebody chose."""

    side: Side
    samples: Dataset | None
    chosen: bool = True


def open_side(what: Any, settings: Settings, threads: int = 1) -> Opened:
    """A side from a path or text as on the command line, or from a Python object.

    `model.onnx@interpreter` says what runs it. By default PyTorch runs its models, onnxruntime ONNX files, an artifact
    what its backend compiled, and the interpreter IR. Raises what reading raises, and UsageError for an engine that
    does not run it.
    """
    subject, engine = _split(what)
    name = str(subject) if isinstance(subject, str | Path) else type(subject).__name__
    for fits, openers in _KINDS:
        if fits(subject):
            chosen = engine or next(iter(openers))
            if chosen not in openers:
                raise UsageError(f"{name}: {engine} does not run it", hint=f"what does: {', '.join(openers)}")
            return openers[chosen](subject, f"{name} on {_spoken(chosen, subject)}", settings, threads)
    raise AssertionError("everything else is a PyTorch model")


def _split(what: Any) -> tuple[Any, str]:
    match = re.fullmatch(rf"(.+)@({'|'.join(ENGINES)})", what) if isinstance(what, str) else None
    return (match[1], match[2]) if match else (what, "")


def _spoken(engine: str, subject: Any) -> str:
    names = {"torch": "PyTorch", INTERPRETER: "the interpreter", "compiled": "its backend"}
    return names.get(engine, engine)


Opener = Callable[[Any, str, Settings, int], Opened]


def _artifact(subject: Any) -> Artifact:
    return subject if isinstance(subject, Artifact) else Artifact.load(subject)


def _compiled(subject: Any, name: str, settings: Settings, threads: int) -> Opened:
    artifact = _artifact(subject)
    job = artifact.job(threads=threads)
    spoken = name.replace("its backend", artifact.backend.name)
    return Opened(on_backend(job, artifact.backend, artifact.path, spoken), artifact.samples(None))


def _lowered(subject: Any, name: str, settings: Settings, threads: int) -> Opened:
    artifact = _artifact(subject)
    return Opened(on_interpreter(artifact.module, name), artifact.samples(None))


def _interpreted(subject: Any, name: str, settings: Settings, threads: int) -> Opened:
    read = read_model(subject, settings)
    return Opened(on_interpreter(read.module, name), _dataset(read.samples), not read.random)


def _text(subject: Any, name: str, settings: Settings, threads: int) -> Opened:
    plain = Settings(weights=settings.weights)  # how to read models is said for the other side
    return _interpreted(subject, name, plain, threads)


def _by_onnxruntime(subject: Any, name: str, settings: Settings, threads: int) -> Opened:
    imported = read_onnx(subject, settings)
    side = resolve("irc.backends.onnx_export.side:on_onnxruntime")(imported, subject, name)
    return Opened(side, _dataset(as_samples(imported.module.main, imported.samples)))


def _by_torch(subject: Any, name: str, settings: Settings, threads: int) -> Opened:
    captured = read_torch(subject, settings)
    samples = as_samples(captured.module.main, captured.sample_inputs)
    return Opened(on_torch(captured, name), _dataset(samples), not captured.random_samples)


def _dataset(samples: Mapping[str, Array]) -> Dataset | None:
    return Dataset(dict(samples)) if samples else None


def _is_artifact(subject: Any) -> bool:
    if isinstance(subject, str | Path):
        return (Path(subject) / MANIFEST).is_file()
    return isinstance(subject, Artifact)


def _is_text(subject: Any) -> bool:
    return isinstance(subject, Module) or (isinstance(subject, str | Path) and Path(subject).suffix == ".irc")


_KINDS: tuple[tuple[Callable[[Any], bool], Mapping[str, Opener]], ...] = (
    (_is_artifact, {"compiled": _compiled, INTERPRETER: _lowered}),
    (_is_text, {INTERPRETER: _text}),
    (is_onnx, {"onnxruntime": _by_onnxruntime, INTERPRETER: _interpreted}),
    (lambda subject: True, {"torch": _by_torch, INTERPRETER: _interpreted}),
)
