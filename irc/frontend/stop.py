"""`--stop-at` for PyTorch: the part of a program before a module, or of a module whose rest cannot be exported."""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch.export.graph_signature import ExportGraphSignature, InputKind, OutputKind, OutputSpec, TensorArgument
from torch.fx.experimental import proxy_tensor
from torch.utils import _pytree as pytree

from irc.frontend.cut import Step, cut, each
from irc.frontend.provenance import location
from irc.frontend.saved_parts import writes_operands
from irc.ir.diagnostics import UsageError, did_you_mean
from irc.ir.location import Loc


def steps_of(program: torch.export.ExportedProgram, locations: Mapping[str, Loc]) -> list[Step[str]]:
    """What a program does, in order, without its inputs and outputs."""
    return [
        Step(
            (location(node.meta, locations).path,),
            tuple(n.name for n in node.all_input_nodes),
            (node.name,),
            writes=writes_operands(str(node.target)),
        )
        for node in _inner(program)
    ]


def user_inputs(program: torch.export.ExportedProgram) -> set[str]:
    """The names of what a caller gives."""
    placeholders = [n for n in program.graph.nodes if n.op == "placeholder"]
    specs = program.graph_signature.input_specs
    return {n.name for n, s in zip(placeholders, specs, strict=True) if s.kind == InputKind.USER_INPUT}


def _inner(program: torch.export.ExportedProgram) -> list[torch.fx.Node]:
    return [n for n in program.graph.nodes if n.op not in ("placeholder", "output")]


def program_before(
    program: torch.export.ExportedProgram, stop_at: str, locations: Mapping[str, Loc]
) -> torch.export.ExportedProgram:
    """The part before a module. Raises UsageError as `cut`."""
    found = cut(steps_of(program, locations), stop_at, user_inputs(program))
    inner = _inner(program)
    graph = torch.fx.Graph()
    copies: dict[torch.fx.Node, torch.fx.Node] = {}
    placeholders = [n for n in program.graph.nodes if n.op == "placeholder"]
    for node in [*placeholders, *(inner[number] for number in found.kept)]:
        copies[node] = graph.node_copy(node, lambda n: copies[n])
    by_name = {node.name: copy for node, copy in copies.items()}
    results = [by_name[n] for n in found.results if isinstance(by_name[n].meta.get("val"), torch.Tensor)]
    end = graph.output(tuple(results))
    end.meta["val"] = tuple(node.meta["val"] for node in results)
    outputs = [OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(node.name), None) for node in results]
    return torch.export.ExportedProgram(
        root=program.graph_module,
        graph=graph,
        graph_signature=ExportGraphSignature(list(program.graph_signature.input_specs), outputs),
        state_dict=dict(program.state_dict),
        range_constraints=dict(getattr(program, "range_constraints", {})),
        module_call_graph=[_call(program.module_call_graph[0], outputs)],
        example_inputs=program.example_inputs,
        constants=dict(program.constants),
        verifiers=program.verifiers,
    )


def _call(entry: Any, outputs: list[OutputSpec]) -> Any:
    """How the program is called, with other results, in one tuple."""
    results = pytree.tree_structure((0,) * len(outputs))
    return replace(entry, signature=replace(entry.signature, outputs=[o.arg for o in outputs], out_spec=results))


class _Reached(Exception):
    """The module to stop at is called with these tensors."""

    def __init__(self, values: list[torch.Tensor]) -> None:
        super().__init__()
        self.values = values


@contextmanager
def stopping(module: torch.nn.Module, stop_at: str) -> Generator[None]:
    """While it lasts, the forward of `module` ends at the first call of the module `stop_at`, with the tensors of the
    call as results; of several modules (commas between), when each was called. Raises UsageError if there is no such
    module.
    """
    inner: dict[str, torch.nn.Module] = dict(cast(Any, module).named_modules())
    paths = each(stop_at)
    for path in paths:
        if not path or path not in inner:
            hint = did_you_mean(path, [name for name in inner if name])
            raise UsageError(f"--stop-at={path}: the model has no such module", hint=hint)
    seen: dict[torch.nn.Module, list[torch.Tensor]] = {}

    def reached(called: torch.nn.Module, args: Any, kwargs: Any) -> None:
        leaves = pytree.tree_leaves((args, kwargs))
        seen.setdefault(called, [v for v in leaves if isinstance(v, torch.Tensor)])
        if len(seen) == len({inner[path] for path in paths}):
            raise _Reached(list({id(v): v for values in seen.values() for v in values}.values()))

    original = module.forward

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        given = {id(v) for v in pytree.tree_leaves((args, kwargs))}
        entered = len(_module_stack())
        seen.clear()
        try:
            original(*args, **kwargs)
        except _Reached as call:
            _leave_to(entered)
            results = tuple(v for v in call.values if id(v) not in given)
            if results:
                return results
            raise UsageError(f"--stop-at={stop_at}: nothing comes before it") from None
        missed = next(path for path in paths if inner[path] not in seen)
        raise UsageError(f"--stop-at={missed}: the model does not call this module")

    handles = [inner[path].register_forward_pre_hook(reached, with_kwargs=True) for path in dict.fromkeys(paths)]
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        for handle in handles:
            handle.remove()


def _module_stack() -> dict[str, Any]:
    """The modules that torch is in while it traces. This is the one place that depends on torch's internals."""
    mode = cast(Any, proxy_tensor).get_proxy_mode()
    return getattr(getattr(mode, "tracer", None), "module_stack", {})


def _leave_to(depth: int) -> None:
    """Leave modules that an exception left, which torch forgets."""
    stack = _module_stack()
    for name in list(stack)[depth:]:
        del stack[name]
