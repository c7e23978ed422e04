"""Ops, passes, backends and lowerings of third parties: installed packages, and files given to `--load`.

An installed package names a `Plugin` in its metadata,

    [project.entry-points."irc.plugins"]
    my-package = "my_package:PLUGIN"

and it is found when a name is looked up that irc itself does not have. A file is simpler: every pass and op class it
defines is registered under its own name, and so is every `Plugin` it holds.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from irc.ir.diagnostics import Diagnostic, UsageError
from irc.ir.op import Op
from irc.passes.base import Pass
from irc.tables import BACKENDS, LOWERINGS, OPS, PASSES, PRESETS, Table

GROUP = "irc.plugins"


@dataclass(frozen=True)
class Plugin:
    """What a package adds, by name. Values are the things themselves or `"module:attribute"` strings, loaded on use.

    `ops` and `passes` hold classes, `backends` Backend values, `presets` pipeline texts, `lowerings` what a backend
    calls to lower an op, by (backend, op).
    """

    ops: Mapping[str, type[Op] | str] = field(default_factory=dict[str, "type[Op] | str"])
    passes: Mapping[str, type[Pass] | str] = field(default_factory=dict[str, "type[Pass] | str"])
    backends: Mapping[str, Any] = field(default_factory=dict[str, Any])
    presets: Mapping[str, str] = field(default_factory=dict[str, str])
    lowerings: Mapping[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])


def register(plugin: Plugin, owner: str) -> None:
    """Add everything of a plug-in. Raises UsageError, naming both owners, if a name is taken."""

    def add(table: Table, rows: Mapping[str, Any]) -> None:
        for name, target in rows.items():
            table.add(name, target, owner, lazy=isinstance(target, str))

    add(OPS, plugin.ops)
    add(PASSES, plugin.passes)
    add(BACKENDS, plugin.backends)
    add(LOWERINGS, {f"{backend}/{op}": target for (backend, op), target in plugin.lowerings.items()})
    for name, text in plugin.presets.items():
        PRESETS.add(name, text, owner)


_loaded: set[str] = set()  # entry points that have been asked for


@cache
def _entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=GROUP))


def load_installed() -> None:
    """Register the plug-ins of installed packages, once. Raises UsageError if one cannot be loaded."""
    for point in _entry_points():
        if point.name in _loaded:
            continue
        _loaded.add(point.name)  # before it runs: a plug-in may look up names itself
        owner = point.dist.name if point.dist is not None else point.name
        try:
            plugin = point.load()
        except Exception as error:
            message = f"the plug-in {point.name} cannot be loaded: {type(error).__name__}: {error}"
            raise UsageError(Diagnostic(message, place=owner, hint=f"pip uninstall {owner}, or repair it")) from error
        if not isinstance(plugin, Plugin):
            raise UsageError(Diagnostic(f"{point.value} is no irc.Plugin", place=owner))
        register(plugin, owner)


def load_file(path: Path) -> ModuleType:
    """Run a Python file and register the passes, ops and plug-ins it defines. Raises UsageError if it fails."""
    name = f"irc_loaded_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UsageError(Diagnostic("is no Python file that can be loaded", place=f"--load {path}"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up annotations there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(Diagnostic(_failure(error, spec.origin or ""), place=f"--load {path}")) from error
    for thing in list(vars(module).values()):
        if isinstance(thing, Plugin):
            register(thing, path.name)
        elif isinstance(thing, type) and thing.__module__ == name:
            _register_class(thing, path.name)
    return module


def _register_class(cls: type[Any], owner: str) -> None:
    if issubclass(cls, Pass) and cls.name:
        if "__dataclass_params__" not in vars(cls):
            problem = f"the pass {cls.name} is no dataclass"
            raise UsageError(Diagnostic(problem, place=owner, hint="@dataclass(frozen=True)"))
        PASSES.add(cls.name, cls, owner)
    elif issubclass(cls, Op) and cls.opname:
        OPS.add(cls.opname, cls, owner)


def _failure(error: Exception, file: str) -> str:
    """What failed, and the last line of the file that was running."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    where = f"line {lines[-1]}: " if lines and lines[-1] else ""
    return f"{where}{type(error).__name__}: {error}"
