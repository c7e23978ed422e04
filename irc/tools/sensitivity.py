"""`irc analyze sensitivity`: what each layer loses at each number of bits, and which layers to give more.

One layer at a time is quantized, its weights or its input activations, by the rounding and the ranges that the pipeline
would use; everything else stays float. So noise is told by the layer that makes it, not by the one where it shows.
The layers whose noise the pipeline could save most of are then given 8 bits, and the pipeline runs again to see that
it helps.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from irc.backends.compare import Distance, distance, together
from irc.backends.data import Dataset, Source, read_data
from irc.backends.execute import Call, calls_of
from irc.backends.scores import require_classes, scores_classes
from irc.backends.sides import on_interpreter
from irc.driver import Lowered, Read, Settings, data_of, lower, one_blas_thread, read_model, stages_of
from irc.feedback import Feedback, silence
from irc.ir.diagnostics import UsageError
from irc.ir.graph import Value
from irc.ir.interpret import bind_dims, run_node
from irc.ir.location import Loc
from irc.ir.op import Op
from irc.ir.scalars import Array, integer
from irc.ir.types import Element, Encoding
from irc.passes.analysis.cost import cost_table, total
from irc.passes.base import PassContext
from irc.passes.encodings import Range, choose_element
from irc.passes.pipeline import Stage, with_words
from irc.passes.quantize import Layer, QuantizePass, encoded, take_ranges

SAMPLES = 64  # on which loss is measured, where nobody says how many
WIDTHS = (8, 4, 2)
FULL = 8  # bits of a layer that is repaired
SHARE = 0.75  # of the noise that few bits cause, which a repair takes away
WEIGHTS, INPUTS = "weights", "inputs"


@dataclass(frozen=True)
class Loss:
    """What the model loses if only this is quantized: the weights or the input activations of a layer.

    `top1` is the loss of top-1, as a fraction; without labels the share of samples whose class changes, and None where
    outputs are no scores of classes. `saved` are bytes of weights, beside floats.
    """

    loc: Loc
    part: str
    bits: int
    outputs: tuple[Distance, ...]
    top1: float | None
    saved: int

    @property
    def distance(self) -> Distance:
        """Of all outputs that are reals together, each in units of its own signal; of all, where none is."""
        return together(self.outputs)

    @property
    def noise(self) -> float:
        """What this costs: noise beside the signal, summed over outputs, or integers that change where none is real."""
        return _noise(self.outputs)


@dataclass(frozen=True)
class Quality:
    """A whole pipeline against the float graph, output by output, and the bytes of its constants."""

    outputs: tuple[Distance, ...]
    top1: float | None
    bytes: int


def _noise(outputs: Sequence[Distance]) -> float:
    found = together(outputs)
    return float(found.elements - found.equal) if found.integers else found.noise


@dataclass(frozen=True)
class Sensitivity:
    """What `irc analyze sensitivity` found, worst first; `passes` is the repaired pipeline, if one helps."""

    name: str
    samples: int
    labelled: bool
    losses: tuple[Loss, ...]
    before: Quality
    passes: str = ""
    raised: int = 0  # layers
    share: float = 0.0  # of the noise of few bits that they make
    after: Quality | None = None


def sensitivity_of(
    model: Any,
    data: Source | None,
    settings: Settings,
    feedback: Feedback,
    *,
    widths: Sequence[int] = WIDTHS,
    limit: int = SAMPLES,
) -> Sensitivity:
    """Measure a model; arguments as of `sensitivity`."""
    stages = stages_of(settings, None)
    chosen = _quantize_stage(stages)
    read = read_model(model, settings)
    measured_on = data_of(read, settings)[1] if data is None else read_data(data, read.module.main, "--data")
    samples = measured_on.head(limit)
    with one_blas_thread():
        bench = _Bench(read, samples, settings, replace(feedback, warn=silence))
        prepared = lower(read, stages[:chosen], None, settings, feedback)
        trial = _Trial(prepared, cast(QuantizePass, stages[chosen].run), settings, feedback)
        losses = trial.losses(samples, widths)
        found = Sensitivity(read.name, len(samples), samples.labels is not None, losses, bench.quality(settings.passes))
        return _repaired(found, trial, bench)


def _quantize_stage(stages: Sequence[Stage]) -> int:
    for index, stage in enumerate(stages):
        if isinstance(stage.run, QuantizePass):
            return index
    raise UsageError("the pipeline does not run 'quantize'", hint="for example --passes=quant4")


# -- one layer at a time


@dataclass(frozen=True)
class _Variant:
    """A layer with one operand replaced: by a constant, or by what rounding makes of it."""

    layer: Layer
    part: str
    bits: int
    elements: Mapping[Op, Element]  # of the operand, for each op of the layer
    codes: Array | None = None  # of weights

    @property
    def saved(self) -> int:
        return 0 if self.codes is None else self.codes.size * (32 - self.bits) // 8

    def replaced(self, op: Op, operands: Sequence[Array]) -> list[Array]:
        """The operands of an op of the layer, this one as its codes stand for it."""
        found, index, element = list(operands), 0 if self.codes is None else 1, self.elements[op]
        encoding = cast(Encoding, element.encoding)
        found[index] = encoding.decode(encoded(found[0], element) if self.codes is None else self.codes)
        return found


class _Trial:
    """A model in front of `quantize`, its layers, and how this pass would round them."""

    def __init__(self, prepared: Lowered, quantize: QuantizePass, settings: Settings, feedback: Feedback) -> None:
        self.module, self.quantize, self.progress = prepared.module, quantize, feedback.progress
        self.graph = self.module.main
        cx = PassContext(samples=prepared.data.samples, seed=settings.seed, progress=feedback.progress)
        self.layers = quantize.layers_of(self.graph)
        gptq = quantize.rounding == "gptq"
        self.hessians = quantize.hessians_of(self.module, self.layers, cx) if gptq else {}
        self.ranges = take_ranges(self.graph)
        self.places = {node: index for index, node in enumerate(self.graph.nodes)}
        self.nodes = list(self.graph.nodes)
        self.scores = scores_classes(self.graph)

    def bits_of(self, layer: Layer, part: str) -> int:
        """What the pipeline gives it."""
        return layer.weights if part == WEIGHTS else layer.inputs

    def losses(self, samples: Dataset, widths: Sequence[int]) -> tuple[Loss, ...]:
        """All variants on all samples, worst first."""
        variants = list(self._variants(widths))
        measured = [tuple(Distance() for _ in self.graph.outputs) for _ in variants]
        classes: list[list[Array]] = [[] for _ in (*variants, None)]
        calls = calls_of(self.graph, samples)
        done = 0
        with self.progress("quantizing one layer at a time", len(calls) * len(variants)) as tick:
            for call in calls:
                kept = min(len(call[0]), len(samples) - done)
                done += kept
                known = self._values(call)
                floats = [known[value][:kept] for value in self.graph.outputs]
                classes[-1].append(_classes(floats, self.scores))
                for variant, outputs, seen in zip(variants, measured, classes, strict=False):
                    given = [array[:kept] for array in self._outputs(variant, call, known)]
                    for apart, a, b in zip(outputs, given, floats, strict=True):
                        apart.add(a, b)
                    seen.append(_classes(given, self.scores))
                    tick()
        right = samples.labels if samples.labels is not None else np.concatenate(classes[-1])
        reference = _share(classes[-1], right)
        found = [
            Loss(
                variant.layer.loc,
                variant.part,
                variant.bits,
                outputs,
                None if reference is None else reference - cast(float, _share(seen, right)),
                variant.saved,
            )
            for variant, outputs, seen in zip(variants, measured, classes, strict=False)
        ]
        return tuple(sorted(found, key=lambda loss: -loss.noise))

    def _variants(self, widths: Sequence[int]) -> Iterator[_Variant]:
        for layer in self.layers:
            for bits in sorted({*widths, FULL, layer.weights}):
                codes, encoding = self.quantize.coded_weight(layer, bits, self.hessians.get(layer.constant))
                element = Element(integer(bits, signed=True), encoding)
                yield _Variant(layer, WEIGHTS, bits, dict.fromkeys(layer.ops, element), codes.astype(np.int8))
            seen: dict[Op, Range] = {op: self.ranges[op.x] for op in layer.ops if op.x in self.ranges}
            if len(seen) == len(layer.ops) and self.quantize.activations is not None:
                for bits in sorted({*widths, FULL, layer.inputs}):
                    elements = {op: choose_element(r, bits, self.quantize.scheme) for op, r in seen.items()}
                    yield _Variant(layer, INPUTS, bits, elements)

    def _values(self, call: Call) -> dict[Value, Array]:
        dims = bind_dims(self.graph, call)
        known = dict(zip(self.graph.inputs, call, strict=True))
        for node in self.nodes:
            if not node.terminator:
                results = run_node(node, [known[value] for value in node.operands], dims, self.module)
                known.update(zip(node.results, results, strict=True))
        return known

    def _outputs(self, variant: _Variant, call: Call, known: Mapping[Value, Array]) -> list[Array]:
        """The results with a variant in the place of its layer: what does not depend on it is not computed again."""
        dims = bind_dims(self.graph, call)
        changed: dict[Value, Array] = {}
        for node in self.nodes[self.places[variant.layer.ops[0]] :]:
            own = node in variant.elements
            if node.terminator or not (own or any(value in changed for value in node.operands)):
                continue
            operands = [changed[value] if value in changed else known[value] for value in node.operands]
            if own:
                operands = variant.replaced(cast(Op, node), operands)
            changed.update(zip(node.results, run_node(node, operands, dims, self.module), strict=True))
        return [changed[value] if value in changed else known[value] for value in self.graph.outputs]


def _classes(outputs: Sequence[Array], scores: bool) -> Array:
    """The class of each sample by the first output; none where that does not score classes."""
    classes: Array = np.argmax(outputs[0], axis=1) if scores else np.zeros(0, np.int64)
    return classes


def _share(classes: Sequence[Array], right: Array) -> float | None:
    joined = np.concatenate(classes)
    if not len(joined) or joined.shape != right.shape:
        return None
    same: Array = joined == right
    return float(same.mean())


# -- the whole pipeline


class _Bench:
    """Runs pipelines on a model and says how good the results are."""

    def __init__(self, read: Read, samples: Dataset, settings: Settings, feedback: Feedback) -> None:
        self.read, self.samples, self.settings, self.feedback = read, samples, settings, feedback
        self.floats = on_interpreter(read.module, "the float graph").outputs(samples, feedback.progress)
        self.scores = scores_classes(read.module.main)
        if samples.labels is not None and self.scores:
            require_classes(samples.labels, self.floats[0].shape[1])

    def quality(self, passes: str) -> Quality:
        wanted = replace(self.settings, passes=passes)
        module = lower(self.read, stages_of(wanted, None), None, wanted, self.feedback).module
        outputs = on_interpreter(module, "the quantized graph").outputs(self.samples, self.feedback.progress)
        distances = tuple(map(distance, outputs, self.floats))
        floats = _classes(self.floats, self.scores)
        right = floats if self.samples.labels is None else self.samples.labels
        top1, reference = _share([_classes(outputs, self.scores)], right), _share([floats], right)
        loss = None if top1 is None or reference is None else reference - top1
        return Quality(distances, loss, total(cost_table(module)).weight_bytes)


def _repaired(found: Sensitivity, trial: _Trial, bench: _Bench) -> Sensitivity:
    """With the pipeline that gives the worst layers 8 bits, if that helps."""
    gains = _gains(found, trial)
    whole = sum(gains.values())
    chosen: dict[str, float] = {}
    for path, gain in sorted(gains.items(), key=lambda item: -item[1]):
        if sum(chosen.values()) < SHARE * whole:
            chosen[path] = gain
    if not chosen:
        return found
    words = [f"{glob.escape(path)}:{_bits(trial, path)}" for path in chosen]
    passes = with_words(bench.settings.passes, QuantizePass.name, "layers", words)
    after = bench.quality(passes)
    if _noise(after.outputs) >= _noise(found.before.outputs):
        return found
    share = sum(chosen.values()) / whole
    return replace(found, passes=passes, raised=len(chosen), share=share, after=after)


def _gains(found: Sensitivity, trial: _Trial) -> dict[str, float]:
    """By module path, the noise that the pipeline's bits cause and 8 bits would not."""
    noise = {(loss.loc, loss.part, loss.bits): loss.noise for loss in found.losses}
    gains: dict[str, float] = {}
    for layer in trial.layers:
        for part in (WEIGHTS, INPUTS):
            key = (layer.loc, part)
            bits = trial.bits_of(layer, part)
            if bits < FULL and layer.loc.path and (*key, bits) in noise:
                gain = noise[*key, bits] - noise[*key, FULL]
                gains[layer.loc.path] = gains.get(layer.loc.path, 0.0) + gain
    return {path: gain for path, gain in gains.items() if gain > 0}


