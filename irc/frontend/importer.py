"""Walks a captured program and builds the IR: parameters become constants, every ATen op goes through its converter."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch.export.graph_signature import InputKind, OutputKind

from irc.frontend.aten import COMPUTED, converter, refused
from irc.frontend.context import Context, Later, Result
from irc.frontend.cut import way_round_hint
from irc.frontend.dims import Symbols
from irc.frontend.lost import Lost
from irc.frontend.problems import Problems
from irc.frontend.provenance import location, owner
from irc.frontend.scalars import to_array
from irc.frontend.stop import steps_of, user_inputs
from irc.frontend.untyped import NUMBERS, is_list
from irc.ir.builder import Builder
from irc.ir.constants import Data
from irc.ir.diagnostics import Diagnostic, IrcError, fault
from irc.ir.graph import Graph, Module, Value
from irc.ir.location import Loc, at
from irc.ir.ops.structure import Const, Return
from irc.ir.scalars import Array
from irc.ir.types import Element, TensorType
from irc.ir.verify import verify

EFFECT = "with_effects"  # takes a token, then the operator that it runs
UNTYPED = object()  # stands for the result of an operator that the IR has no type for


def import_program(
    program: torch.export.ExportedProgram,
    symbols: Symbols,
    names: Mapping[str, str],
    locations: Mapping[str, Loc],
    lost: Lost | None = None,
) -> Module:
    """The IR of a functional program (no op writes to its operands).

    `names` and `locations` translate the stand-ins of a saved program: names of parameters, and locations by module
    path; `lost` are operators that it is without. Raises IrcError with one diagnostic for each distinct problem:
    unsupported ops, NaN weights, updated state.
    """
    module = _Importer(program, symbols, names, locations, lost).run()
    verify(module)
    return module


class _Importer:
    def __init__(
        self,
        program: torch.export.ExportedProgram,
        symbols: Symbols,
        names: Mapping[str, str],
        locations: Mapping[str, Loc],
        lost: Lost | None,
    ) -> None:
        self.program = program
        self.lost = lost
        self.symbols = symbols
        self.names = names
        self.locations = locations
        self.graph = Graph(name="main", symbols=symbols.declared)
        self.values: dict[torch.fx.Node, Any] = {}  # Value, tuple of Values, dimension, number or None
        self.shared: dict[tuple[Any, ...], Data] = {}  # tied weights are one Data
        self.problems = Problems() if lost is None else Problems.of_lost(lost.diagnostics, lost.unjudged)
        self.weights: dict[torch.fx.Node, torch.Tensor] = {}
        self.numbers: dict[torch.fx.Node, int] = {}
        self.known: dict[torch.fx.Node, Any] = {}  # what torch computed from weights

    def run(self) -> Module:
        self._inputs()
        inner = (n for n in self.program.graph.nodes if n.op not in ("placeholder", "output"))
        self.numbers = {node: number for number, node in enumerate(inner)}
        needed = _needed(self.program)
        for node in self.program.graph.nodes:
            if node.op == "call_function" and node in needed:
                self.values[node] = self._call(node)
            elif node.op == "output":
                self._outputs(node)
        self.problems.raise_if_any(self.graph, self._way_round)
        for node in self.graph.nodes:  # parameters that only served to compute others
            if isinstance(node, Const) and not node.result.uses:
                node.erase()
        return Module([self.graph])

    def _way_round(self, lost: Collection[int]) -> str:
        if self.lost is not None:
            places = {location(node.meta, self.locations) for node, number in self.numbers.items() if number in lost}
            return self.lost.way_round(places)
        return way_round_hint(steps_of(self.program, self.locations), lost, user_inputs(self.program))

    # -- inputs and parameters

    def _inputs(self) -> None:
        placeholders = [n for n in self.program.graph.nodes if n.op == "placeholder"]
        for node, spec in zip(placeholders, self.program.graph_signature.input_specs, strict=True):
            fake = node.meta.get("val")
            if spec.kind == InputKind.TOKEN:
                self.values[node] = None
            elif spec.kind != InputKind.USER_INPUT:
                self.values[node] = self._constant(node, spec) if node.users else None
            elif self.lost is not None and node.name in self.lost.stand_ins:
                self.values[node] = self._stand_in(fake)
            elif isinstance(fake, torch.Tensor):
                self.values[node] = self.graph.add_input(self._input_type(node.name, fake), node.name)
            else:
                self.values[node] = fake  # a constant argument of forward: None, a number, a flag

    def _input_type(self, name: str, fake: torch.Tensor) -> TensorType:
        try:
            return self.symbols.type_of(fake)
        except IrcError as error:
            raise IrcError([replace(d, place=f"input '{name}'") for d in error.diagnostics]) from error

    def _constant(self, node: torch.fx.Node, spec: Any) -> Value | None:
        if spec.kind not in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            self.problems.add(Diagnostic(f"input {spec.arg.name} is a {spec.kind.name.lower()}, not a tensor"))
            return None
        name = self.names.get(spec.target, spec.target)
        loc = at(owner(name))
        # Buffers that are not saved, and tensors made in forward, are kept beside the state dict.
        stores: Any = (self.program.state_dict, self.program.constants)
        tensor: torch.Tensor = next(s[spec.target] for s in stores if spec.target in s)
        if tensor.is_meta or tensor.is_quantized or tensor.layout != torch.strided:
            kind = "has no values (meta)" if tensor.is_meta else "is quantized or sparse"
            raise IrcError(Diagnostic(f"'{name}' {kind}", loc, hint="load or convert it to a plain dense tensor"))
        self.weights[node] = tensor.detach()
        data = self._data(tensor)
        self._check_finite(name, data.array, loc, parameter=spec.kind == InputKind.PARAMETER)
        return Builder.at_end(self.graph, loc)(Const(data, Element(data.scalar)), name)

    def _data(self, tensor: torch.Tensor) -> Data:
        """The values, once for tensors that share memory."""
        place = tensor.untyped_storage().data_ptr(), tensor.storage_offset()
        key = (*place, tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if key not in self.shared or not tensor.numel():
            self.shared[key] = Data.of(to_array(tensor), self.symbols.type_of(tensor).scalar)
        return self.shared[key]

    def _check_finite(self, name: str, array: Array, loc: Loc, *, parameter: bool) -> None:
        if array.dtype.kind != "f":
            return
        # A buffer may hold infinities (attention masks); trained weights may not.
        bad = ~np.isfinite(array) if parameter else np.isnan(array)
        if bad.any():
            what = "NaN" if np.isnan(array).any() else "infinite values"
            self.problems.add(
                Diagnostic(
                    f"{'parameter' if parameter else 'buffer'} '{name}' has {what} ({int(bad.sum())} of {array.size})",
                    loc,
                    hint="the training run or the checkpoint is damaged; load another one",
                )
            )

    # -- nodes

    def _call(self, node: torch.fx.Node) -> Any:
        fake = node.meta.get("val")
        if fake is None or isinstance(fake, NUMBERS):
            return fake  # sizes, which are converted where an op needs them, and checks without a result
        target = cast(Any, node.target)
        name = str(node.args[1] if str(target) == EFFECT else target)
        loc = location(node.meta, self.locations)
        context = Context(Builder.at_end(self.graph, loc), name, self.symbols, fake)
        try:
            if any(self.values.get(n) is UNTYPED for n in node.all_input_nodes):
                if converter(name) is None and target is not operator.getitem:
                    raise IrcError(refused(name, loc))
                self.problems.unjudged += 1
                return self._stand_in(fake)
            if target is operator.getitem:
                return self._part(node, context, fake)
            if name in COMPUTED:
                return self._computed(node, context)
            convert = converter(name)
            if convert is None:
                raise IrcError(refused(name, loc))
            keywords = {k: self._argument(v) for k, v in node.kwargs.items()}
            arguments = _in_order(target, [self._argument(a) for a in node.args], keywords)
            return self._checked(context, convert(context, *arguments), fake)
        except IrcError as error:
            self.problems.lose(self.numbers[node], [_placed(d, loc, name) for d in error.diagnostics])
            return self._stand_in(fake)
        except Exception as error:
            raise fault(
                f"importing {name} failed", error, loc, way_round=self._way_round([self.numbers[node]])
            ) from error

    def _computed(self, node: torch.fx.Node, context: Context) -> Any:
        """The constant result of an op that torch computes."""
        result = self._constant_of(node)
        if result is None:
            raise IrcError(f"{node.target} on computed values is not supported", hint="only on weights and constants")
        given = result if is_list(result) else (result,)
        values = tuple(context.b.const(to_array(t), context.type_of(t).scalar) for t in given)
        return values if is_list(result) else values[0]

    def _constant_of(self, node: torch.fx.Node) -> Any:
        """What torch computes for a node that depends on weights only; None for others."""
        if node.op == "placeholder":
            return self.weights.get(node)
        if node not in self.known:
            inputs = {n: self._constant_of(n) for n in node.all_input_nodes}
            constant = node.op == "call_function" and all(v is not None for v in inputs.values())
            self.known[node] = _run(node, inputs) if constant else None
        return self.known[node]

    def _part(self, node: torch.fx.Node, context: Context, fake: Any) -> Result:
        """One of several results; converters leave out those at the end that have no equivalent."""
        source, index = cast("tuple[torch.fx.Node, int]", node.args)
        results: Sequence[Value | Later] = self.values[source]
        if index < len(results):
            result = results[index]
            if isinstance(result, Value) or result is UNTYPED:
                return cast(Value, result)
            return self._checked(replace(context, target=str(source.target)), result(), fake)
        raise IrcError(f"result {index} of {source.target} is not supported", hint="use its first result only")

    def _argument(self, a: Any) -> Any:
        if isinstance(a, torch.fx.Node):
            return self._argument(self.values[a])
        if is_list(a):
            return [self._argument(x) for x in a]
        if isinstance(a, torch.SymInt):
            return self.symbols.dim(a)
        if isinstance(a, torch.SymFloat | torch.SymBool):
            raise IrcError(f"the number {a} varies", hint="numbers that are no sizes must be constants")
        return a

    def _checked(self, context: Context, result: Result, fake: Any) -> Result:
        """The result, whose types must be the ones torch has."""
        given = result if isinstance(result, tuple) else (result,)
        for value, expected in zip(given, fake if is_list(fake) else (fake,), strict=False):
            if not isinstance(value, Value):
                continue
            wanted = context.type_of(expected)
            if not value.type.matches(wanted):
                raise IrcError(Diagnostic(f"{context.target} was imported as {value.type}, torch has {wanted}"))
        return result

    def _stand_in(self, fake: Any) -> Any:
        """An input of the right type in place of a result that could not be built, so that later problems are found
        too. UNTYPED for one whose type the IR does not have.
        """
        if is_list(fake):
            return tuple(self._stand_in(f) for f in fake if f is not None)
        try:
            return self.graph.add_input(self.symbols.type_of(fake), f"unsupported.{len(self.graph.inputs)}")
        except IrcError:  # there is a problem with the operator already
            return UNTYPED

    # -- outputs

    def _outputs(self, node: torch.fx.Node) -> None:
        (results,) = node.args
        values: list[Value] = []
        for spec, result in zip(self.program.graph_signature.output_specs, cast("list[Any]", results), strict=True):
            if spec.kind == OutputKind.TOKEN:
                continue
            value = self._argument(result)
            if spec.kind == OutputKind.USER_OUTPUT:
                if isinstance(value, Value):
                    values.append(value)
                elif value is not None and value is not UNTYPED:
                    self.problems.add(Diagnostic(f"the model returns the number {value}", hint="return tensors only"))
            elif spec.kind != OutputKind.USER_INPUT_MUTATION:  # what is left in an input after the call is no result
                name = self.names.get(spec.target or "", spec.target) or ""
                self.problems.add(
                    Diagnostic(
                        f"the model updates '{name}' while it runs",
                        self._of_state(name, result),
                        hint="irc compiles functions without state: pass the state as an input and return the new one",
                    )
                )
        if not values and not self.problems.found:
            self.problems.add(Diagnostic("the model returns no tensor"))
        if not self.problems.found:
            Builder.at_end(self.graph).add(Return(tuple(values)))

    def _of_state(self, name: str, written: torch.fx.Node) -> Loc:
        """The place of a state, by its name, and the line that computes what is written to it."""
        source = location(written.meta, self.locations).sources
        return at(name, "", source[0].file, source[0].line) if source else at(name)


def _needed(program: torch.export.ExportedProgram) -> set[torch.fx.Node]:
    """The nodes that results depend on. Tokens, which order checks and prints, are no results."""
    (results,) = next(node.args for node in program.graph.nodes if node.op == "output")
    specs = program.graph_signature.output_specs
    kept = [r for r, spec in zip(cast("list[Any]", results), specs, strict=True) if spec.kind != OutputKind.TOKEN]
    needed = {result for result in kept if isinstance(result, torch.fx.Node)}
    for node in reversed(program.graph.nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    return needed


def _run(node: torch.fx.Node, inputs: Mapping[torch.fx.Node, Any]) -> Any:
    arguments, keywords = torch.fx.map_arg((node.args, node.kwargs), lambda n: inputs[n])
    with torch.no_grad():
        return cast(Any, node.target)(*arguments, **keywords)


def _in_order(target: Any, args: list[Any], keywords: dict[str, Any]) -> list[Any]:
    """All arguments of an op in the order of its schema, defaults filled in."""
    bound = list(args)
    for argument in target._schema.arguments[len(args) :]:
        bound.append(keywords.get(argument.name, argument.default_value))
    return bound


def _placed(diagnostic: Diagnostic, loc: Loc, target: str) -> Diagnostic:
    """The diagnostic at the place of the node, naming the ATen op."""
    message = diagnostic.message if target in diagnostic.message else f"{target}: {diagnostic.message}"
    return Diagnostic(message, diagnostic.loc or loc, notes=diagnostic.notes, hint=diagnostic.hint)
