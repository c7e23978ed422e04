"""Which values of two runs are the same quantity, by where they come from.

A value is the outcome of the last source in its location: what a batch norm folded into a convolution gives is the
outcome of both, so it stands beside the batch norm of a float graph. Of several values with one outcome, such as the
parts of a softmax that was split, the last one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from irc.backends.data import Dataset
from irc.backends.execute import calls_of, join
from irc.backends.sides import Point, Side, fitting, point_of
from irc.ir.diagnostics import UsageError
from irc.ir.graph import Graph, Node, Value
from irc.ir.location import Loc, Source, fuse
from irc.ir.ops.quant import Dequantize
from irc.ir.ops.structure import Call
from irc.ir.scalars import Array


@dataclass(frozen=True)
class Shown:
    """A value of a run, and what it stands for in each call."""

    point: Point
    arrays: list[Array]

    def joined(self, samples: int, filled: int) -> Array | None:
        """What it stands for, all calls in one; None if there is nothing, or shapes that do not join.

        `samples` samples were run as `filled`; what only filled up the last batch is dropped.
        """
        if len({(array.ndim, array.shape[1:]) for array in self.arrays}) != 1:  # none, or counts that differ
            return None
        whole = join(self.arrays)
        return whole[: len(whole) * samples // filled] if len(whole) % filled == 0 else whole


def shown(side: Side, data: Dataset) -> list[Shown]:
    """The values of a side that depend on its inputs, in order, for all samples.

    Of a graph these are all it has; what the side cannot show has no arrays. Raises UsageError if it cannot show any.
    """
    if side.trace is None:
        raise UsageError(f"{side.name} cannot show its layers", hint="compare without --layerwise")
    if not side.of_graph:
        found: dict[int, Shown] = {}
        for call in calls_of(side.graph, data):
            for position, (point, array) in enumerate(side.trace(call)):
                found.setdefault(position, Shown(point, [])).arrays.append(point.real(array))
        return list(found.values())
    known = {value: Shown(_with_readers(value), []) for value in varying(side.graph) if computes(value) is value}
    for call in calls_of(side.graph, data):
        seen = {computes(point.value): point.real(array) for point, array in side.trace(call) if point.value}
        for value in known.keys() & seen.keys():
            known[value].arrays.append(seen[value])
    return list(known.values())


def _with_readers(value: Value) -> Point:
    """A value as a point, which is also what follows from its codes by nothing but reading them as reals."""
    read = [node.loc for node in value.users if isinstance(node, Dequantize) and node.x is value]
    return replace(point_of(value), read=fuse(read).sources)


def computes(value: Value) -> Value:
    """The value that a value is, inside kernel regions and called functions, or as codes: named by what computes it."""
    node = value.node
    if isinstance(node, Dequantize):
        return computes(node.x)
    body = next(bodies(node), None) if node is not None else None
    return value if body is None else computes(body.outputs[value.index])


def varying(graph: Graph) -> Iterator[Value]:
    """The values that nodes compute from the inputs of a function, those inside of `bodies` included."""
    return _varying(graph, set(graph.inputs))


def _varying(graph: Graph, known: set[Value]) -> Iterator[Value]:
    for node in graph.nodes:
        if node.terminator or not known.intersection(node.operands):
            continue
        for body in bodies(node):
            yield from _varying(
                body, {v for outer, v in zip(node.operands, body.inputs, strict=True) if outer in known}
            )
        known.update(node.results)
        yield from node.results


def bodies(node: Node) -> Iterator[Graph]:
    """What a node runs: its regions, and the function that it calls, if no other node calls it."""
    yield from node.regions
    module = node.graph.function.module if node.graph is not None else None
    if isinstance(node, Call) and module is not None:
        calls = [other for other in module.walk() if isinstance(other, Call) and other.callee == node.callee]
        if len(calls) == 1:
            yield module.functions[node.callee]


@dataclass(frozen=True)
class Pair:
    """The same quantity on two sides, as the real numbers that it stands for."""

    source: Source | None  # the last
    a: Point
    b: Point
    given: Array  # by b
    expected: Array  # by a


Key = Callable[[Point], Hashable]  # "" for what has none


@dataclass(frozen=True)
class Pairing:
    """The quantities that both sides show, in the order of `b`; and how many places of a side have no partner."""

    pairs: tuple[Pair, ...] = ()
    alone_a: int = 0
    alone_b: int = 0


def paired(a: Side, b: Side, data: Dataset) -> Pairing:
    """The quantities that both sides show for the samples.

    Values of equal graphs are paired as they stand. Else by their last source; then by where codes are read as reals;
    then, for files that do not say lines, by module path; then by name, for texts without locations. Values of
    different shapes are no pair.
    """
    mine, theirs = shown(a, fitting(data, a)), shown(b, fitting(data, b))
    last = _last_source([one.point for one in (*mine, *theirs)])
    if same_graph(a, b):
        order = {value: i + 1 for side in (a, b) for i, value in enumerate(varying(side.graph))}
        found = _matched(mine, theirs, lambda point: order[point.value] if point.value else "")
    else:
        found = _matched(mine, theirs, lambda point: last(point) or "")
        places = set(map(last, _points_of(mine, theirs, found)))
        found = _matched(mine, theirs, lambda point: _read_at(point, last, places)) | found
        done = {source.path for source in map(last, _points_of(mine, theirs, found)) if source}
        found = _matched(mine, theirs, lambda point: _path_of(last(point), done)) | found
        found = _matched(mine, theirs, lambda point: "" if point.loc.sources else _said_name(point)) | found
    made = (_pair(mine[found[j]], theirs[j], last, a, b, data) for j in sorted(found))
    kept = tuple(pair for pair in made if pair is not None)
    alone_a = _alone(mine, [pair.a for pair in kept], last)
    return Pairing(kept, alone_a, _alone(theirs, [pair.b for pair in kept], last))


def _alone(side: Sequence[Shown], partnered: Sequence[Point], last: LastSource) -> int:
    """How many places a side shows values of, and none that has a partner; values without a place count by name, and
    those without a name, as the codes of an input, not at all.
    """

    def place(point: Point) -> Hashable:
        return last(point) or _said_name(point)

    return len({place(one.point) for one in side if one.arrays} - {"", *map(place, partnered)})


def _points_of(mine: Sequence[Shown], theirs: Sequence[Shown], found: Mapping[int, int]) -> Iterator[Point]:
    for j, i in found.items():
        yield from (mine[i].point, theirs[j].point)


def same_graph(a: Side, b: Side) -> bool:
    """Whether two sides run one graph value by value, maybe read twice."""
    return a.of_graph and b.of_graph and (a.graph is b.graph or str(a.graph.module) == str(b.graph.module))


def _matched(mine: Sequence[Shown], theirs: Sequence[Shown], key: Key) -> dict[int, int]:
    """The last places of equal keys: in `theirs`, to in `mine`."""
    first, second = ({key(one.point): i for i, one in enumerate(side)} for side in (mine, theirs))
    return {second[name]: first[name] for name in first.keys() & second.keys() if name}


LastSource = Callable[[Point], Source | None]


def _last_source(points: Sequence[Point]) -> LastSource:
    """What gives the last source of a point, in the order in which sources come first."""
    ranks: dict[Source, int] = {}
    for source in chain.from_iterable((*point.loc.sources, *point.read) for point in points):
        ranks.setdefault(source, len(ranks))
    return lambda point: max(point.loc.sources, key=ranks.__getitem__, default=None)


def _read_at(point: Point, last: LastSource, done: set[Source | None]) -> Source | str:
    """Where codes are read as reals, or a value comes from: other graphs compute them only there."""
    source = last(replace(point, loc=Loc(point.read)) if point.read else point)
    return "" if source is None or source in done else source


def _path_of(source: Source | None, done: set[str]) -> str:
    return "" if source is None or source.path in done else source.path


def _said_name(point: Point) -> str:
    """The name of a value, if somebody chose it."""
    return "" if point.name.isdecimal() else point.name


def _pair(x: Shown, y: Shown, last: LastSource, a: Side, b: Side, data: Dataset) -> Pair | None:
    expected, given = x.joined(len(data), rows(a, data)), y.joined(len(data), rows(b, data))
    if expected is None or given is None or expected.shape != given.shape:
        return None
    if not same_graph(a, b) and (_bare_codes(x.point, expected) or _bare_codes(y.point, given)):
        return None
    sources = [source for source in (last(x.point), last(y.point)) if source is not None]
    source = max(sources, key=lambda source: bool(source.file), default=None)
    return Pair(source, x.point, y.point, given, expected)


def rows(side: Side, data: Dataset) -> int:
    """How many samples run, those that fill up a last incomplete batch included."""
    return sum(len(call[0]) for call in calls_of(side.graph, fitting(data, side)))


def _bare_codes(point: Point, array: Array) -> bool:
    """Whether these are codes of which nobody says what they stand for. Indices are i64, and are no codes."""
    return point.encoding is None and array.dtype.kind in "iu" and array.dtype.itemsize < 8
