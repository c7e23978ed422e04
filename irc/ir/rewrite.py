"""Rewriting: a rule is a pattern, a guard that says why not, and a build; drivers apply rules and record near misses.

    class FoldDouble(Rule):
        '''relu(relu(x)) -> relu(x)'''
        pattern = op_(Relu, op_(Relu, any_("x"), name="inner"))
        def build(self, m, b): return b(Relu(m["x"]))

`walk` visits every node once, in order; `fixpoint` repeats until nothing changes, up to a limit. Neither folds
constants nor removes dead nodes: those are passes of their own. Only what a rule matched and has replaced goes with it,
so that the next rule counts no readers that are gone. New nodes get the fused locations of what the pattern matched.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, cast

from irc.ir.builder import Builder
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Graph, Module, Node, Value
from irc.ir.location import Loc, fuse
from irc.ir.op import Op


@dataclass(frozen=True)
class Miss:
    """Why a rule did not apply at a node."""

    reason: str


@dataclass
class Match:
    """The values and nodes a pattern bound, by name, and every node it covered (operands first, the root last)."""

    root: Op
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    nodes: dict[str, Op] = field(default_factory=dict[str, Op])
    covered: list[Op] = field(default_factory=list[Op])

    def __getitem__(self, name: str) -> Value:
        return self.values[name]

    def node(self, name: str) -> Any:
        return self.nodes[name]


@dataclass(frozen=True)
class Pattern:
    """Matches a value: anything (`op` None), or the result of an op whose operands match in turn.

    `op` may be a tuple of classes. `once` demands that nothing else reads the value. `commutes` lets the first two
    operands be swapped.
    """

    op: type[Op] | tuple[type[Op], ...] | None = None
    operands: tuple[Pattern, ...] | None = None  # None: any operands
    name: str = ""
    once: bool = False
    commutes: bool = False

    @cached_property
    def classes(self) -> tuple[type[Op], ...]:
        """The classes of ops that it matches; none where it matches any value."""
        return self.op if isinstance(self.op, tuple) else () if self.op is None else (self.op,)

    def match_value(self, value: Value, match: Match) -> Miss | None:
        if self.op is None:
            return self._bind_value(value, match)
        node = value.node
        if not isinstance(node, self.classes):
            names = " or ".join(w.opname or w.__name__.lower() for w in self.classes)
            what = f"%{value.name}" if value.name else f"the operand of type {value.type}"
            return Miss(f"{what} comes from {node.opname if node else 'an input'}, expected {names}")
        if self.once and len(value.uses) != 1:
            return Miss(f"the result of {node.opname} has {len(value.uses)} readers, expected 1")
        return self.match_node(node, match) or self._bind_value(value, match)

    def match_node(self, node: Op, match: Match) -> Miss | None:
        if self.operands is not None:
            if len(node.operands) < len(self.operands):
                return Miss(f"{node.opname} has {len(node.operands)} operands, the pattern has {len(self.operands)}")
            for pattern, value in zip(self.operands, node.operands, strict=False):
                if miss := pattern.match_value(value, match):
                    return miss
        match.covered.append(node)
        if self.name:
            match.nodes[self.name] = node
        return None

    @cached_property
    def orders(self) -> tuple[Pattern, ...]:
        """The pattern with commuting operands in every order, as written first; none of these commutes itself."""
        if self.operands is None:
            return (self,)
        found: list[Pattern] = []
        for first, *rest in itertools.product(*(p.orders for p in self.operands)):
            found.append(replace(self, operands=(first, *rest), commutes=False))
            if self.commutes:
                found.append(replace(self, operands=(rest[0], first, *rest[1:]), commutes=False))
        return tuple(found)

    def _bind_value(self, value: Value, match: Match) -> Miss | None:
        if self.name:
            bound = match.values.setdefault(self.name, value)
            if bound is not value:
                return Miss(f"'{self.name}' would stand for two different values")
        return None


def any_(name: str = "") -> Pattern:
    """Any value."""
    return Pattern(name=name)


def op_(op: type[Op] | tuple[type[Op], ...], *operands: Pattern, name: str = "", once: bool = False) -> Pattern:
    """The result of `op`, whose first operands match `operands`; operands of commutative ops match in either order."""
    classes = op if isinstance(op, tuple) else (op,)
    commutes = all(c.commutative for c in classes) and len(operands) > 1
    return Pattern(op, operands or None, name, once, commutes)


class Rule:
    """A local rewrite. The docstring's first line says what becomes what."""

    pattern: ClassVar[Pattern]

    def guard(self, m: Match) -> Miss | None:
        """Why the rewrite must not happen here, or None."""
        return None

    def build(self, m: Match, b: Builder) -> Value | Sequence[Value] | None:
        """The values that replace the root's results; None if the root was edited in place."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        return type(self).__name__


@dataclass(frozen=True)
class NearMiss:
    """One place where the root of a rule matched but the rule did not apply."""

    rule: str
    node: str
    loc: Loc
    reason: str


Explain = Callable[[NearMiss], None]


def try_rule(rule: Rule, node: Op, pass_name: str = "", explain: Explain | None = None) -> bool:
    """Apply one rule at one node if it matches."""
    if not isinstance(node, rule.pattern.classes):
        return False
    match, miss = _first_match(rule.pattern, node)
    miss = miss or rule.guard(match)
    if miss is not None:
        if explain:
            explain(NearMiss(rule.name, node.opname, node.loc, miss.reason))
        return False
    # In the order of the data, constants last: the first source then is the layer that begins what was matched.
    loc = fuse(n.loc for n in sorted(match.covered, key=lambda n: not n.operands))
    values = rule.build(match, Builder.before_node(node, loc.via(pass_name) if pass_name else loc))
    if values is not None:
        node.replace_by(*([values] if isinstance(values, Value) else values))
    for matched in reversed(match.covered):
        if matched.graph is not None and matched.pure and not any(v.uses for v in matched.results):
            matched.erase()
    return True


def _first_match(pattern: Pattern, node: Op) -> tuple[Match, Miss | None]:
    """The match in the first order of operands that fits; if none does, why the order as written does not."""
    tried: list[tuple[Match, Miss | None]] = []
    for order in pattern.orders:
        match = Match(node)
        tried.append((match, order.match_node(node, match)))
        if tried[-1][1] is None:
            return tried[-1]
    return tried[0]


def walk(target: Graph | Module, rules: Sequence[Rule], pass_name: str = "", explain: Explain | None = None) -> None:
    """Try the rules, in order, once at every node; the first that applies wins."""
    candidates: dict[type[Node], list[Rule]] = {}
    for graph in graphs_of(target):
        for node in graph.nodes:
            kind = type(node)
            if kind not in candidates:
                candidates[kind] = [rule for rule in rules if issubclass(kind, rule.pattern.classes)]
            any(try_rule(rule, cast(Op, node), pass_name, explain) for rule in candidates[kind])


def fixpoint(
    target: Graph | Module, rules: Sequence[Rule], pass_name: str = "", explain: Explain | None = None, limit: int = 64
) -> None:
    """`walk` until nothing changes. Raises IrcError after `limit` rounds: the rules undo each other."""
    for _ in range(limit):
        before = target.mutations
        walk(target, rules, pass_name, explain)
        if target.mutations == before:
            return
    names = ", ".join(rule.name for rule in rules)
    raise IrcError(f"the rules {names} still change the graph after {limit} rounds")


def graphs_of(target: Graph | Module) -> Iterator[Graph]:
    """Every graph, those of regions included."""
    functions = target.functions.values() if isinstance(target, Module) else (target,)
    for function in functions:
        yield function
        for node in function.walk():
            yield from node.regions
