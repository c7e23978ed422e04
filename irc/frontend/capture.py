"""From a module, an exported program or a file to the IR."""

from __future__ import annotations

import operator
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from torch.export.graph_signature import InputKind, OutputKind

from irc.frontend.aten import CONVERTERS
from irc.frontend.dims import symbols_of
from irc.frontend.dynamic import Dynamic, dynamic_axes, torch_shapes, widened
from irc.frontend.explain import explained
from irc.frontend.importer import import_program
from irc.frontend.load import Loaded, load
from irc.frontend.lost import Lost
from irc.frontend.names import with_plain_names
from irc.frontend.provenance import location
from irc.frontend.samples import Arguments, arguments, named
from irc.frontend.scalars import to_array, to_tensor
from irc.frontend.stop import program_before, stopping
from irc.frontend.untyped import decomposed, from_script, is_decomposed, is_list, is_mapping, masks_as_given, quiet
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Graph, Module
from irc.ir.interpret import bind_dims, fitted
from irc.ir.location import Loc
from irc.ir.scalars import Array

Model: TypeAlias = "torch.nn.Module | torch.export.ExportedProgram"
Wanted: TypeAlias = Mapping[str, Mapping[int, str]]  # names of varying sizes, by input and axis


@dataclass(frozen=True)
class Captured:
    """A model as IR, with what is needed to check it against PyTorch.

    `sample_inputs` are the example inputs by name (empty if there are none); `random_samples` says that they were made
    up from shapes, so results on them say nothing about accuracy.
    """

    name: str
    module: Module
    sample_inputs: dict[str, Array]
    random_samples: bool
    program: torch.export.ExportedProgram = field(repr=False)
    locations: Mapping[str, Loc] = field(repr=False)  # of nodes from a saved program, by what stands for their path

    def run_torch(self, inputs: Mapping[str, Array]) -> list[Array]:
        """What PyTorch computes for these inputs: the outputs of the captured graph, flat, in order.

        Raises IrcError if an input is missing.
        """
        return self._run(torch.fx.Interpreter(self.program.graph_module), inputs)

    def trace_torch(self, inputs: Mapping[str, Array]) -> list[tuple[str, str, Loc, Array]]:
        """Every tensor that PyTorch computes on the way: its name, the ATen op, the location, the array, in order."""
        watching = _Watching(self.program.graph_module, self.locations)
        self._run(watching, inputs)
        return watching.seen

    def _run(self, interpreter: torch.fx.Interpreter, inputs: Mapping[str, Array]) -> list[Array]:
        stores: Any = {**self.program.state_dict, **self.program.constants}
        given: list[Any] = []
        for node, spec in zip(_placeholders(self.program), self.program.graph_signature.input_specs, strict=True):
            if spec.target is not None:
                given.append(stores[spec.target])
            elif not isinstance(node.meta.get("val"), torch.Tensor):
                given.append(node.meta.get("val"))
            elif node.name in inputs:
                given.append(to_tensor(inputs[node.name], node.meta["val"].dtype))
            else:
                raise IrcError(f"input '{node.name}' is missing; got {', '.join(inputs) or 'none'}")
        with torch.no_grad():
            outputs = interpreter.run(*given)
        specs = self.program.graph_signature.output_specs
        user = [o for o, s in zip(outputs, specs, strict=True) if s.kind == OutputKind.USER_OUTPUT]
        return [to_array(o) for o in user if isinstance(o, torch.Tensor)]


