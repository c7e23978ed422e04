"""Where an operator of an ONNX file comes from: what exporters write into its name and metadata, as a location."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain, count, takewhile

from irc.frontend.onnx.proto import OnnxNode
from irc.ir.location import Loc, at, fuse

_LINE = re.compile(r"(.*):(\d{1,9})")
_SCOPES = re.compile(r"'((?:[^'\\]|\\.)*)'")
LONGEST = 4096  # characters of metadata that are looked at


def location(node: OnnxNode) -> Loc:
    """The module path and class of an operator: from our own metadata, torch's, or the name (`/blocks.0/fc/MatMul`).

    Where nothing tells the class, it is the operator.
    """
    metadata = {key: value for key, value in node.metadata.items() if len(value) <= LONGEST}
    if "irc.module" in metadata:
        return _ours(metadata)
    if "pkg.torch.onnx.name_scopes" in metadata:
        return _of_torch(metadata, node.op)
    return at(_path(node) or next((name for name in node.outputs if name), ""), node.op)


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


def _path(node: OnnxNode) -> str:
    """The module path in a name, without the operator at its end.

    A scope of torch's older exporter repeats the one around it where that is an nn.Sequential: `/f/f.0/f.0.1/Conv`.
    """
    parts = [part for part in node.name.split("/") if part]
    if len(parts) > 1 and parts[-1].startswith(node.op):
        parts.pop()
    inner = [*parts[1:], ""]
    return ".".join(part for part, following in zip(parts, inner, strict=False) if not following.startswith(f"{part}."))
