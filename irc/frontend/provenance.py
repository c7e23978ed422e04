"""Where a captured node came from: the metadata of torch.fx nodes, or of a saved program, as locations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from irc.ir.location import Loc, at

_FRAME = re.compile(r'File "([^"\n]*)", line (\d{1,9})\b')
_SELF = "L__self__"
_ENTRIES = re.compile(f";(?={_SELF})")
_REPEATED = re.compile(r"@\d+$")  # torch marks the second call of a module with "@1"
_TORCH = re.compile(r"(^|/)torch/")
_LIBRARIES = re.compile(r"(^|/)(torch|site-packages|dist-packages|lib/python3\.\d+)/")


def location(meta: Mapping[str, Any], known: Mapping[str, Loc]) -> Loc:
    """The innermost user module a node was traced in, its class, and the innermost source line outside libraries.

    `known` has the locations of nodes from a saved program, by the stand-in that travels as their module path.
    """
    stack = meta.get("nn_module_stack")
    if not isinstance(stack, Mapping) or not stack:
        return _at("", "", meta.get("stack_trace"))
    path, cls = cast("list[tuple[str, Any]]", list(cast("Mapping[str, Any]", stack).values()))[-1]
    if path in known:
        return known[path]
    return _at(str(path), cls.__name__ if isinstance(cls, type) else str(cls), meta.get("stack_trace"))


def recorded(metadata: Any) -> Loc:
    """The same, from the metadata of a saved node: `"key,path,class;key,path,class"` and a stack trace."""
    if not isinstance(metadata, Mapping):
        return Loc()
    texts = cast("Mapping[str, Any]", metadata)
    stack = texts.get("nn_module_stack")
    innermost = _ENTRIES.split(stack)[-1] if isinstance(stack, str) else ""
    keyed, comma, cls = innermost.rpartition(",")
    if not comma:
        return _at("", "", texts.get("stack_trace"))
    # A path may have commas of its own; the key is the path behind a prefix.
    path = keyed[(len(keyed) + len(_SELF) + 1) // 2 :]
    if keyed != f"{_SELF}{path},{path}":
        path = keyed.partition(",")[2]
    return _at(path, cls, texts.get("stack_trace"))


def in_library(file: str) -> bool:
    """Whether a source file belongs to torch, another installed package or Python itself."""
    return _LIBRARIES.search(file.replace("\\", "/")) is not None


def owner(parameter: str) -> str:
    """The module path of a parameter: `blocks.0.norm1.weight` -> `blocks.0.norm1`."""
    return parameter.rpartition(".")[0]


def _at(path: str, cls: str, trace: Any) -> Loc:
    file, line = _line(trace)
    if "_empty_nn_module_stack" in path or cls.startswith("torch.export."):  # what torch writes for nodes of its own
        return at("", "", file, line)
    return at(_REPEATED.sub("", path), cls.rpartition(".")[2], file, line)


def _line(trace: Any) -> tuple[str, int]:
    """Base name and line of the innermost frame that is the user's, else a library's on torch, else torch's."""
    if not isinstance(trace, str):
        return "", 0
    frames = [(m[1], int(m[2])) for m in _FRAME.finditer(trace) if not m[1].startswith("<")]  # <generated code>
    if not frames:
        return "", 0
    users = [frame for frame in frames if not in_library(frame[0])]
    models = [frame for frame in frames if not _TORCH.search(frame[0].replace("\\", "/"))]
    file, line = (users or models or frames)[-1]
    return file.replace("\\", "/").rpartition("/")[2], line
