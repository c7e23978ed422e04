"""What a path or a name stands for: a saved program, a module, or weights for one. Content tells, not the suffix."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from irc.frontend.archive import Archive, damaged, open_archive
from irc.frontend.factory import as_state_dict, build, fill, read_safetensors
from irc.frontend.lost import Lost
from irc.frontend.samples import Arguments
from irc.frontend.serialized import read_program
from irc.frontend.stored import load_plain, unsafe
from irc.frontend.untyped import load_script, quiet
from irc.ir.diagnostics import Diagnostic, IrcError, UsageError
from irc.ir.location import Loc

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"


@dataclass
class Loaded:
    """A model before capture.

    `inputs` are what the file or factory has as example inputs. `names` and `locations` are those of a saved program by
    the stand-ins that torch saw, `lost` its operators that are not supported (see `serialized.py`).
    """

    model: torch.nn.Module | torch.export.ExportedProgram
    name: str
    inputs: Any = None
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    locations: Mapping[str, Loc] = field(default_factory=dict[str, Loc])
    cut: bool = False
    """Whether it is only the part before the module to stop at."""
    lost: Lost | None = None


def load(source: str | Path, *, trust_pickle: bool = False, arch: str | None = None, stop_at: str = "") -> Loaded:
    """The model that `source` names: a file, or `package.module:factory`.

    Without `trust_pickle` no code of a file is run. `arch` names the factory of the module that a file of weights is
    for. Of a saved program only the part before the module `stop_at` is looked at; of all else it is cut after capture.
    Raises UsageError (no such file, weights without `arch`), UnsafeInputError (pickles), IrcError (damage).
    """
    path = Path(source)
    if not path.exists():
        if isinstance(source, str) and ":" in source:
            return _from_factory(source, arch)
        raise UsageError(f"there is no file '{source}'", hint="give a file, or a factory as package.module:name")
    if path.is_dir():
        compiled = (path / "manifest.json").is_file()
        what = "is compiled already: irc run, irc verify and irc inspect take it" if compiled else "is a folder"
        raise UsageError(f"'{source}' {what}", hint="give a file: .pt2, .onnx, .pt, .pth, .safetensors or .irc")
    if not path.is_file():
        raise UsageError(f"'{source}' is no regular file")
    if path.suffix == ".npz":
        raise UsageError(f"{path.name} holds arrays, not a model", hint="--calib and --data take such files")
    return _from_file(path, trust_pickle, arch, stop_at)


def _from_factory(name: str, arch: str | None) -> Loaded:
    if arch is not None:
        raise UsageError(f"--arch goes with a file of weights, not with the factory {name}")
    module, inputs = build(name)
    return Loaded(module, name.partition(":")[2].replace(".", "_"), inputs)


def _from_file(path: Path, trust_pickle: bool, arch: str | None, stop_at: str) -> Loaded:
    place = path.name
    head = _head(path)
    if head[8:9] == b"{":
        return _with_arch(read_safetensors(path), path, arch)
    if head.startswith(_ZIP):
        archive = open_archive(path, place)
        if "archive_format" in archive.records and archive.read("archive_format") == b"pt2":
            return _program(archive, path, arch, stop_at)
        return _torch_zip(archive, path, trust_pickle, arch)
    if head.startswith(_PICKLE):
        if not trust_pickle:
            raise unsafe(place, "it is a pickle (the format of torch before 1.6)", trustable=True)
        return _pickled(path, arch)
    what = "is empty" if not head else "is no model file (neither a torch archive nor safetensors)"
    raise IrcError(
        Diagnostic(
            f"the file {what}",
            place=place,
            hint="save the model with torch.export.save(torch.export.export(model, inputs), 'model.pt2')",
        )
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror}") from error


def _program(archive: Archive, path: Path, arch: str | None, stop_at: str) -> Loaded:
    if arch is not None:
        raise UsageError(f"{path.name} is a whole program; --arch goes with a file of weights")
    saved = read_program(archive, stop_at)
    inputs = Arguments(*saved.samples) if saved.samples else None
    return Loaded(saved.program, path.stem, inputs, saved.names, saved.locations, bool(stop_at), saved.lost)


def _torch_zip(archive: Archive, path: Path, trust_pickle: bool, arch: str | None) -> Loaded:
    """A zip that is no `.pt2`: TorchScript, a program of an old torch, or a torch.save file."""
    if "constants.pkl" in archive.records:
        return _script(path, trust_pickle, arch)
    if "serialized_exported_program.json" in archive.records:
        raise unsafe(path.name, "it is a program saved by an older torch, whose weights are pickled")
    if trust_pickle:
        return _pickled(path, arch)
    found = load_plain(io.BytesIO(path.read_bytes()), path.name, trustable=True)
    return _weights_or_module(found, path, arch)


def _script(path: Path, trust_pickle: bool, arch: str | None) -> Loaded:
    if not trust_pickle:
        raise unsafe(path.name, "it is a TorchScript archive, which is a program of its own", trustable=True)
    if arch is not None:
        raise UsageError(f"{path.name} is a TorchScript module; --arch goes with a file of weights")
    try:
        with quiet():
            return Loaded(load_script(path), path.stem)
    except Exception as error:
        raise damaged(path.name, error) from error


def _pickled(path: Path, arch: str | None) -> Loaded:
    """The user trusts the file: anything it contains runs."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise IrcError(
            Diagnostic(
                f"unpickling failed: {type(error).__name__}: {error}",
                place=path.name,
                hint="the code of the model's classes must be importable, as it was when the file was written",
            )
        ) from error
    return _weights_or_module(found, path, arch)


def _weights_or_module(found: Any, path: Path, arch: str | None) -> Loaded:
    if isinstance(found, torch.nn.Module):
        return Loaded(found, path.stem)
    weights = as_state_dict(found)
    if weights is None:
        raise IrcError(
            Diagnostic(f"the file holds {type(found).__name__}, expected a module or a state dict", place=path.name)
        )
    return _with_arch(weights, path, arch)


def _with_arch(weights: Mapping[str, torch.Tensor], path: Path, arch: str | None) -> Loaded:
    if arch is None:
        raise UsageError(
            Diagnostic(
                "the file holds weights only, not the model they belong to",
                place=path.name,
                hint="name the model's code: --arch=package.module:factory",
            )
        )
    module, inputs = build(arch)
    fill(module, weights, path.name, arch)
    return Loaded(module, path.stem, inputs)
