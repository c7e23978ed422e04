"""Stages and streams: the accelerator between lowering and C++ text.

A stage is one call of a template of `templates/`: its configuration, ROMs, epilogue, and the streams it reads and
writes. What a stage costs follows from its template, configuration and epilogue alone (`resources.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np

from irc.backends.fpga_hls.extent import Count, Extent, limited
from irc.backends.fpga_hls.layout import Layout
from irc.backends.fpga_hls.types import Code, code_of
from irc.ir.graph import Value
from irc.ir.location import Loc
from irc.ir.scalars import Array

Config: TypeAlias = "dict[str, int | bool | str]"
"""Fields of a configuration struct; a text is a C++ type."""


class Weights(Protocol):
    """Weights that a template wants in an arrangement which depends on its folding."""

    @property
    def code(self) -> Code: ...

    def count(self, pe: int, simd: int) -> int:
        """How many codes there are, without those that only fill rows."""
        ...

    def tiles(self, pe: int, simd: int) -> Array:
        """The codes of each ROM row: [rows, lanes]."""
        ...


@dataclass(eq=False)
class Rom:
    """A constant array of a stage: plain numbers, or weights that are packed by its folding."""

    role: str
    values: Array | Weights
    name: str

    def bits(self, fold: tuple[int, int]) -> int:
        """The bits it holds in a stage of that folding."""
        if isinstance(self.values, np.ndarray):
            return self.values.size * self.values.dtype.itemsize * 8
        return self.values.count(*fold) * self.values.code.bits


@dataclass(eq=False)
class Stream:
    """A FIFO between two stages: its elements (one sample has `count`), and how many it holds.

    One that `carries` a count has it as its only element; every stage whose loops it bounds gets a copy.
    """

    code: Code
    count: int
    value: Value | None = None  # the value of the graph that it carries
    layout: Layout | None = None
    name: str = ""
    depth: int = 0
    carries: Count | None = None


@dataclass(frozen=True)
class Expression:
    """A C++ expression, and what it means in a few words where the text does not say so."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Statement:
    """One line of an epilogue: `const type name = expression;`, the op it computes, and of how many bits."""

    type: str
    name: str
    expression: str
    opname: str = ""
    operands: tuple[int, ...] = ()  # bits of the operands of the op
    floating: bool = False  # whether an operand is a float
    note: str = ""  # what the expression means, in a few words


@dataclass(eq=False)
class Epilogue:
    """What happens to each result: a functor with one statement an op."""

    type: str = ""  # of what the template hands over
    parameter: str = ""
    statements: list[Statement] = field(default_factory=list[Statement])
    result: str = ""
    result_type: str = ""
    operands: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # (type, name) of further streams
    roms: list[Rom] = field(default_factory=list[Rom])

    def uses(self, name: str) -> bool:
        """Whether a variable or argument is read."""
        return name == self.result or any(name in re.findall(r"\w+", s.expression) for s in self.statements)

    @property
    def is_identity(self) -> bool:
        """Whether results leave the stage as they are."""
        return not self.statements and not self.operands


@dataclass(frozen=True)
class Pace:
    """How far consumption (or production) runs ahead of, or behind, even progress through a sample; in samples.

    An input with Pace(-0.25, 0) is read up to a quarter of a sample earlier than an even reader would. An output whose
    last element comes far before `last` says when, in `end`.
    """

    first: float = 0.0
    last: float = 0.0
    end: float | None = None

    @property
    def whole(self) -> bool:
        """Whether all of an input has to be there before the first result."""
        return self.first <= -1


@dataclass(frozen=True)
class Placeholder:
    """A template argument that is named after its stage."""

    suffix: str


CONFIG, EPILOGUE = Placeholder("Config"), Placeholder("Epilogue")
Argument: TypeAlias = "Stream | Rom"
Parameter: TypeAlias = "Placeholder | int"


