"""What the lowerings of all families share: the registry of ops with stages of their own, and building the tail of a stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from irc.backends.fpga_hls.epilogue import EpilogueBuilder
from irc.backends.fpga_hls.layout import Layout
from irc.backends.fpga_hls.lowering import Lowering
from irc.backends.fpga_hls.regions import Region
from irc.backends.fpga_hls.stage import Epilogue, Stream
from irc.ir.op import Op

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


class Tail:
    """The end of a stage: its epilogue and its output."""

    def __init__(self, cx: Lowering, region: Region, kind: str, layout: Layout, channels: int) -> None:
        self.cx = cx
        self.region = region
        self.layout = layout
        self.name = cx.stage_name(region.loc if region.anchor is None else region.anchor.loc, kind)
        self.builder = EpilogueBuilder(cx, self.name, cx.shape(region.result), layout, channels)

    def finish(self) -> tuple[Stream, list[Stream]]:
        """Run the steps. The output, and the further streams that the epilogue reads."""
        for op in self.region.steps:
            self.builder.step(op)
        self.builder.finish(self.region.result)
        out = Stream(self.cx.code(self.region.result), self.layout.count, self.region.result, self.layout)
        self.cx.define(self.region.result, out, self.layout)
        return out, self.builder.streams

    @property
    def epilogue(self) -> Epilogue:
        return self.builder.epilogue
