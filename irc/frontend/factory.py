"""Models that are Python code: `package.module:factory`, and weights that go into them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from irc.frontend.untyped import is_mapping, load_safetensors
from irc.ir.diagnostics import Diagnostic, IrcError, UsageError, did_you_mean

SHOWN_KEYS = 8


def build(name: str) -> tuple[torch.nn.Module, Any]:
    """The module that `package.module:factory` names or makes, and example inputs if the factory returns such a pair.

    The factory is a module class, a function without arguments, or a module. Raises UsageError if there is no such
    thing, IrcError if it fails.
    """
    module_name, _, attribute = name.partition(":")
    found = _attribute(_imported(module_name), attribute, name)
    made = found if isinstance(found, torch.nn.Module) else _called(found, name)
    match made:
        case torch.nn.Module():
            return made, None
        case (torch.nn.Module() as module, inputs):
            return module, inputs
        case _:
            raise UsageError(
                f"{name} gives {type(made).__name__}, expected a torch.nn.Module or a pair (module, example inputs)"
            )


@contextmanager
def _current_folder_first() -> Generator[None]:
    """`model:build` finds model.py in the current folder, whichever way irc was started."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _imported(name: str) -> Any:
    try:
        with _current_folder_first():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(
                f"there is no Python module '{error.name}' (for {name})",
                hint="run irc in the folder that contains it, or install it",
            ) from error
        raise IrcError(f"importing {name} failed: {error}", hint="install what the model's code needs") from error
    except Exception as error:
        raise IrcError(f"importing {name} failed: {type(error).__name__}: {error}") from error


def _attribute(module: Any, path: str, name: str) -> Any:
    found = module
    for part in path.split("."):
        if not hasattr(found, part):
            public = [n for n in dir(found) if not n.startswith("_")]
            raise UsageError(f"{name}: there is no '{part}'", hint=did_you_mean(part, public))
        found = getattr(found, part)
    return found


def _called(factory: Any, name: str) -> Any:
    if not callable(factory):
        raise UsageError(f"{name} is {type(factory).__name__}, expected a function or class that makes the model")
    try:
        return factory()
    except Exception as error:
        raise IrcError(
            f"{name}() failed: {type(error).__name__}: {error}",
            hint="the factory is called without arguments",
        ) from error


# -- weights


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.safetensors` file. Raises IrcError if it is damaged."""
    try:
        return load_safetensors(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise IrcError(Diagnostic(f"not a readable safetensors file ({error})", place=str(path))) from error


def as_state_dict(found: Any) -> dict[str, torch.Tensor] | None:
    """The state dict in what a file holds, plain or under `state_dict` or `model`; None if there is none."""
    if not is_mapping(found):
        return None
    for wrapper in ("state_dict", "model"):
        if is_mapping(found.get(wrapper)):
            return as_state_dict(found[wrapper])
    if found and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in found.items()):
        return dict(found)
    return None


def fill(module: torch.nn.Module, weights: Mapping[str, torch.Tensor], place: str, arch: str) -> None:
    """Put weights into a module. Raises IrcError that lists what is missing, left over or of another shape."""
    own = module.state_dict()
    missing = [k for k in own if k not in weights]
    extra = [k for k in weights if k not in own]
    other = [
        f"{k} is {list(weights[k].shape)} instead of {list(v.shape)}"
        for k, v in own.items()
        if k in weights and weights[k].shape != v.shape
    ]
    notes = [
        f"{what}: {', '.join(keys[:SHOWN_KEYS])}{', ...' if len(keys) > SHOWN_KEYS else ''}"
        for what, keys in (("missing", missing), ("not in the model", extra), ("of another shape", other))
        if keys
    ]
    if notes:
        raise IrcError(
            Diagnostic(
                f"the weights do not fit {arch}",
                place=place,
                notes=tuple(notes),
                hint="name the architecture the weights were trained with, with the same sizes",
            )
        )
    module.load_state_dict(dict(weights))