def _bits(trial: _Trial, path: str) -> str:
    """`w8`, `a8` or both: what a layer gets that has less."""
    layers = [layer for layer in trial.layers if layer.loc.path == path]
    weights = any(layer.weights < FULL for layer in layers)
    inputs = trial.quantize.activations is not None and any(layer.inputs < FULL for layer in layers)
    return (f"w{FULL}" if weights else "") + (f"a{FULL}" if inputs else "")


def sensitivity(
    model: Any,
    data: Source | None = None,
    *,
    passes: str = "quant4",
    calib: Source | None = None,
    widths: Sequence[int] = WIDTHS,
    limit: int = SAMPLES,
    feedback: Feedback | None = None,
    **settings: Any,
) -> Sensitivity:
    """What each layer of a model loses at each number of bits: `irc.sensitivity("model.pt2", test, calib=calib)`.

    `passes` is the pipeline that is to be repaired; it must run `quantize`. Ranges are those of `calib`, loss is
    measured on `data`, by default on `calib`. Further settings are those of `Settings`.

    Raises UsageError for a pipeline that does not quantize, IrcError (1) where a pass cannot do its work.
    """
    wanted = Settings(passes=passes, calib=calib, **settings)
    return sensitivity_of(model, data, wanted, feedback or Feedback(), widths=widths, limit=limit)
