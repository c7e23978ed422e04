"""Encoder blocks: attention over the tokens of a sequence, followed by a residual addition; found by pattern."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

from irc.ir.builder import Builder
from irc.ir.dims import Shape, same_shape
from irc.ir.graph import Graph, Value
from irc.ir.op import Op
from irc.ir.ops.attention import Sdpa, decompose_sdpa
from irc.ir.ops.linear import Linear, Matmul
from irc.ir.ops.math import Add
from irc.ir.ops.norm import Softmax
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Concat

Attention: TypeAlias = "Sdpa | Matmul"


@dataclass(eq=False)
class Block:
    """The tokens [B, N, D] that enter an encoder block, and its attention: whole, or the product with the values."""

    tokens: Value
    attention: Attention

    def weights(self) -> Value:
        """What each token takes of each other one [B, ..., N, N]; splits an attention that is still whole."""
        attention = self.attention
        if isinstance(attention, Sdpa):
            out = decompose_sdpa(attention, Builder.before_node(attention))
            attention.replace_by(out)
            self.attention = cast(Matmul, out.node)
        return cast(Softmax, _softmax(self.attention)).result


def encoder_blocks(graph: Graph) -> list[Block]:
    """The blocks of a function, in order."""
    found: list[Block] = []
    for node in graph.nodes:
        if isinstance(node, Sdpa) or (isinstance(node, Matmul) and _softmax(node) is not None):
            tokens = _residual(node)
            if tokens is not None and _attends(node, tokens):
                found.append(Block(tokens, node))
    return found


def class_tokens(tokens: Value) -> int:
    """How many learned tokens are joined in front of all others, on the way to the first block; 0 if none is known."""
    node = tokens.node
    while node is not None and not isinstance(node, Concat):
        carried = [v for v in node.operands if not _is_constant(v) and same_shape(v.type.shape, tokens.type.shape)]
        node = carried[0].node if len(carried) == 1 else None
    if node is None or node.axis % node.result.type.rank != 1:
        return 0
    learned = 0
    for value in node.xs:
        size = value.type.shape[1]
        if not _is_constant(value) or not isinstance(size, int):
            break
        learned += size
    return learned


def _is_constant(value: Value) -> bool:
    """Whether a value is made of constants only."""
    node = value.node
    return isinstance(node, Const) or (
        node is not None and bool(node.operands) and all(map(_is_constant, node.operands))
    )


def _softmax(product: Attention) -> Softmax | None:
    """The softmax whose result, maybe moved, is the left factor of a product."""
    if isinstance(product, Sdpa):
        return None
    node = product.x.node
    while isinstance(node, Op) and node.view and len(node.operands) == 1:
        node = node.operands[0].node
    return node if isinstance(node, Softmax) and node.axis % node.x.type.rank == node.x.type.rank - 1 else None


def _residual(attention: Attention) -> Value | None:
    """What is added to the result of an attention behind its projection."""
    value = attention.result
    while len(value.users) == 1:
        (user,) = value.users
        if not isinstance(user, Op) or not (user.view or user.elementwise or isinstance(user, Linear)):
            return None
        if isinstance(user, Add):
            (other,) = [v for v in user.operands if v is not value] or [value]
            if not _is_constant(other):
                same = other.type.rank == 3 and same_shape(other.type.shape, value.type.shape)
                return other if same and other is not value else None
        value = user.results[0]
    return None


def _attends(attention: Attention, tokens: Value) -> bool:
    """Whether all operands of an attention come from the tokens, and each token may look at each other one."""
    softmax = _softmax(attention)
    if isinstance(attention, Sdpa):
        sources = (attention.q, attention.k, attention.v)
        shape: Shape = (*attention.result.type.shape[:-1], attention.k.type.shape[-2])
    elif softmax is not None:
        sources, shape = (softmax.x, attention.y), softmax.x.type.shape
    else:
        return False
    batch, count, _ = tokens.type.shape
    square = len(shape) > 2 and same_shape((shape[0], *shape[-2:]), (batch, count, count))
    return square and all(tokens in _behind(source, tokens) for source in sources)


def _behind(value: Value, end: Value) -> set[Value]:
    """Everything a value is computed from, as far back as `end`."""
    seen: set[Value] = set()
    ahead = [value]
    while ahead:
        found = ahead.pop()
        if found not in seen:
            seen.add(found)
            ahead += _operands(found) if found is not end else ()
    return seen


def _operands(value: Value) -> Iterator[Value]:
    return iter(value.node.operands if value.node is not None else ())
