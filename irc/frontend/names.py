"""Parameter names that torch may put into the Python source it generates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch.export.graph_signature import ExportGraphSignature, OutputKind

_PLAIN = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


def with_plain_names(
    program: torch.export.ExportedProgram,
) -> tuple[torch.export.ExportedProgram, dict[str, str]]:
    """The program with stand-ins for parameter names, and the true names by stand-in.

    torch writes `getattr(self, "name")` without escaping: a key of a ModuleDict with a quote or a newline breaks it. A
    program with plain names only is returned as it is.
    """
    signature = program.graph_signature
    targets = [s.target for s in signature.input_specs if s.target is not None]
    if all(_PLAIN.fullmatch(target) for target in targets):
        return program, {}
    stand_ins = {name: f"w{i}" for i, name in enumerate(targets)}

    def new_name(spec: Any) -> Any:
        of_input = spec.kind == OutputKind.USER_INPUT_MUTATION  # its target is an input, not a parameter
        return spec if of_input else replace(spec, target=stand_ins.get(spec.target, spec.target))

    def renamed(store: Mapping[str, Any]) -> dict[str, Any]:
        return {stand_ins.get(name, name): value for name, value in store.items()}

    copy = torch.export.ExportedProgram(
        root=program.graph_module,
        graph=program.graph,
        graph_signature=ExportGraphSignature(
            [new_name(spec) for spec in signature.input_specs],
            [new_name(spec) for spec in signature.output_specs],
        ),
        state_dict=renamed(program.state_dict),
        range_constraints=cast(Any, program).range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=program.example_inputs,
        constants=renamed(program.constants),
        verifiers=program.verifiers,
    )
    return copy, {stand_in: name for name, stand_in in stand_ins.items()}
