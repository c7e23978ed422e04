"""Where an operator of an ONNX file comes from: what exporters write into its name and metadata, as a location."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain, count, pairwise, takewhile

from irc.frontend.onnx.proto import OnnxGraph, OnnxNode
from irc.ir.location import Loc, at, fuse

_LINE = re.compile(r"(.*):(\d{1,9})")
_SCOPES = re.compile(r"'((?:[^'\\]|\\.)*)'")
LONGEST = 4096  # characters of metadata that are looked at
DEEPEST = 64  # modules inside of each other


def location(node: OnnxNode, scopes: Scopes) -> Loc:
    """The module path and class of an operator: from our own metadata, torch's, or the name (`/blocks.0/fc/MatMul`).

    Where nothing tells the class, it is the operator.
    """
    metadata = {key: value for key, value in node.metadata.items() if len(value) <= LONGEST}
    if "irc.module" in metadata:
        return _ours(metadata)
    if "pkg.torch.onnx.name_scopes" in metadata:
        return _of_torch(metadata, node.op)
    return at(scopes.path(_parts(node)) or next((name for name in node.outputs if name), ""), node.op)


def _ours(metadata: Mapping[str, str]) -> Loc:
    """The places of an operator that was several are numbered from the second: `irc.module.1`."""
    ends = takewhile(lambda end: f"irc.module{end}" in metadata, chain([""], (f".{n}" for n in count(1))))
    return fuse(_our_place(metadata, end) for end in ends)


def _our_place(metadata: Mapping[str, str], end: str) -> Loc:
    line = _LINE.fullmatch(metadata.get(f"irc.source{end}", ""))
    file, number = (line[1], int(line[2])) if line else ("", 0)
    return at(metadata[f"irc.module{end}"], metadata.get(f"irc.class{end}", ""), file, number)


def _of_torch(metadata: Mapping[str, str], op: str) -> Loc:
    """torch writes the path of each enclosing module, and its class: `['', 'fc1', 'linear']`, the last is the op."""
    paths = _SCOPES.findall(metadata["pkg.torch.onnx.name_scopes"])[:-1]
    classes = _SCOPES.findall(metadata.get("pkg.torch.onnx.class_hierarchy", ""))[:-1]
    if not paths:
        return at("", op)
    cls = classes[-1].rpartition(".")[2] if len(classes) == len(paths) else op
    return at(paths[-1], cls)


def _parts(node: OnnxNode) -> tuple[str, ...]:
    """The scopes in a name, without the operator at its end."""
    parts = [part for part in node.name.split("/") if part]
    if len(parts) > 1 and parts[-1].startswith(node.op):
        parts.pop()
    return tuple(parts)


class Scopes:
    """The scopes that torch's older exporter writes into names of operators, as module paths.

    A scope repeats the one around it where that is an nn.Sequential (`/f/f.0/f.0.1/Conv` is `f.0.1`), and reads the
    same in a module `f` with an nn.ModuleList `f` (`f.f.0.1`): names of parameters tell which it is.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        paths = [name.split(".", DEEPEST) for name in graph.tensors]
        self._owners = {".".join(path[:i]) for path in paths for i in range(len(path))}
        self._inside: dict[tuple[str, ...], set[str]] = {}  # scopes that repeat the one around them
        self._whole: dict[tuple[str, ...], bool] = {}
        for parts in map(_parts, graph.nodes):
            for i in _repeated(parts):
                self._inside.setdefault(parts[: i + 1], set()).add(parts[i + 1])

    def path(self, parts: tuple[str, ...]) -> str:
        """The module path of nested scopes."""
        dropped = {i for i in _repeated(parts) if not self._is_whole(parts[: i + 1])}
        return ".".join(part for i, part in enumerate(parts) if i not in dropped)

    def _is_whole(self, parts: tuple[str, ...]) -> bool:
        """Whether the last scope is a module in front of those that repeat it."""
        if parts not in self._whole:
            path, inside = self.path(parts), self._inside.get(parts, ())
            self._whole[parts] = any(f"{path}.{inner}" in self._owners for inner in inside)
        return self._whole[parts]


def _repeated(parts: tuple[str, ...]) -> list[int]:
    """The scopes that the one behind repeats; in no name that nests deeper than modules do."""
    nested = pairwise(parts) if len(parts) <= DEEPEST else ()
    return [i for i, (part, inner) in enumerate(nested) if inner.startswith(f"{part}.")]