class _Watching(torch.fx.Interpreter):
    """Keeps every tensor that a node computes."""

    def __init__(self, graph: torch.fx.GraphModule, locations: Mapping[str, Loc]) -> None:
        super().__init__(graph)
        self.seen: list[tuple[str, str, Loc, Array]] = []
        self._locations = locations

    def run_node(self, n: torch.fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "call_function" and isinstance(result, torch.Tensor):
            self.seen.append((n.name, _op_name(n), location(n.meta, self._locations), to_array(result)))
        return result


def _op_name(node: torch.fx.Node) -> str:
    """`linear` of `aten.linear.default`; of a part of a result, what computed the result."""
    if node.target is operator.getitem:
        return _op_name(cast(torch.fx.Node, node.args[0]))
    target = str(node.target)
    return target.split(".")[1] if target.startswith("aten.") else target


def capture(
    model: Model | str | Path,
    inputs: Any = None,
    *,
    dynamic: Dynamic | None = None,
    trust_pickle: bool = False,
    arch: str | None = None,
    stop_at: str = "",
) -> Captured:
    """Import a model.

    `model` is a module (a GraphModule or TorchScript module too), an exported program, a file (`.pt2`, `.pt`, `.pth`,
    `.safetensors`) or `"package.module:factory"`. Modules are captured in eval mode.

    `inputs` are example inputs: one input, a tuple of them, or a dict by argument name; each a tensor, an array, a
    shape `(1, 3, 224, 224)` or a type `"i64[1, 128]"` (both filled with random numbers). A saved program has its own.

    `dynamic` names the axes of a module's inputs that may vary: `{"x": {0: "b"}}`, with a range
    `{"x": {0: ("b", 1, 64)}}`, or just `"b"` or `("b", 1, 64)` for the first axis of every input (of those that are as
    long there as the first). Saved programs have theirs already.

    `trust_pickle` lets a pickle run its code; `arch` is the factory of the module that a file of weights is for.
    `stop_at` is the path of a module: only what comes before it is captured, and what it reads are the results. Several
    have commas between.

    Raises UsageError (missing file, inputs or `arch`), UnsafeInputError (a file that could run code), and IrcError that
    lists everything else that stands in the way: unsupported ops, data-dependent control flow, NaN weights.
    """
    loaded = _found(model, trust_pickle, arch, stop_at)
    given = _arguments(loaded, inputs)
    wanted: Wanted = {}
    if isinstance(loaded.model, torch.export.ExportedProgram):
        program, is_part = _ready(loaded.name, loaded.model, dynamic), loaded.cut
    else:
        program, wanted, is_part = _exported(loaded.name, loaded.model, given, dynamic, stop_at)
    if stop_at and not is_part:
        program = program_before(program, stop_at, loaded.locations)
    plain, true_names = with_plain_names(program)
    functional = _functional(plain, loaded)
    fakes = {node.name: node.meta.get("val") for node in _user_inputs(functional)}
    symbols = symbols_of(functional, wanted, _given(fakes, loaded.lost))
    module = import_program(functional, symbols, {**loaded.names, **true_names}, loaded.locations, loaded.lost)
    samples = named(given, fakes) if given is not None else {}
    if inputs is not None and isinstance(loaded.model, torch.export.ExportedProgram):
        _require_fit(loaded.name, module.main, inputs, samples)
    return Captured(loaded.name, module, samples, given is not None and given.random, functional, loaded.locations)


def _found(model: Any, trust_pickle: bool, arch: str | None, stop_at: str) -> Loaded:
    if isinstance(model, str | Path):
        return load(model, trust_pickle=trust_pickle, arch=arch, stop_at=stop_at)
    if arch is not None:
        raise UsageError("arch goes with a file of weights")
    if isinstance(model, torch.nn.Module):
        return Loaded(model, type(model).__name__)
    if isinstance(model, torch.export.ExportedProgram):
        return Loaded(model, "model", Arguments(*model.example_inputs) if model.example_inputs else None)
    raise UsageError(f"cannot capture {type(model).__name__}; expected a module, an exported program or a path")


def _arguments(loaded: Loaded, inputs: Any) -> Arguments | None:
    """The example inputs: those given, else those that came with the model."""
    chosen = loaded.inputs if inputs is None else inputs
    forward = loaded.model if isinstance(loaded.model, torch.nn.Module) else None
    return None if chosen is None else arguments(chosen, forward)


def _require_fit(name: str, graph: Graph, inputs: Any, samples: Mapping[str, Array]) -> None:
    """Raise UsageError if example inputs have other names or sizes than those of an exported program."""
    if is_mapping(inputs):
        for key, value in inputs.items():
            if key not in samples and not is_mapping(value) and not is_list(value):
                raise UsageError(f"{name} has no input '{key}'", hint=f"its inputs are {', '.join(samples)}")
    try:
        bind_dims(graph, [fitted(value, samples[value.name]) for value in graph.inputs])
    except IrcError as error:
        hint = "an exported program has decided its sizes, and comes with inputs"
        raise UsageError([replace(d, hint=hint) for d in error.diagnostics]) from error


def _placeholders(program: torch.export.ExportedProgram) -> list[torch.fx.Node]:
    return [n for n in program.graph.nodes if n.op == "placeholder"]


def _user_inputs(program: torch.export.ExportedProgram) -> list[torch.fx.Node]:
    specs = program.graph_signature.input_specs
    return [n for n, s in zip(_placeholders(program), specs, strict=True) if s.kind == InputKind.USER_INPUT]


# -- torch.export


def _ready(name: str, program: torch.export.ExportedProgram, dynamic: Dynamic | None) -> torch.export.ExportedProgram:
    if dynamic is not None:
        raise UsageError(
            f"{name} is an exported program, whose sizes are decided already",
            hint="say which sizes vary when exporting it: torch.export.export(model, inputs, dynamic_shapes=...)",
        )
    return program


def _exported(
    name: str, module: torch.nn.Module, given: Arguments | None, dynamic: Dynamic | None, stop_at: str
) -> tuple[torch.export.ExportedProgram, Wanted, bool]:
    """The program of a module, the names of its varying sizes by input and axis, and whether it is only the part before
    the module to stop at: that is taken where torch cannot export the whole.
    """
    if given is None:
        raise UsageError(
            f"{name}: example inputs are needed to capture a module",
            hint="give them or their types: --input='x=f32[1, 3, 224, 224]', in Python {'x': 'f32[1, 3, 224, 224]'}",
        )
    if dynamic is not None and isinstance(module, torch.jit.ScriptModule):
        raise UsageError("sizes of a TorchScript module cannot vary", hint="capture the original module")
    axes = dynamic_axes(dynamic, given)
    wide, shapes = widened(given, axes), torch_shapes(given, axes)
    wanted = {n: {place: axis.name for place, axis in places.items()} for n, places in axes.items()}

    def export() -> torch.export.ExportedProgram:
        with _at_inference(module), quiet():
            whole = (
                from_script(module, wide.args, wide.kwargs) if isinstance(module, torch.jit.ScriptModule) else module
            )
            return torch.export.export(whole, wide.args, wide.kwargs, dynamic_shapes=shapes, strict=False)

    try:
        return export(), wanted, False
    except Exception as error:
        if not stop_at:
            raise explained(error, name) from error
    try:
        with stopping(module, stop_at):
            return export(), wanted, True
    except UsageError:
        raise
    except Exception as error:
        raise explained(error, name) from error


def _given(fakes: Mapping[str, Any], lost: Lost | None) -> dict[str, Any]:
    """The inputs of the model, without those in place of lost results."""
    return {name: fake for name, fake in fakes.items() if lost is None or name not in lost.stand_ins}


def _functional(program: torch.export.ExportedProgram, loaded: Loaded) -> torch.export.ExportedProgram:
    """The program without writes to tensors. Ops with a converter stay whole; torch decomposes the others if it can."""
    keep = frozenset(CONVERTERS)
    try:
        with quiet():
            return program if is_decomposed(program, keep) else decomposed(program, keep)
    except Exception as error:
        if loaded.lost is not None:
            raise loaded.lost.alone() from error
        raise explained(error, loaded.name) from error


@contextmanager
def _at_inference(module: torch.nn.Module) -> Generator[None]:
    """In eval mode, and without the fused transformer layers that torch only has for eager execution."""
    training = {m: m.training for m in module.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    module.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with masks_as_given():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for m, was in training.items():
            m.training = was
