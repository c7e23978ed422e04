"""`quantize`: choose the bits and encoding of every weight and activation, and write them as quantize/dequantize pairs.

How bits are chosen. Every reader of a value states how many bits it wants: a linear or convolution its input bits, a
residual addition or a norm `residual`, everything else `activations`. Values tied by data movement (reshape, permute,
max pooling, concat ...) share one encoding, so that moving codes never costs arithmetic; such a group gets the most
bits any reader wants, and a reader that wants fewer gets a narrower quantize/dequantize pair of its own. A value that
only continues a sum (linear -> relu, matmul -> scale, linear -> residual addition) stays in the accumulator and is
not quantized at all. Nor is what becomes an index or serves for comparisons alone, nor an input that is a result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from irc.ir.builder import Builder
from irc.ir.constants import Data
from irc.ir.diagnostics import Diagnostic, IrcError, UsageError
from irc.ir.graph import Graph, Module, Node, Use, Value
from irc.ir.interpret import interpret
from irc.ir.location import Loc
from irc.ir.masks import expand_mask
from irc.ir.op import Op
from irc.ir.ops.linear import Conv, Linear, pad_spatial, windows
from irc.ir.ops.math import Add, Amax, Argmax, Cast, Clamp, Cumsum, Mean, Relu, Sub, Sum, Topk, Where
from irc.ir.ops.norm import LayerNorm, RmsNorm, Softmax
from irc.ir.ops.pool import AvgPool, MaxPool
from irc.ir.ops.quant import Dequantize, Observe, Quantize, constant_of
from irc.ir.ops.structure import Const, Return
from irc.ir.ops.tensor import Concat, Gather
from irc.ir.ops.token import Select
from irc.ir.scalars import F32, I32, Array, integer
from irc.ir.types import Element, Encoding, per_axis, per_tensor
from irc.passes.analysis.steps import SUMS, Floats
from irc.passes.base import Pass, PassContext
from irc.passes.encodings import Range, Scheme, choose_element, weight_scales
from irc.passes.layers import matching, weighted
from irc.passes.matchers import continues_sum, masked_scores
from irc.passes.rounding import Gram, columns_of, compensated, nearest
from irc.passes.sampling import batches, sample_count

ROWS = 2**15  # input rows that tell a layer's Hessian well enough ...
ROWS_A_COLUMN = 8  # ... or so many for each of its columns, if that is more


@dataclass
class Layer:
    """A linear or convolution with constant weights, or several that share them (such as the steps of an LSTM), and the
    bits it gets.
    """

    ops: tuple[Linear | Conv, ...]
    weights: int
    inputs: int

    @property
    def constant(self) -> Const:
        return cast(Const, self.ops[0].w.node)

    @property
    def loc(self) -> Loc:
        return self.ops[0].loc


def _groups(op: Linear | Conv) -> int:
    return op.groups if isinstance(op, Conv) else 1


def _sharing(ops: Sequence[Linear | Conv]) -> list[tuple[Linear | Conv, ...]]:
    """The ops by the weights that they have, in order of the first."""
    found: dict[tuple[type[Op], Value, int], list[Linear | Conv]] = {}
    for op in ops:
        found.setdefault((type(op), op.w, _groups(op)), []).append(op)
    return [tuple(group) for group in found.values()]


@dataclass(frozen=True)
class QuantizePass(Pass):
    """Quantize weights and activations to 2 .. 8 bits as quantize/dequantize pairs, from the ranges of `calibrate`.

    `activations=none` quantizes weights only, and needs no ranges. With `group`, so many neighbouring weights of a row
    share a scale, in every linear whose inputs are a multiple of that; such weights have no integer form.
    `layers` overrides bits by module path: `head:w8`, `blocks.*.mlp.*:w3a6` (`w` weights, `a` input activations).
    `gptq` rounds weights on the samples so that each layer's output stays close; `mse` searches the scale of least
    error and rounds to nearest; `nearest` covers the largest weight.
    """

    name = "quantize"
    effect = "lossy"
    weights: int = 8
    activations: int | None = 8
    inputs: int | None = (
        None  # input activations of the linears and convolutions between first and last; none = activations
    )
    ends: int = 8  # weights and input activations of the first and the last layer
    residual: int = 16  # additions, norms and results
    per: Literal["channel", "tensor"] = "channel"
    group: int | None = None
    scheme: Scheme = "auto"
    rounding: Literal["gptq", "mse", "nearest"] = "gptq"
    layers: tuple[str, ...] = ()

    def run(self, module: Module, cx: PassContext) -> None:
        self._check_options()
        quick = replace(self, rounding="nearest") if cx.types_only else self
        quick._write(module, cx)

    def _write(self, module: Module, cx: PassContext) -> None:
        graph = module.main
        # Hessians come from the float graph, so before anything is changed.
        layers = self.layers_of(graph)
        hessians = self.hessians_of(module, layers, cx) if self.rounding == "gptq" else {}
        ranges = take_ranges(graph)
        if self.activations is not None:
            if not ranges:
                hint = "run calibrate before it: calibrate,quantize; activations=none quantizes weights only"
                raise IrcError("quantize needs the ranges of activations", hint=hint)
            by_op: dict[Op, Layer] = {op: layer for layer in layers for op in layer.ops}
            _Plan(graph, self, self.activations, by_op, ranges).write()
        for layer in layers:
            self._quantize_weight(layer, hessians.get(layer.constant))

    def _check_options(self) -> None:
        for option in ("weights", "activations", "inputs", "ends"):
            bits = getattr(self, option)
            if bits is not None and not 2 <= bits <= 8:
                raise UsageError(f"quantize: {option}={bits} is outside 2 .. 8 bits")
        if not 2 <= self.residual <= 16:
            raise UsageError(f"quantize: residual={self.residual} is outside 2 .. 16 bits")
        if self.group is not None and self.group < 1:
            raise UsageError(f"quantize: group={self.group} is no number of weights", hint="for example group=32")
        if self.activations is None and self.inputs is not None:
            raise UsageError(f"quantize: inputs={self.inputs} are activations, and activations=none")

    # -- layers

    def layers_of(self, graph: Graph) -> list[Layer]:
        """Every linear and convolution with constant weights, with the bits of options and overrides."""
        ops = weighted(graph)
        if not ops:
            quantized = any(isinstance(n, Dequantize) for n in graph.nodes)
            hint = (
                "it is quantized already: --passes=integerize,fuse" if quantized else "clean,fuse compiles it in float"
            )
            raise IrcError("quantize found no linear or convolution with constant float weights", hint=hint)
        inner = (self.activations or self.ends) if self.inputs is None else self.inputs
        layers = [Layer(sharing, self.weights, inner) for sharing in _sharing(ops)]
        for layer in layers:
            if ops[0] in layer.ops or ops[-1] in layer.ops:
                layer.weights, layer.inputs = max(self.ends, self.weights), max(self.ends, inner)
        for text in self.layers:
            _apply_override(text, layers)
        if self.group is not None and not any(self._group_of(layer) for layer in layers):
            lengths = {op.w.type.shape[-1] for layer in layers for op in layer.ops[:1] if isinstance(op, Linear)}
            if not lengths:
                message = f"quantize: group={self.group} is for linear layers, and the model has none"
                raise IrcError(message, hint="quant8 and qdq8 have one scale a channel, also of convolutions")
            have = f"they have {', '.join(sorted(map(str, lengths), key=len))}"
            raise IrcError(f"quantize: no linear has a multiple of group={self.group} inputs", hint=have)
        return layers

    def _group_of(self, layer: Layer) -> int | None:
        """How many weights of a row share a scale; None for all of them."""
        if self.group is None or not isinstance(layer.ops[0], Linear):
            return None
        return self.group if layer.constant.value.array.shape[1] % self.group == 0 else None

    def hessians_of(self, module: Module, layers: list[Layer], cx: PassContext) -> dict[Const, list[Gram]]:
        """X^T X of what each layer's weights are multiplied with over the samples, one a group of channels."""
        if cx.samples is None or sample_count(cx.samples) == 0:
            raise IrcError("rounding=gptq needs samples", hint="--calib=data.npz, or quantize{rounding=mse}")
        readers: dict[Value, list[tuple[Linear | Conv, list[Gram]]]] = {}
        grams: dict[Const, list[Gram]] = {}
        for layer in layers:
            own = grams[layer.constant] = [Gram() for _ in range(_groups(layer.ops[0]))]
            for op in layer.ops:
                readers.setdefault(op.x, []).append((op, own))
        rng = np.random.default_rng(cx.seed)
        runs = list(batches(module.main, cx.samples))

        def observe(value: Value, array: Array) -> None:
            for op, own in readers.get(value, ()):
                most = -(-max(ROWS, ROWS_A_COLUMN * cast(Const, op.w.node).value.array[0].size) // len(runs))
                for gram, rows in zip(own, _input_rows(op, array, most, rng), strict=True):
                    gram.add(rows)

        with cx.progress("quantize", len(runs)) as tick:
            for inputs in runs:
                interpret(module, inputs, observe=observe)
                tick()
        _refuse_overflow(layers, grams)
        return grams

    def coded_weight(self, layer: Layer, bits: int, hessians: list[Gram] | None) -> tuple[Array, Encoding]:
        """The codes of a layer's float weights in so many bits, and what they mean."""
        const = layer.constant
        w = const.value.array
        kept = expand_mask(const.mask, w.shape) if const.mask else None
        group = self._group_of(layer)
        rows = w if group is None else w.reshape(-1, group)
        per_channel = self.per == "channel" or group is not None
        scales = weight_scales(rows, bits, per_channel=per_channel, search=self.rounding != "nearest")
        if group is None:
            least = np.max([_least_scales(op) for op in layer.ops], axis=0)
            scales = np.maximum(scales, least if scales.ndim else least.max()).astype(np.float32)
        encoding = per_axis(scales, 0) if scales.ndim else per_tensor(float(scales))
        if group is not None:
            encoding = Encoding(Data.of(scales.reshape(len(w), -1)), axis=1, group=group)
            scales = np.repeat(scales.reshape(len(w), -1), group, axis=1)
        codes = nearest(w, scales, bits) if hessians is None else _round_groups(w, hessians, scales, bits, kept)
        return codes, encoding

    def _quantize_weight(self, layer: Layer, hessians: list[Gram] | None) -> None:
        """Put `dequantize(const codes)` in place of a layer's float weights."""
        const = layer.constant
        codes, encoding = self.coded_weight(layer, layer.weights, hessians)
        b = Builder.before_node(layer.ops[0], const.loc.via(self.name))
        quantized = b.const(codes, integer(layer.weights, signed=True), encoding, const.result.name)
        if const.mask is not None:
            cast(Const, quantized.node).mask = const.mask
        floats = dequantized(b, quantized)
        for op in layer.ops:
            op.w = floats


BIAS_BITS = 30  # of a bias in units of the products, so that the sums of products beside it fit 32 bits


def _least_scales(op: Linear | Conv) -> Array:
    """For each row of weights the smallest scale with which the bias fits `BIAS_BITS`; 0 where nothing asks for one.

    Where codes of inputs mean very little, fine weights change a sum by less than its bias tells.
    """
    bias, x = constant_of(op.b), op.x.node
    while isinstance(x, Op) and x.view and x.operands:  # codes are moved, not changed
        x = x.operands[0].node
    encoding = x.x.type.encoding if isinstance(x, Dequantize) else None
    if bias is None or encoding is None or not encoding.per_tensor:
        return np.zeros(op.w.type.static_shape[0] if op.w.type.static_shape else 0)
    return np.abs(bias.astype(np.float64)) / (float(encoding.scales) * 2.0**BIAS_BITS)


def _round_groups(w: Array, hessians: list[Gram], scales: Array, bits: int, kept: Array | None) -> Array:
    """`compensated` for each group of output channels with the Hessian of its own inputs."""
    rows = len(w) // len(hessians)
    matrix = w.reshape(len(w), -1)
    spread = scales if scales.ndim == 2 else np.broadcast_to(scales.reshape(-1), (len(w),))
    mask = None if kept is None else kept.reshape(matrix.shape)
    parts: list[Array] = []
    for g, gram in enumerate(hessians):
        part = slice(g * rows, (g + 1) * rows)
        blocks = [
            compensated(
                matrix[part, columns],
                hessian,
                spread[part] if spread.ndim == 1 else spread[part, columns],
                bits,
                None if mask is None else mask[part, columns],
            )
            for columns, hessian in zip(columns_of(matrix.shape[1]), gram.total(), strict=True)
        ]
        parts.append(np.concatenate(blocks, axis=1))
    return np.concatenate(parts).reshape(w.shape)


def _refuse_overflow(layers: Sequence[Layer], grams: Mapping[Const, Sequence[Gram]]) -> None:
    """Raise IrcError with the layers whose inputs are too large to be squared."""
    found = [layer.ops[0].loc for layer in layers if not all(map(Gram.is_finite, grams[layer.constant]))]
    message = "products of what the layer reads overflow f32 on the calibration samples"
    hint = "scale the samples as those the model was trained with; if they are, its weights are damaged"
    if found:
        raise IrcError(Diagnostic(message, found[0], hint=hint, others=tuple(found[1:])))


def _input_rows(op: Linear | Conv, x: Array, most: int, rng: np.random.Generator) -> Iterator[Array]:
    """The rows a layer multiplies with its weights [rows, K], one array a group; at most so many, chosen at random."""
    if isinstance(op, Linear):
        rows = x.reshape(-1, x.shape[-1])
        yield (rows if len(rows) <= most else rows[rng.integers(0, len(rows), most)]).astype(np.float32)
        return
    kernel = op.w.type.static_shape
    assert kernel is not None
    n = x.ndim - 2
    view = windows(pad_spatial(x, op.padding, 0), kernel[2:], op.stride, op.dilation)
    places = (len(x), *view.shape[2 : 2 + n])
    flat = np.arange(math.prod(places)) if math.prod(places) <= most else rng.integers(0, math.prod(places), most)
    chosen = np.unravel_index(flat, places)
    patches = view[(chosen[0], slice(None), *chosen[1:])]
    for g in range(op.groups):
        block = patches[:, g * kernel[1] : (g + 1) * kernel[1]]
        yield np.ascontiguousarray(block.reshape(len(block), -1), np.float32)


def _apply_override(text: str, layers: list[Layer]) -> None:
    """`glob:w4a8` on the layers whose module path matches. Raises UsageError if none does."""
    pattern, _, bits = text.rpartition(":")
    match = re.fullmatch(r"(?:w([2-8]))?(?:a([2-8]))?", bits)
    if not pattern or not bits or match is None:
        raise UsageError(
            f"quantize: layers={text} is not PATH:wNaM with 2 to 8 bits",
            hint="for example layers=head:w8,blocks.0.*:w4a8",
        )
    chosen = set(matching(pattern, [op for layer in layers for op in layer.ops], QuantizePass.name))
    for layer in (layer for layer in layers if chosen.intersection(layer.ops)):
        layer.weights = int(match[1] or layer.weights)
        layer.inputs = int(match[2] or layer.inputs)


def take_ranges(graph: Graph) -> dict[Value, Range]:
    """Remove every `observe` node and return what it saw."""
    ranges: dict[Value, Range] = {}
    for node in list(graph.nodes):
        if isinstance(node, Observe):
            histogram = node.histogram.node if node.histogram is not None else None
            counts = histogram.value.array.astype(np.float64) if isinstance(histogram, Const) else None
            ranges[node.x] = Range(node.lo, node.hi, counts)
            node.replace_by(node.x)
            if histogram is not None and not histogram.results[0].uses:
                histogram.erase()
    return ranges


def dequantized(b: Builder, codes: Value) -> Value:
    """`dequantize` of encoded codes with its scale and zero point as constants."""
    encoding = codes.type.encoding
    assert encoding is not None
    scale, zp = b.const(encoding.scales, F32), b.const(encoding.zps, I32) if np.any(encoding.zps) else None
    return b(Dequantize(codes, scale, zp, axis=encoding.axis, group=encoding.group, to=Element(F32)))


def quantized(b: Builder, x: Value, to: Element) -> Value:
    """`quantize` of floats to an encoded integer type."""
    encoding = to.encoding
    assert encoding is not None
    r = b.const((np.float32(1) / encoding.scales).astype(np.float32), F32)
    zp = b.const(encoding.zps, I32) if np.any(encoding.zps) else None
    return b(Quantize(x, r, zp, axis=encoding.axis, to=to))


# -- which values are quantized, and how


LEAVING = (Return, Argmax, Topk, Cast)  # readers that take the real value of a sum


def ends_sum(use: Use) -> bool:
    """Whether a reader takes the real value of a sum."""
    return isinstance(use.node, LEAVING) or (isinstance(use.node, Select) and use.index == 1)


class _Plan:
    """The encodings of one function: groups of tied values, the bits their readers want, the pairs to write."""

    def __init__(
        self,
        graph: Graph,
        options: QuantizePass,
        activations: int,
        layers: dict[Op, Layer],
        ranges: dict[Value, Range],
    ) -> None:
        self.graph = graph
        self.activations = activations
        self.options = options
        self.layers = layers
        self.floats = Floats(graph)
        self.ranges = {v: seen for v, seen in ranges.items() if not v.uses or self._coded_uses(v)}
        self.parent: dict[Value, Value] = {}
        self.sums: set[Value] = set()
        for node in graph.nodes:
            self._tie(cast(Op, node))
        for node in graph.nodes:
            for value in node.results:
                if value in self.ranges and self._stays_in_accumulator(node, value):
                    self.sums.add(value)

    def _coded_uses(self, value: Value) -> list[Use]:
        """The readers of a value that do not take it as a float."""
        return [use for use in value.uses if not self.floats.reads(use)]

    # -- ties

    def root(self, value: Value) -> Value:
        while self.parent.get(value, value) is not value:
            value = self.parent[value]
        return value

    def tied_operands(self, node: Op) -> list[Value]:
        """The operands whose codes a node hands on unchanged."""
        if self.floats.computes(node):
            return []
        if isinstance(node, Gather | Select):
            return [node.x]
        if node.view or isinstance(node, MaxPool | Amax):
            return [v for v in node.operands if v.type.scalar.is_float]
        return [node.x] if isinstance(node, Where) and masked_scores(node) else []

    def _tie(self, node: Op) -> None:
        for operand in self.tied_operands(node):
            # An input of a concat that others read too keeps its own encoding; the concat gets a pair of its own there.
            if isinstance(node, Concat) and len(operand.uses) > 1:
                continue
            a, b = self.root(operand), self.root(node.results[0])
            if a is not b:
                self.parent[b] = a

    def _stays_in_accumulator(self, node: Node, value: Value) -> bool:
        uses = self._coded_uses(value)
        if not isinstance(node, SUMS) and not (isinstance(node, Relu | Clamp) and node.operands[0] in self.sums):
            return False
        if all(map(ends_sum, uses)):
            return True
        return len(uses) == 1 and (ends_sum(uses[0]) or continues_sum(uses[0].node))

    # -- bits

    def wanted(self, use: Use) -> int | None:
        """The bits a reader wants of the value; None if it passes on what it gets and nobody behind it cares."""
        node = cast(Op, use.node)
        if node in self.layers:
            return self.layers[node].inputs
        if isinstance(node, (Add, Sub, LayerNorm, RmsNorm, *LEAVING)) or self.floats.makes(node):
            return self.options.residual
        if isinstance(node, Relu | Clamp) or use.node.operands[use.index] in self.tied_operands(node):
            behind = [self.wanted(u) for u in node.results[0].uses]
            return max((b for b in behind if b is not None), default=None)
        return self.activations

    def bits_of(self, members: list[Value]) -> int:
        wishes = [self.wanted(use) for value in members for use in self._coded_uses(value)]
        return max((w for w in wishes if w is not None), default=self.activations)

    # -- writing

    def write(self) -> None:
        """Insert the pairs."""
        groups: dict[Value, list[Value]] = {}
        for node in self.graph.nodes:
            for operand in self.tied_operands(cast(Op, node)):
                if isinstance(operand.node, Const):
                    groups.setdefault(self.root(operand), []).append(operand)
        for value in self.ranges:
            groups.setdefault(self.root(value), []).append(value)
        elements = {root: self._element(members) for root, members in groups.items() if not set(members) <= self.sums}
        where = {value: root for root, members in groups.items() for value in members}
        # Sources first: the values that bring a group's codes into being, and those that enter it with other codes.
        for value, root in list(where.items()):
            if root in elements and value not in self.sums and self._is_source(value, root):
                self._write_pair(value, elements[root])
        for root, element in elements.items():
            self._write_narrow(groups[root], element)
        self._write_concats(where, elements)

    def _is_source(self, value: Value, root: Value) -> bool:
        node = value.node
        if node is None or isinstance(node, Const):
            return True
        tied = self.tied_operands(cast(Op, node))
        return not any(self.root(v) is root for v in tied) and not tied

    def _element(self, members: list[Value]) -> Element:
        bits = self.bits_of(members)
        if any(isinstance(v.node, Softmax) for v in members):
            return Element(integer(bits, signed=False), per_tensor(2.0**-bits))
        ranges = [self._range(v) for v in members if v not in self.sums]
        total = ranges[0]
        for other in ranges[1:]:
            total = total.union(other)
        return choose_element(total, bits, self.options.scheme)

    def _range(self, value: Value) -> Range:
        if value in self.ranges:
            return self.ranges[value]
        array = cast(Const, value.node).value.array
        return Range(float(array.min()), float(array.max()))

    def _write_pair(self, value: Value, element: Element) -> None:
        """Let every reader of the value read dequantize(quantize(value))."""
        # A weight that layers share with an embedding is quantized for each of them.
        readers = [use for use in self._coded_uses(value) if not self._is_weight(use)]
        b = self._behind(value)
        if isinstance(value.node, Const):
            codes = encoded(value.node.value.array, element)
            pair = dequantized(b, b.const(codes, element.scalar, element.encoding, value.name))
        else:
            pair = dequantized(b, quantized(b, value, element))
        for use in readers:
            use.node.set_operand(use.index, pair)
        self.parent[pair] = self.root(value)

    def _is_weight(self, use: Use) -> bool:
        layer = self.layers.get(cast(Op, use.node))
        return layer is not None and use.index == 1

    def _write_narrow(self, members: list[Value], element: Element) -> None:
        """A narrower pair in front of each reader that wants fewer bits than its group has."""
        for value in members:
            current = value
            if any(isinstance(u.node, Quantize) for u in value.uses):
                (quantize,) = [u.node for u in value.uses if isinstance(u.node, Quantize)]
                current = quantize.results[0].users[0].results[0]
            narrow: dict[int, list[Use]] = {}
            for use in current.uses:
                if self._is_weight(use):
                    continue
                if cast(Op, use.node) in self.layers and self.layers[cast(Op, use.node)].inputs < element.scalar.bits:
                    narrow.setdefault(self.layers[cast(Op, use.node)].inputs, []).append(use)
                elif not isinstance(use.node, LEAVING) and element.scalar.bits > 8 and self._needs_bytes(use):
                    narrow.setdefault(self.activations, []).append(use)
            for bits, uses in narrow.items():
                seen = self._range(value)
                b = self._behind(current)
                pair = dequantized(b, quantized(b, current, choose_element(seen, bits, self.options.scheme)))
                for use in uses:
                    use.node.set_operand(use.index, pair)

    def _needs_bytes(self, use: Use) -> bool:
        """Whether a reader cannot take more than 8 bits: products, tables and softmax."""
        node = cast(Op, use.node)
        if isinstance(node, Add | Sub | LayerNorm | RmsNorm | Relu | Clamp | Mean | Sum | Cumsum | AvgPool | Quantize):
            return False
        return not (self.floats.makes(node) or self.tied_operands(node))

    def _write_concats(self, where: dict[Value, Value], elements: dict[Value, Element]) -> None:
        """Inputs of a concat that have another encoding than its result."""
        for node in list(self.graph.nodes):
            if not isinstance(node, Concat) or not node.results[0].type.scalar.is_float or self.floats.computes(node):
                continue
            root = self.root(node.results[0])
            element = elements.get(root)
            if element is None:
                continue
            for index, operand in enumerate(node.operands):
                if self.root(operand) is not root:
                    b = Builder.before_node(node)
                    node.set_operand(index, dequantized(b, quantized(b, operand, element)))

    def _behind(self, value: Value) -> Builder:
        """A builder right behind the definition of a value."""
        if value.node is None:
            first = next(iter(self.graph.nodes))
            return Builder(self.graph, first, Loc().via(self.options.name))
        return Builder(self.graph, value.node.next, value.node.loc.via(self.options.name))


def encoded(array: Array, element: Element) -> Array:
    """Codes of a float array under a per-tensor encoding."""
    encoding = cast(Encoding, element.encoding)
    codes = np.rint(array.astype(np.float64) / float(encoding.scales)) + int(encoding.zps)
    return np.clip(codes, element.scalar.min, element.scalar.max).astype(np.int64)