@dataclass(eq=False)
class Stage:
    """One process of the dataflow region: `name(...)` calls `template<parameters>(arguments)`.

    Streams among the arguments that are not in `outputs` are inputs; those of the epilogue come last, and behind them
    the stream `counting` of the count that its loops are bounded by, if there is one. `takes` and `gives` say, by
    position, at which pace inputs are read and outputs written. `idle_mask` names the mask of its weights if it saves
    nothing here.
    """

    name: str
    template: str
    header: str
    loc: Loc
    outputs: list[Stream]
    arguments: list[Argument]
    parameters: list[Parameter] = field(default_factory=list[Parameter])
    config: Config = field(default_factory=dict[str, "int | bool | str"])
    epilogue: Epilogue | None = None
    takes: dict[int, Pace] = field(default_factory=dict[int, Pace])
    gives: dict[int, Pace] = field(default_factory=dict[int, Pace])
    idle_mask: str = ""
    counting: Stream | None = None

    @property
    def inputs(self) -> list[Stream]:
        given = [a for a in self.arguments if isinstance(a, Stream) and not any(a is out for out in self.outputs)]
        return given if self.counting is None else [*given, self.counting]

    @property
    def count(self) -> Count | None:
        """What is born in the run that bounds its loops."""
        sizes = [v for v in (*self.config.values(), *self.parameters) if isinstance(v, Extent)]
        return sizes[0].count if sizes else None

    @property
    def roms(self) -> list[Rom]:
        """All constant arrays, those of the epilogue last."""
        own = [a for a in self.arguments if isinstance(a, Rom)]
        return own + (self.epilogue.roms if self.epilogue else [])

    def packed(self, role: str) -> Weights:
        """The values of the ROM of a role that depend on the folding."""
        values = next(rom.values for rom in self.roms if rom.role == role)
        assert not isinstance(values, np.ndarray)
        return values

    @property
    def elements(self) -> int:
        """How many elements its longest stream has, at most."""
        return max((int(s.count) for s in (*self.inputs, *self.outputs)), default=0)

    @property
    def foldable(self) -> bool:
        return "pe" in self.config

    @property
    def fold(self) -> tuple[int, int]:
        """What happens at once: output channels, input channels."""
        return int(self.config.get("pe", 1)), int(self.config.get("simd", 1))

    @property
    def simd_step(self) -> int:
        """What `simd` is a multiple of: the groups of N:M masks are not cut."""
        return int(self.config.get("m", 1))

    @property
    def packing(self) -> int:
        """How many products one multiplication makes."""
        return int(self.config.get("packing", 1))

    def set_fold(self, pe: int, simd: int, packing: int = 1) -> None:
        """Set all of them, `simd` rounded up to its step."""
        self.config["pe"] = pe
        if "packing" in self.config:
            self.config["packing"] = packing
        if "simd" in self.config:
            self.config["simd"] = -(-simd // self.simd_step) * self.simd_step

    def at(self, counts: Mapping[str, int], streams: Mapping[Stream, Stream]) -> Stage:
        """The stage where counts are at most what is given by their names, between the streams that stand for its."""
        return replace(
            self,
            outputs=[streams[s] for s in self.outputs],
            arguments=[streams[a] if isinstance(a, Stream) else a for a in self.arguments],
            parameters=[limited(p, counts) if isinstance(p, int) else p for p in self.parameters],
            config={k: limited(v, counts) if isinstance(v, Extent) else v for k, v in self.config.items()},
            counting=self.counting and streams[self.counting],
        )

    def varies(self, *names: str) -> bool:
        """Whether a count decides one of these sizes."""
        return any(isinstance(self.config[name], Extent) for name in names)

    def number(self, name: str) -> int:
        """A number of the configuration, of a size the most."""
        value = self.config[name]
        assert isinstance(value, int)
        return int(value)

    def replace_input(self, old: Stream, new: Stream) -> None:
        """Let the first argument that reads `old` read `new`."""
        if old is self.counting:
            self.counting = new
            return
        self.arguments[next(i for i, a in enumerate(self.arguments) if a is old)] = new


@dataclass(eq=False)
class Port:
    """An input or output of the accelerator: codes in the order of a layout."""

    name: str
    value: Value
    stream: Stream
    layout: Layout
    shape: tuple[int, ...]

    @property
    def code(self) -> Code:
        """The code of the graph, which the stream may hold in fewer bits."""
        return code_of(self.value.type.scalar)

    @property
    def count(self) -> int:
        return math.prod(self.shape)


@dataclass(eq=False)
class Design:
    """The accelerator: ports, and stages in order of execution."""

    inputs: list[Port]
    outputs: list[Port]
    stages: list[Stage]

    @property
    def streams(self) -> list[Stream]:
        """All streams: those of the inputs, then the results of the stages."""
        return [p.stream for p in self.inputs] + [s for stage in self.stages for s in stage.outputs]

    @property
    def counts(self) -> list[Count]:
        """What is born in the run, in order."""
        return list(dict.fromkeys(s.carries for s in self.streams if s.carries is not None))

    def at(self, counts: Mapping[str, int]) -> Design:
        """The same for samples with these counts, by name: what their cycles are estimated by."""
        streams = {s: replace(s, count=limited(s.count, counts)) for s in self.streams}
        inputs, outputs = (
            [replace(p, stream=streams[p.stream]) for p in ports] for ports in (self.inputs, self.outputs)
        )
        return Design(inputs, outputs, [stage.at(counts, streams) for stage in self.stages])
