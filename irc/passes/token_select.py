"""`token-select`: tokens that the class token hardly attends to are dropped in front of some encoder blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from irc.ir.builder import Builder
from irc.ir.diagnostics import Diagnostic, IrcError, UsageError
from irc.ir.dims import Dim, Shape, Symbol, bounds, equal, floordiv, mul, product, symbol
from irc.ir.graph import Graph, Module, Value
from irc.ir.op import Op
from irc.ir.ops.math import Mean
from irc.ir.ops.tensor import Expand, Reshape, Slice
from irc.ir.ops.token import Select
from irc.passes.base import Pass, PassContext
from irc.passes.blocks import Block, class_tokens, encoder_blocks

KEEP = 0.7  # at three places this is what HeatViT and SPViT keep
PLACES = 3


@dataclass(frozen=True)
class TokenSelect(Pass):
    """Drop the tokens with the least attention of the class token, in front of some encoder blocks.

    The score of a token is what the class token takes of it in the block before, the mean over heads. `topk` keeps the
    share `keep` (0.7) of the tokens that are still there, rounded up; `threshold` all with at least that score, a
    number that differs from sample to sample, so that the batch is 1. The class token stays, and so does the order.
    `at` are numbers of blocks; the first is 0, which has none before it. Without any, three places are spread evenly.
    """

    name = "token-select"
    effect = "lossy"
    kind: Literal["topk", "threshold"] = "topk"
    keep: float | None = None
    threshold: float | None = None
    at: tuple[int, ...] = ()

    def run(self, module: Module, cx: PassContext) -> None:
        self._check_options()
        blocks = encoder_blocks(module.main)
        if len(blocks) < 2:
            raise IrcError(
                f"token-select found {len(blocks)} encoder blocks (attention over [batch, tokens, channels], then a "
                "residual addition), and needs one in front of each selector",
                hint="put it in front of fuse and quantize, and behind inline",
            )
        pinned = class_tokens(blocks[0].tokens)
        if not pinned:
            raise IrcError(
                "token-select found no class token: nothing learned is joined in front of the tokens",
                hint="scores are the attention of a class token; without one there is nothing to select by",
            )
        for place in self._places(len(blocks)):
            self._select(module.main, blocks[place - 1], blocks[place], pinned)
            before, after = (b.tokens.type.shape[1] for b in (blocks[place - 1], blocks[place]))
            cx.notes.append(f"token-select: {after} of {before} tokens in front of block {place}")

    def _check_options(self) -> None:
        other, value = ("threshold", self.threshold) if self.kind == "topk" else ("keep", self.keep)
        if value is not None:
            raise UsageError(f"token-select: kind={self.kind} takes no {other}", hint=f"kind={_KIND_OF[other]}")
        if self.kind == "threshold" and self.threshold is None:
            raise UsageError("token-select: kind=threshold needs a threshold", hint="for example threshold=0.005")
        if self.keep is not None and not 0 < self.keep <= 1:
            raise UsageError(f"token-select: keep={self.keep:g} is not above 0 and at most 1")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UsageError(f"token-select: threshold={self.threshold:g} is not between 0 and 1, as attention is")

    def _places(self, count: int) -> list[int]:
        """The blocks that get a selector in front of them, in order."""
        for place in self.at:
            if not 1 <= place < count:
                raise UsageError(
                    f"token-select: at={place} is no block with one before it",
                    hint=f"the model has blocks 0 .. {count - 1}, of which 1 .. {count - 1} can have a selector",
                )
        even = [max(1, i * count // (PLACES + 1)) for i in range(1, PLACES + 1)]
        return sorted(set(self.at or even))

    def _select(self, graph: Graph, source: Block, block: Block, pinned: int) -> None:
        """Put a selector in front of a block."""
        weights, tokens = source.weights(), block.tokens
        assert tokens.node is not None
        b = Builder(graph, tokens.node.next, source.attention.loc.via(self.name))
        row = b(Slice(weights, weights.type.rank - 2, 0, 1))
        scores = b(Mean(row, tuple(range(1, weights.type.rank - 1)), keepdims=False))
        readers = tokens.uses
        shape: Shape = (tokens.type.shape[0], self._count(graph, tokens, pinned), tokens.type.shape[2])
        selected = Select(tokens, scores, pinned=pinned, threshold=self.threshold, shape=shape)
        b.loc = tokens.node.loc.via(self.name)
        result = b(selected)
        for use in readers:
            use.node.set_operand(use.index, result)
        block.tokens = result
        _Spread(tokens.type.shape[1], shape[1], {result: tokens.type.shape}).behind(selected)

    def _count(self, graph: Graph, tokens: Value, pinned: int) -> Dim:
        """How many tokens are kept. Raises IrcError where that cannot be said."""
        batch, count, _ = tokens.type.shape
        if self.kind == "threshold":
            if equal(batch, 1) is not True:
                message = f"token-select: a threshold counts the tokens of one sample, the batch is {batch}"
                known = isinstance(batch, int)
                hint = "export the model with a batch of 1" if known else "put specialize{batch=1} in front of it"
                raise IrcError(message, hint=hint)
            name = _fresh(graph)
            graph.symbols[name] = Symbol(name, 0, bounds(count, graph.symbols)[1], counted=True)
            return symbol(name)
        if not isinstance(count, int):
            message = f"token-select: a share of {count} tokens is no fixed number"
            raise IrcError(message, hint="fix the number of tokens with specialize, or use kind=threshold")
        share = KEEP if self.keep is None else self.keep
        return pinned + math.ceil(round(share * (count - pinned), 9))


_KIND_OF = {"keep": "topk", "threshold": "threshold"}


def _fresh(graph: Graph) -> str:
    number = 1
    while f"n{number}" in graph.symbols:
        number += 1
    return f"n{number}"


@dataclass
class _Spread:
    """Gives everything that is computed from selected tokens the types that follow from there being fewer.

    `before` holds the shapes that values had when there were `count` tokens and not `kept`; `leads` the sizes that come
    in front of the tokens inside a dimension that a reshape has merged them into.
    """

    count: Dim
    kept: Dim
    before: dict[Value, Shape]
    leads: dict[Value, Dim] = field(default_factory=dict[Value, Dim])

    def behind(self, selector: Select) -> None:
        """Raises IrcError where something stands against it."""
        node = selector.next
        while node is not None:
            if isinstance(node, Op) and any(v in self.before and v.type.shape != self.before[v] for v in node.operands):
                self._retype(node)
            node = node.next

    def _retype(self, op: Op) -> None:
        old = [v.type.shape for v in op.results]
        try:
            if op.terminator or op.regions:
                raise IrcError(f"{op.opname} takes one row a token")
            self._restate(op)
            op.set_result_types()
        except IrcError as error:
            message = (
                f"token-select: what is computed from all tokens stands against it: {error.diagnostics[0].message}"
            )
            hint = "at= chooses blocks; a model whose result has a row a token cannot drop any"
            raise IrcError(Diagnostic(message, op.loc, hint=hint)) from error
        self.before.update(zip(op.results, old, strict=True))
        merged = next((self.leads[v] for v in op.operands if v in self.leads), None)
        if merged is not None:
            self.leads.setdefault(op.results[0], merged)

    def _restate(self, op: Op) -> None:
        """Change the shapes an op states as those of its operand have changed."""
        if isinstance(op, Reshape):
            op.shape = self._regrouped(op, self.before[op.x], op.shape, op.x.type.shape)
        elif isinstance(op, Expand):
            op.shape = _repeated(self.before[op.x], op.shape, op.x.type.shape)
        elif isinstance(op, Slice) and equal(op.stop, self.before[op.x][op.axis]) is True:
            op.stop = op.x.type.shape[op.axis]

    def _regrouped(self, op: Reshape, before: Shape, after: Shape, now: Shape) -> Shape:
        """The result of a reshape of `before` to `after` when its operand is `now`."""
        out = tuple(_merged(before, after[:place], size, now) for place, size in enumerate(after))
        axis = next(d for d in range(len(now)) if now[d] != before[d])
        ahead = mul(product(before[:axis]), self.leads.get(op.x, 1))  # what comes before the tokens in C order
        if equal(product(out), product(now)) is True:
            inside = [d for d in range(len(after)) if out[d] != after[d]]
            first = next((d for d in inside if equal(after[d], self.count) is not True), None)
            if first is not None:
                self.leads[op.result] = floordiv(ahead, product(after[:first]))
            return out
        # A dimension that held several is taken apart again: the tokens are where they were, in their old number.
        for place, size in enumerate(after):
            if equal(size, self.count) is True and equal(product(after[:place]), ahead) is True:
                self.leads[op.result] = 1
                return (*out[:place], self.kept, *out[place + 1 :])
        return out


def _merged(before: Shape, lead: Shape, size: Dim, now: Shape) -> Dim:
    """What a dimension behind `lead` of the result of a reshape becomes, if it is a run of those of its operand."""
    for first in range(len(before)):
        for last in range(first + 1, len(before) + 1):
            begins = equal(product(before[:first]), product(lead)) is True
            if begins and equal(product(before[first:last]), size) is True:
                return product(now[first:last])
    return size


def _repeated(before: Shape, after: Shape, now: Shape) -> Shape:
    """The result of an expand likewise; what is repeated keeps its size."""
    lead = len(after) - len(before)
    kept = [n if equal(a, g) is True else a for a, g, n in zip(after[lead:], before, now, strict=True)]
    return (*after[:lead], *kept)
