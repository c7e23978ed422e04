"""Typed names for what torch leaves untyped, and for nested data, in one place."""

from __future__ import annotations

import io
import logging
import operator
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard, cast

import safetensors.torch
import torch
from torch._export.converter import TS2EPConverter
from torch.export.graph_signature import OutputKind

from irc.frontend.nested import is_list as is_list
from irc.frontend.nested import is_mapping as is_mapping
from irc.ir.scalars import Array

_torch = cast(Any, torch)

from_numpy: Callable[[Array], torch.Tensor] = _torch.from_numpy
load_safetensors: Callable[[Any], dict[str, torch.Tensor]] = cast(Any, safetensors.torch).load_file
NUMBERS = (torch.SymInt, torch.SymFloat, torch.SymBool, int, float)
has_kernel: Callable[[str, str], bool] = _torch._C._dispatch_has_kernel_for_dispatch_key


def is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def expression_of(size: object) -> Any:
    """The sympy expression of a SymInt."""
    return cast(Any, size).node.expr


def ranges_of(program: torch.export.ExportedProgram) -> dict[str, tuple[Any, Any]]:
    """The lowest and the highest value (sympy numbers) of each symbol, by name."""
    return {str(symbol): (r.lower, r.upper) for symbol, r in cast(Any, program).range_constraints.items()}


def from_script(module: torch.jit.ScriptModule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.nn.Module:
    """A TorchScript module as a module that can be exported."""
    return cast(Any, TS2EPConverter)(module, args, kwargs).convert().module()


def load_script(path: Path) -> torch.jit.ScriptModule:
    """Load a TorchScript archive, which runs code it contains."""
    return _torch.jit.load(path, map_location="cpu")


@contextmanager
def quiet() -> Generator[None]:
    """Without the warnings, log lines and graphs that torch shows; what fails is raised all the same.

    What a model prints is kept off stdout.
    """
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        shown = redirect_stdout(sys.stderr)
        with shown, redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def masks_as_given() -> Generator[None]:
    """Transformer layers of torch take a mask for what it is, and do not look at its values for a causal one.

    They use the answer as a hint only; looking would make their control flow depend on data.
    """
    layers = cast(Any, torch.nn.modules.transformer)
    looked = layers._detect_is_causal_mask
    layers._detect_is_causal_mask = _stated
    try:
        yield
    finally:
        layers._detect_is_causal_mask = looked


def _stated(mask: object, is_causal: bool | None = None, size: int | None = None) -> bool:
    return is_causal is True


@cache
def _decompositions(keep: frozenset[str]) -> dict[Any, Any]:
    """torch's decompositions into core ATen ops without those of the ops to keep."""
    return {target: rule for target, rule in _torch.export.default_decompositions().items() if str(target) not in keep}


def decomposed(program: torch.export.ExportedProgram, keep: frozenset[str]) -> torch.export.ExportedProgram:
    """The functional form of a program in core ATen ops and those to keep whole (by name, `aten.linear.default`)."""
    return cast(Any, program).run_decompositions(dict(_decompositions(keep)))


def is_decomposed(program: torch.export.ExportedProgram, keep: frozenset[str]) -> bool:
    """Whether `decomposed` would find nothing to do: every op that makes tensors is one to keep, none writes."""
    specs = program.graph_signature.output_specs
    inner = (n for n in program.graph.nodes if n.op not in ("placeholder", "output"))
    return all(s.kind == OutputKind.USER_OUTPUT for s in specs) and all(_is_kept(n, keep) for n in inner)


def _is_kept(node: torch.fx.Node, keep: frozenset[str]) -> bool:
    target, result = cast(Any, node.target), node.meta.get("val")
    if target is operator.getitem or isinstance(result, NUMBERS):
        return True
    is_check = result is None and isinstance(target, _torch._ops.OpOverload)
    return (is_check or str(target) in keep) and not _writes(node)


def _writes(node: torch.fx.Node) -> bool:
    """Whether an op writes to a tensor: its schema says so, or it keeps statistics, of which schemas are silent."""
    schema = cast(Any, node.target)._schema
    given = {**dict(zip((a.name for a in schema.arguments), node.args, strict=False)), **node.kwargs}
    return schema.is_mutable or any(given.get(name) is True for name in ("train", "training", "use_input_stats"))


@cache
def decomposable() -> frozenset[str]:
    """The overloads for which torch has a decomposition."""
    return frozenset(map(str, _decompositions(frozenset[str]())))
