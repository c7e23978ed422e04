"""What the lowerings of all families share: the registry of ops with stages of their own, and the end of a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from irc.backends.fpga_hls.epilogue import EpilogueBuilder
from irc.backends.fpga_hls.layout import Layout
from irc.backends.fpga_hls.lowering import Lowering
from irc.backends.fpga_hls.stage import CONFIG, EPILOGUE, Argument, Config, Pace, Rom, Stage, Stream, Weights
from irc.backends.fpga_hls.types import Code
from irc.backends.regions import Region
from irc.ir.op import Op
from irc.ir.scalars import Array

Lower = Callable[[Lowering, Region, Any], None]
"""Adds the stages of a region with that anchor and defines its result."""


@dataclass(frozen=True)
class Anchor:
    """How an op gets a stage of its own; with `epilogue`, elementwise ops behind it join that stage."""

    lower: Lower
    epilogue: bool


ANCHORS: dict[type[Op], Anchor] = {}
F = TypeVar("F", bound=Lower)


def lowers(*ops: type[Op], epilogue: bool = False) -> Callable[[F], F]:
    """Registers the lowering of some ops."""

    def register(lower: F) -> F:
        ANCHORS.update(dict.fromkeys(ops, Anchor(lower, epilogue)))
        return lower

    return register


def check_zero_point(op: Op, name: str, zp: int, code: Code) -> None:
    """Fail at `op` if a zero point is no code, which the types of stages are too narrow for."""
    if not code.lowest <= zp <= code.highest:
        op.fail(f"{name} = {zp} is no code of its operand ({code.lowest} .. {code.highest})")


class Tail:
    """A stage from its results on: the elementwise ops of its region as an epilogue, its output."""

    def __init__(self, cx: Lowering, region: Region, kind: str, layout: Layout, channels: int) -> None:
        self.cx = cx
        self.region = region
        self.layout = layout
        self.name = cx.stage_name(region.loc if region.anchor is None else region.anchor.loc, kind)
        self.idle_mask = ""  # of its weights, see Stage
        self.builder = EpilogueBuilder(cx, self.name, cx.shape(region.result), layout, channels)

    def rom(self, role: str, values: Array | Weights) -> Rom:
        """A constant array of the stage."""
        return Rom(role, values, self.cx.names.fresh(f"{self.name}_{role}"))

    def close(
        self, template: str, header: str, inputs: Sequence[Argument], config: Config, takes: Sequence[Pace] = ()
    ) -> None:
        """Append the stage: the template reads `inputs` and hands each result to the epilogue, which may read more."""
        for op in self.region.steps:
            self.builder.step(op)
        result = self.region.result
        epilogue = self.builder.finish(result)
        out = Stream(self.cx.code(result), self.layout.count, result, self.layout)
        stage = Stage(
            name=self.name,
            template=template,
            header=header,
            loc=self.region.loc,
            outputs=[out],
            arguments=[*inputs, out, *self.builder.streams],
            parameters=[CONFIG, EPILOGUE],
            config=config,
            epilogue=epilogue,
            takes=dict(enumerate(takes)),
            idle_mask=self.idle_mask,
        )
        self.cx.add(stage)
        self.cx.define(result, out, self.layout)
