"""Rules about data movement: what moves nothing is removed, consecutive movements become one."""

from __future__ import annotations

from collections.abc import Iterator

from irc.ir.builder import Builder
from irc.ir.clone import rebuilt
from irc.ir.dims import add, same_shape
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.bits import Bitwise, Shift
from irc.ir.ops.common import broadcast
from irc.ir.ops.math import Binary, Cast, Compare, Where
from irc.ir.ops.quant import Rescale
from irc.ir.ops.tensor import Concat, Expand, Pad, Permute, Reshape, Slice
from irc.ir.ops.token import Select
from irc.ir.rewrite import Match, Miss, Rule, any_, op_


class Identity(Rule):
    """reshape, expand, slice, pad, select, cast, rescale to the type of their operand -> the operand"""

    # Each of these can only keep the type by changing nothing: a slice within 0 .. n that has n elements is the whole.
    pattern = op_((Reshape, Expand, Slice, Pad, Select, Cast, Rescale), any_("x"))

    def guard(self, m: Match) -> Miss | None:
        if not m.root.results[0].type.matches(m["x"].type):
            return Miss(f"{m['x'].type} becomes {m.root.results[0].type}")
        return None

    def build(self, m: Match, b: Builder) -> Value:
        return m["x"]


class IdentityPermute(Rule):
    """permute{order = [0, 1, ...]} x -> x"""

    pattern = op_(Permute, any_("x"), name="permute")

    def guard(self, m: Match) -> Miss | None:
        order = m.node("permute").order
        return None if order == tuple(range(len(order))) else Miss(f"the order is {list(order)}")

    def build(self, m: Match, b: Builder) -> Value:
        return m["x"]


class ShorterConcat(Rule):
    """concat(x, nothing, y) -> concat(x, y), concat(x) -> x"""

    pattern = op_(Concat, name="concat")

    def guard(self, m: Match) -> Miss | None:
        parts, given = self._parts(m), len(m.root.operands)
        return None if parts and len(parts) < max(given, 2) else Miss(f"{given} tensors are joined")

    def _parts(self, m: Match) -> tuple[Value, ...]:
        """The operands that have elements."""
        concat: Concat = m.node("concat")
        return tuple(x for x in concat.xs if x.type.shape[concat.axis] != 0)

    def build(self, m: Match, b: Builder) -> Value:
        parts, concat = self._parts(m), m.node("concat")
        return parts[0] if len(parts) == 1 else b(Concat(parts, concat.axis))


class MergeReshapes(Rule):
    """reshape(reshape(x)) -> reshape(x), expand(expand(x)) -> expand(x)"""

    pattern = op_((Reshape, Expand), op_((Reshape, Expand), any_("x"), name="inner"))

    def guard(self, m: Match) -> Miss | None:
        inner = m.node("inner")
        return None if type(m.root) is type(inner) else Miss(f"{inner.opname} inside {m.root.opname}")

    def build(self, m: Match, b: Builder) -> Value:
        return b(rebuilt(m.root, x=m["x"]))


class MergePermutes(Rule):
    """permute(permute(x)) -> permute(x)"""

    pattern = op_(Permute, op_(Permute, any_("x"), name="inner"), name="outer")

    def build(self, m: Match, b: Builder) -> Value:
        inner, outer = m.node("inner").order, m.node("outer").order
        return b(Permute(m["x"], tuple(inner[i] for i in outer)))


class MergeSlices(Rule):
    """slice(slice(x)) -> slice(x) along one axis"""

    pattern = op_(Slice, op_(Slice, any_("x"), name="inner"), name="outer")

    def guard(self, m: Match) -> Miss | None:
        inner, outer, rank = m.node("inner"), m.node("outer"), m["x"].type.rank
        if inner.axis % rank != outer.axis % rank:
            return Miss(f"axes {inner.axis} and {outer.axis} differ")
        return None if inner.step == 1 else Miss(f"the first step is {inner.step}")

    def build(self, m: Match, b: Builder) -> Value:
        inner, outer = m.node("inner"), m.node("outer")
        start, stop = add(inner.start, outer.start), add(inner.start, outer.stop)
        return b(Slice(m["x"], axis=outer.axis % m["x"].type.rank, start=start, stop=stop, step=outer.step))


class MergePads(Rule):
    """pad(pad(x)) -> pad(x) with one value"""

    pattern = op_(Pad, op_(Pad, any_("x"), name="inner"), name="outer")

    def guard(self, m: Match) -> Miss | None:
        inner, outer = m.node("inner"), m.node("outer")
        return None if inner.value == outer.value else Miss(f"the values {inner.value} and {outer.value} differ")

    def build(self, m: Match, b: Builder) -> Value:
        inner, outer = m.node("inner"), m.node("outer")
        before = tuple(a + c for a, c in zip(inner.before, outer.before, strict=True))
        after = tuple(a + c for a, c in zip(inner.after, outer.after, strict=True))
        return b(Pad(m["x"], before=before, after=after, value=outer.value))


class DropExpand(Rule):
    """op(x, expand(y)) -> op(x, y) where broadcasting does the same"""

    pattern = op_((Binary, Compare, Bitwise, Shift, Where))

    def guard(self, m: Match) -> Miss | None:
        return None if any(_needless(m.root)) else Miss("no operand is an expand that broadcasting replaces")

    def build(self, m: Match, b: Builder) -> None:
        index, expand = next(_needless(m.root))
        m.root.set_operand(index, expand.x)
        m.covered.append(expand)  # erased with the match if this was its only reader


def _needless(op: Op) -> Iterator[tuple[int, Expand]]:
    """The operands that are expanded to what broadcasting gives anyway."""
    shapes = [v.type.shape for v in op.operands]
    for index, value in enumerate(op.operands):
        if isinstance(value.node, Expand):
            without = [*shapes[:index], value.node.x.type.shape, *shapes[index + 1 :]]
            if same_shape(broadcast(op, *without), op.results[0].type.shape):
                yield index, value.node


RULES: tuple[Rule, ...] = (
    Identity(),
    IdentityPermute(),
    ShorterConcat(),
    MergeReshapes(),
    MergePermutes(),
    MergeSlices(),
    MergePads(),
    DropExpand(),
)
