"""Walks an ONNX graph and builds the IR: initializers become constants, every operator goes through its converter.

Operators without a converter that are made of others, by the file or by the standard, are taken apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from irc.frontend.cut import way_round_hint
from irc.frontend.onnx.context import Context, Result
from irc.frontend.onnx.folding import FoldingBuilder
from irc.frontend.onnx.inputs import Inputs, plain_name
from irc.frontend.onnx.meanings import give_meanings
from irc.frontend.onnx.names import Scopes, location
from irc.frontend.onnx.ops import CONVERTERS, REASONS, nearest
from irc.frontend.onnx.proto import (
    NEWEST,
    VERSION,
    OnnxFunction,
    OnnxGraph,
    OnnxModel,
    OnnxNode,
    Reference,
    Tensor,
    Unreadable,
    body_of,
    problem_of,
)
from irc.frontend.onnx.sizes import Sizes, propagated
from irc.frontend.onnx.stop import given_to, steps_of
from irc.frontend.onnx.table import Conversion
from irc.frontend.onnx.tensors import ELEMENTS, Tensors
from irc.frontend.problems import Problems
from irc.ir.builder import Builder
from irc.ir.diagnostics import Diagnostic, InternalError, IrcError, fault
from irc.ir.graph import Graph, Module, Value
from irc.ir.location import Loc, at
from irc.ir.op import Op
from irc.ir.ops.structure import Const, Return
from irc.ir.types import Element, Encoding
from irc.ir.verify import verify

DEEPEST = 32  # functions and branches inside of each other
MOST_NODES = 1_000_000  # behind the expansion of functions


def import_model(model: OnnxModel, tensors: Tensors, inputs: Inputs) -> Module:
    """The IR of a model.

    Raises IrcError with one diagnostic for each distinct problem: unsupported operators, NaN weights, damage.
    """
    module = _Importer(model, tensors, inputs).run()
    verify(module)
    return module


@dataclass(frozen=True)
class _Absent:
    """A result that an operator has and its converter does not; a problem only where it is read."""

    message: str
    loc: Loc


@dataclass
class _Scope:
    """The values of a graph by name, on top of those of the graph around it. None: one that could not be built."""

    values: dict[str, Value | _Absent | None]
    tensors: Mapping[str, Tensor]
    opsets: Mapping[str, int]
    outer: _Scope | None = None
    loc: Loc | None = None  # of the operator that all this is
    depth: int = 0


@dataclass
class _Importer:
    model: OnnxModel
    tensors: Tensors
    inputs: Inputs
    graph: Graph = field(default_factory=lambda: Graph(name="main"))
    problems: Problems = field(default_factory=Problems)
    known: dict[Value, Sizes] = field(default_factory=dict[Value, Sizes])
    encodings: dict[Value, Encoding] = field(default_factory=dict[Value, Encoding])
    count: int = 0

    def __post_init__(self) -> None:
        self.scopes = Scopes(self.model.graph)

    def run(self) -> Module:
        self._check_opsets(self.model.opsets)
        scope = _Scope({}, self.model.graph.tensors, self.model.opsets)
        self._inputs(scope)
        self._nodes(self.model.graph.nodes, scope)
        self._outputs(scope)
        self.problems.raise_if_any(self.graph, self._way_round)
        self._drop_unused()
        give_meanings(self.graph, self.encodings)
        return Module([self.graph])

    def _way_round(self, lost: Collection[int]) -> str:
        return way_round_hint(steps_of(self.model.graph), lost, given_to(self.model.graph))

    def _check_opsets(self, opsets: Mapping[str, int]) -> None:
        version = opsets.get("", NEWEST)
        if version > NEWEST:
            raise IrcError(
                f"the model needs operator set {version}, the installed onnx {VERSION} knows {NEWEST}",
                hint=f"export with opset_version={NEWEST} or less, or install a newer onnx",
            )

    # -- inputs, constants, outputs

    def _inputs(self, scope: _Scope) -> None:
        names: dict[str, str] = {}  # by the name in the file
        for port in self.model.graph.inputs:
            if port.name in scope.tensors:  # a default value
                continue
            names[port.name] = plain_name(port.name, list(names.values()))
            try:
                kind = self.inputs.type_of(port, names[port.name])
            except IrcError as error:
                if error.exit_code != IrcError.exit_code:
                    raise
                for diagnostic in error.diagnostics:
                    self.problems.add(diagnostic)
                scope.values[port.name] = None
                continue
            scope.values[port.name] = self.graph.add_input(kind, names[port.name])
        self.inputs.check_all_used(list(names.values()))
        used = {name for value in self.graph.inputs for name in value.type.symbols()}
        self.graph.symbols.update({name: s for name, s in self.inputs.symbols.items() if name in used})

    def _value(self, name: str, scope: _Scope, node: str) -> Value | None:
        """The value of a name; None if it could not be built. Raises IrcError if there is none."""
        at_: _Scope | None = scope
        while at_ is not None:
            if name in at_.tensors and name not in at_.values:
                at_.values[name] = self._constant(name, at_.tensors[name])
            if name in at_.values:
                found = at_.values[name]
                if isinstance(found, _Absent):
                    raise IrcError(Diagnostic(found.message, found.loc))
                return found
            at_ = at_.outer
        raise IrcError(f"{node} reads '{name}', which nothing in front of it gives", hint="is the file damaged?")

    def _constant(self, name: str, tensor: Tensor) -> Value | None:
        loc = at(name.rpartition(".")[0])
        try:
            data = self.tensors.data(tensor)
        except IrcError as error:
            if error.exit_code != IrcError.exit_code:
                raise
            for d in error.diagnostics:
                self.problems.add(Diagnostic(d.message, loc if loc.path else Loc(), hint=d.hint))
            return None
        if data.scalar.is_float and np.isnan(data.array).any():
            bad = int(np.isnan(data.array).sum())
            hint = "the training run or the checkpoint is damaged; load another one"
            self.problems.add(Diagnostic(f"tensor '{name}' has NaN ({bad} of {data.size})", loc, hint=hint))
        return Builder.at_end(self.graph, loc)(Const(data, Element(data.scalar)), name)

    def _outputs(self, scope: _Scope) -> None:
        results: list[Value] = []
        for port in self.model.graph.outputs:
            try:
                value = self._value(port.name, scope, "the model")
            except IrcError as error:
                for diagnostic in error.diagnostics:
                    self.problems.add(diagnostic)
                continue
            if value is not None:
                results.append(value)
        if not self.model.graph.outputs:
            self.problems.add(Diagnostic("the model returns no tensor"))
        if not self.problems.found:
            Builder.at_end(self.graph).add(Return(tuple(results)))

    def _drop_unused(self) -> None:
        for node in reversed(list(self.graph.nodes)):
            if isinstance(node, Op) and node.pure and not any(v.uses for v in node.results):
                node.erase()

    # -- nodes

    def _nodes(self, nodes: Sequence[OnnxNode], scope: _Scope) -> None:
        for number, node in enumerate(nodes):
            self.count += 1
            if self.count > MOST_NODES:
                raise IrcError(f"the model has more than {MOST_NODES} operators behind the expansion of its functions")
            loc = scope.loc or location(node, self.scopes)
            results: Sequence[Value | None] = ()
            try:
                results = self._node(node, scope, loc)
            except IrcError as error:
                if error.exit_code != IrcError.exit_code:
                    raise
                found = [_placed(diagnostic, loc, node.op) for diagnostic in error.diagnostics]
                self._lose(number, found, scope)
            except Exception as error:
                raise self._fault(number, node, error, scope, loc) from error
            for i, name in enumerate(node.outputs):
                if name:
                    given = results[i] if i < len(results) else None
                    lacks = given is None and any(v is not None for v in results)
                    scope.values[name] = _Absent(f"result {i} of {node.op} is not supported", loc) if lacks else given

    def _lose(self, number: int, found: Sequence[Diagnostic], scope: _Scope) -> None:
        if scope.outer is None and scope.depth == 0:
            self.problems.lose(number, found)
        else:  # inside of an operator, which is lost as a whole
            self.problems.found += found

    def _fault(self, number: int, node: OnnxNode, error: Exception, scope: _Scope, loc: Loc) -> InternalError:
        """An exception that is no fault of the file, at the operator."""
        title = _title(node, scope.opsets.get(node.domain, 1)) + (f" '{node.name}'" if node.name else "")
        inside = scope.outer is not None or scope.depth > 0
        return fault(f"importing {title} failed", error, loc, way_round="" if inside else self._way_round([number]))

    def _node(self, node: OnnxNode, scope: _Scope, loc: Loc) -> Sequence[Value | None]:
        """The results; none where an operand could not be built."""
        operands = [self._value(name, scope, node.op) if name else None for name in node.inputs]
        missing = any(name and value is None for name, value in zip(node.inputs, operands, strict=True))
        version = scope.opsets.get(node.domain, 1)  # files do not always import what is not of the standard
        function = self.model.functions.get((node.domain, node.op, node.overload))
        if function is not None:
            return self._unjudged(scope) if missing else self._expanded(function, node, operands, scope, loc)
        if problem := problem_of(node, version):
            raise IrcError(f"{_title(node, version)} is damaged: {problem}")
        conversion = CONVERTERS.get((node.domain, node.op))
        if conversion is None:
            return self._without_converter(node, version, operands, scope, loc, missing)
        if missing:
            return self._unjudged(scope)
        return self._converted(conversion, node, version, operands, scope, loc)

    def _without_converter(
        self,
        node: OnnxNode,
        version: int,
        operands: list[Value | None],
        scope: _Scope,
        loc: Loc,
        missing: bool,
    ) -> Sequence[Value | None]:
        types = [None if v is None else (ELEMENTS.get(v.type.scalar, 0), v.type.rank) for v in operands]
        body = body_of(node, version, types)
        if body is None:
            reason = REASONS.get((node.domain, node.op), "")
            message = f"{_title(node, version)} is not supported" + (f": {reason}" if reason else "")
            raise IrcError(Diagnostic(message, loc, hint=nearest(node.op)))
        return self._unjudged(scope) if missing else self._expanded(body, node, operands, scope, loc)

    def _unjudged(self, scope: _Scope) -> Sequence[Value | None]:
        self.problems.unjudged += scope.loc is None
        return ()

    def _converted(
        self,
        conversion: Conversion,
        node: OnnxNode,
        version: int,
        operands: list[Value | None],
        scope: _Scope,
        loc: Loc,
    ) -> Sequence[Value | None]:
        context = self._context(node, version, scope, loc)
        _check_attributes(conversion, node, context)
        sizes = self._sizes(node, operands)
        if sizes is not None:
            return (context.of_sizes(sizes),)
        _check_inputs(conversion, node, operands, context)
        try:
            result: Result = conversion.convert(context, *operands, **node.attributes)
        except (ValueError, IndexError, ArithmeticError) as error:  # numbers of the file that contradict each other
            given = ", ".join("none" if v is None else str(v.type) for v in operands)
            raise IrcError(
                f"{_title(node, version)}: its attributes do not fit its inputs ({given}): {error}"
            ) from error
        return result if isinstance(result, tuple) else (result,)

    def _context(self, node: OnnxNode, version: int, scope: _Scope, loc: Loc) -> Context:
        builder = FoldingBuilder(self.graph, loc)

        def branch(graph: OnnxGraph, inputs: Sequence[Value]) -> tuple[Value | None, ...]:
            return self._branch(graph, inputs, scope)

        return Context(builder, node.op, node, version, self.tensors, self.known, self.encodings, branch)

    def _sizes(self, node: OnnxNode, operands: Sequence[Value | None]) -> Sizes | None:
        """The result of an operator on sizes with symbols."""
        if not any(v in self.known for v in operands if v is not None):
            return None
        context = self._context(node, 0, _Scope({}, {}, {}), Loc())
        found = [None if v is None else context.sizes(v) for v in operands]
        if any(v is not None and s is None for v, s in zip(operands, found, strict=True)):
            return None
        return propagated(node.op, node.attributes, found)

    # -- operators that are made of others

    def _expanded(
        self, function: OnnxFunction, node: OnnxNode, operands: Sequence[Value | None], scope: _Scope, loc: Loc
    ) -> Sequence[Value | None]:
        _check_depth(scope)
        values: dict[str, Value | _Absent | None] = dict.fromkeys(function.inputs)
        values.update(zip(function.inputs, operands, strict=False))
        absent = {n for n in function.inputs if values[n] is None}
        attributes = {**function.attributes, **node.attributes}
        opsets = {**self.model.opsets, **function.opsets}
        inner = _Scope(values, {}, opsets, None, loc, scope.depth + 1)
        before = len(self.problems.found)
        self._nodes([_substituted(n, attributes, absent) for n in function.nodes], inner)
        failed = len(self.problems.found) > before
        if failed:
            self.problems.unjudged += scope.depth == 0
            return ()
        wanted = zip(function.outputs, node.outputs, strict=False)
        return [self._value(name, inner, node.op) if outside else None for name, outside in wanted]

    def _branch(self, graph: OnnxGraph, inputs: Sequence[Value], scope: _Scope) -> tuple[Value | None, ...]:
        _check_depth(scope)
        values = {port.name: value for port, value in zip(graph.inputs, inputs, strict=False)}
        inner = _Scope({**values}, graph.tensors, scope.opsets, scope, scope.loc, scope.depth + 1)
        self._nodes(graph.nodes, inner)
        return tuple(self._value(p.name, inner, "a branch") for p in graph.outputs)


def _check_depth(scope: _Scope) -> None:
    if scope.depth >= DEEPEST:
        raise IrcError(f"functions and branches are nested more than {DEEPEST} deep", hint="does one call itself?")


def _substituted(node: OnnxNode, attributes: Mapping[str, Any], absent: set[str]) -> OnnxNode:
    """A node of a function with the attributes of the call in it, and without inputs that the call leaves out."""
    own: dict[str, Any] = {}
    for name, value in node.attributes.items():
        if not isinstance(value, Reference):
            own[name] = value
        elif value.name in attributes:
            own[name] = attributes[value.name]
    inputs = tuple("" if name in absent else name for name in node.inputs)
    return OnnxNode(node.op, node.domain, node.name, inputs, node.outputs, own, node.metadata, node.overload)


def _check_inputs(conversion: Conversion, node: OnnxNode, operands: list[Value | None], context: Context) -> None:
    """Give up on inputs that the converter does not know; leave out inputs at the end that are empty."""
    while operands and operands[-1] is None and len(operands) > conversion.least:
        operands.pop()
    if len(operands) < conversion.least or any(v is None for v in operands[: conversion.least]):
        context.unsupported(f"it has {len(operands)} inputs, expected at least {conversion.least}")
    if conversion.most is not None and len(operands) > conversion.most:
        context.unsupported(f"its input {conversion.most} ('{node.inputs[conversion.most]}')")


def _check_attributes(conversion: Conversion, node: OnnxNode, context: Context) -> None:
    """Give up on attributes that the converter does not know, or that are of another kind."""
    for name, value in node.attributes.items():
        if isinstance(value, Unreadable):
            context.unsupported(f"its attribute {name} is a {value.kind}")
        if name not in conversion.attributes:
            context.unsupported(f"its attribute {name}")
        if not conversion.admits(name, value):
            context.unsupported(f"its attribute {name} is {value!r:.80}")
    if absent := conversion.required - node.attributes.keys():
        context.unsupported(f"it lacks the attribute {min(absent)}")


def _title(node: OnnxNode, version: int) -> str:
    """`Loop (opset 17)`, `Quant (qonnx.custom_op.general, opset 1)`."""
    domain = f"{node.domain}, " if node.domain else ""
    return f"{node.op} ({domain}opset {version})"


def _placed(diagnostic: Diagnostic, loc: Loc, op: str) -> Diagnostic:
    """The diagnostic at the place of the node, naming the operator."""
    message = diagnostic.message if op in diagnostic.message else f"{op}: {diagnostic.message}"
    return Diagnostic(message, diagnostic.loc or loc, notes=diagnostic.notes, hint=diagnostic.hint)
