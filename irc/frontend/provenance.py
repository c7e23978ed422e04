"""Where a captured node came from: the metadata of torch.fx nodes as locations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from irc.ir.location import Loc, at

_FRAME = re.compile(r'File "([^"\n]*)", line (\d+)')
_REPEATED = re.compile(r"@\d+$")  # torch marks the second call of a module with "@1"
_LIBRARIES = re.compile(r"(^|/)(torch|site-packages|dist-packages)/")


def location(meta: Mapping[str, Any]) -> Loc:
    """The innermost user module a node was traced in, its class, and the innermost source line outside libraries."""
    path, cls = _module(meta.get("nn_module_stack"))
    file, line = _line(meta.get("stack_trace"))
    return at(path, cls, file, line)


def owner(parameter: str) -> str:
    """The module path of a parameter: `blocks.0.norm1.weight` -> `blocks.0.norm1`."""
    return parameter.rpartition(".")[0]


def _module(stack: Any) -> tuple[str, str]:
    """The path and the bare class name of the innermost module of torch's `nn_module_stack`."""
    if not isinstance(stack, Mapping) or not stack:
        return "", ""
    path, cls = list(stack.values())[-1]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    name = cls.__name__ if isinstance(cls, type) else str(cls).rpartition(".")[2]  # pyright: ignore[reportUnknownArgumentType]
    path = _REPEATED.sub("", str(path))  # pyright: ignore[reportUnknownArgumentType]
    if "_empty_nn_module_stack" in path:  # what torch writes for nodes it made itself
        return "", ""
    return path, name


def _line(trace: Any) -> tuple[str, int]:
    """Base name and line of the innermost frame that is not in a library, else of the innermost one."""
    if not isinstance(trace, str):
        return "", 0
    frames = [(m[1].replace("\\", "/"), int(m[2])) for m in _FRAME.finditer(trace)]
    own = [frame for frame in frames if not _LIBRARIES.search(frame[0])]
    if not frames:
        return "", 0
    file, line = (own or frames)[-1]
    return file.rpartition("/")[2], line
