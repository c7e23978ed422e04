"""Addresses: where activations, weights and parameters lie in memory, and what is there before the first run.

Activations share memory: a buffer is there from the layer that writes it first to the one that reads it last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from irc.backends.fpga_hls.engine.cost import best_tiling
from irc.backends.fpga_hls.engine.memory import WORD, Buffer, element_bytes, padded, tiles
from irc.backends.fpga_hls.engine.program import (
    Computed,
    Gemm,
    Layer,
    Move,
    Port,
    Program,
    Size,
    Softmax,
    Tiling,
    front_vectors,
)
from irc.backends.fpga_hls.engine.schedule import chosen_tilings, schedule_texts
from irc.ir.scalars import Array

MARGIN = 4 * WORD
"""Bytes behind a buffer that the last pack of a row may reach into, where rows do not fill whole packs."""


@dataclass(frozen=True)
class Parameters:
    """Where the parameters of a layer begin (words), and how many there are of each kind."""

    begin: int
    front_vectors: int
    step_vectors: int
    front_table: int
    step_table: int


@dataclass
class Image:
    """A read-only memory under construction."""

    parts: list[Array] = field(default_factory=list[Array])
    words: int = 0

    def append(self, data: Array) -> int:
        """Add bytes, filled up to whole words; the word at which they begin."""
        begin, self.words = self.words, self.words + tiles(data.size, WORD)
        self.parts.append(np.pad(data, (0, -data.size % WORD)))
        return begin

    def bytes(self) -> bytes:
        """Everything; at least a word."""
        return np.concatenate(self.parts).tobytes() if self.parts else bytes(WORD)


@dataclass(frozen=True)
class Plan:
    """A program with addresses, for an engine of some size."""

    program: Program
    size: Size
    tilings: tuple[Tiling | None, ...]  # of each layer
    why: str  # an engine, and not a dataflow accelerator
    activation_bytes: int
    constants: bytes  # at the beginning of the activations
    weights: bytes
    weight_words: tuple[int, ...]  # of each layer
    parameters: bytes
    parameter_places: tuple[Parameters, ...]

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self.program.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self.program.outputs

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.program.layers

    @property
    def schedule(self) -> dict[str, str]:
        """How it is laid out, as texts."""
        names = (layer.name for layer in self.layers)
        return schedule_texts(self.size, dict(zip(names, self.tilings, strict=True)))


def planned(program: Program, size: Size, why: str = "", rows: Mapping[str, int] | None = None) -> Plan:
    """Give everything its place; layers in `rows` get tiles of so many rows, others those that take least time.

    Raises UsageError for rows that cannot be.
    """
    chosen = chosen_tilings(program.layers, size, rows or {})
    tilings = tuple(chosen.get(layer.name) or best_tiling(layer, size) for layer in program.layers)
    constants = _place_constants(program.layers)
    total = _place_buffers(program, len(constants))
    weights, parameters = Image(), Image()
    weight_words = tuple(weights.append(_weights(layer, size)) for layer in program.layers)
    places = tuple(_parameters(layer, parameters) for layer in program.layers)
    return Plan(
        program, size, tilings, why, total, constants, weights.bytes(), weight_words, parameters.bytes(), places
    )


def buffers_of(layer: Layer) -> Iterable[Buffer]:
    return (place.buffer for place in (*layer.run.reads, layer.y))


def _place_constants(layers: Sequence[Layer]) -> bytes:
    image = bytearray()
    for buffer in dict.fromkeys(b for layer in layers for b in buffers_of(layer)):
        if buffer.contents is not None:
            buffer.place = len(image)
            codes = buffer.contents.astype(f"<i{element_bytes(buffer.code)}")
            image += codes.tobytes()
            image += bytes(-len(image) % WORD + MARGIN)
    return bytes(image)


def _place_buffers(program: Program, begin: int) -> int:
    """First fit by the layer that writes first; the bytes of the memory of activations."""
    first: dict[Buffer, int] = {p.view.buffer: -1 for p in program.inputs}
    last: dict[Buffer, int] = dict(first)
    for i, layer in enumerate(program.layers):
        for buffer in buffers_of(layer):
            if buffer.contents is None:
                first.setdefault(buffer, i)
                last[buffer] = i
    last |= {p.view.buffer: len(program.layers) for p in program.outputs}
    placed: list[Buffer] = []
    end = begin
    for buffer in sorted(first, key=lambda b: first[b]):
        size = _room(buffer)
        beside = sorted(
            (b.place, b.place + _room(b)) for b in placed if first[b] <= last[buffer] and first[buffer] <= last[b]
        )
        place = begin
        for lowest, highest in beside:
            if place + size <= lowest:
                break
            place = max(place, highest)
        buffer.place = place
        placed.append(buffer)
        end = max(end, place + size)
    return end


def _room(buffer: Buffer) -> int:
    return tiles(buffer.bytes, WORD) * WORD + MARGIN


def _weights(layer: Layer, size: Size) -> Array:
    run = layer.run
    if isinstance(run, Gemm) and not isinstance(run.w, Computed):
        return run.w.packed(size)
    return np.zeros(0, np.uint8)


def _words(values: Array) -> Array:
    """32-bit numbers as bytes, filled up to whole packs."""
    filled = np.zeros((*values.shape[:-1], padded(values.shape[-1])), "<i4")
    filled[..., : values.shape[-1]] = values
    return filled.reshape(-1).view(np.uint8)


def _parameters(layer: Layer, image: Image) -> Parameters:
    run = layer.run
    if isinstance(run, Move):
        return Parameters(0, 0, 0, 0, 0)
    vectors = front_vectors(layer)
    table = run.exponentials if isinstance(run, Softmax) else np.zeros(0, np.int32)
    steps = run.tail.table if run.tail.table is not None else np.zeros(0, np.int32)
    begin = image.words
    for values in (*vectors, *run.tail.vectors, table, steps):
        image.append(_words(values))
    return Parameters(begin, len(vectors), len(run.tail.vectors), table.size, steps.size)
