"""An accelerator against a part: how much of each kind it takes, and which part of it takes most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf

from irc.backends.fpga_hls.area import UNCALIBRATED, Area, Factors, total
from irc.backends.fpga_hls.device import Part
from irc.backends.fpga_hls.stage import Design
from irc.backends.fpga_hls.stage_area import area, ports


@dataclass(frozen=True)
class Use:
    """How much of one kind a design takes, of how much there is; `most` names the stage that takes most."""

    kind: str
    used: int
    available: int
    most: str

    @property
    def text(self) -> str:
        share = f"{100 * self.share:.0f} %" if self.available else "none there"
        return f"{_spaced(self.used)} of {_spaced(self.available)} ({share})"

    @property
    def share(self) -> float:
        """Used of what there is; infinite where there is none."""
        return self.used / self.available if self.available else inf

    @property
    def missing(self) -> int:
        return max(0, self.used - self.available)

    @property
    def verdict(self) -> str:
        """What is missing, for a kind that does not fit."""
        return f"{_spaced(self.missing)} {self.kind} too many, most of them in {self.most}"


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


KINDS: dict[str, tuple[Callable[[Area], int], Callable[[Part], int]]] = {
    "DSP": (lambda a: a.dsp, lambda p: p.dsps),
    "BRAM36": (lambda a: a.bram36, lambda p: p.bram36),
    "URAM": (lambda a: a.uram, lambda p: p.uram),
    "LUT": (lambda a: a.lut, lambda p: p.luts),
    "FF": (lambda a: a.ff, lambda p: p.ffs),
}


@dataclass(frozen=True)
class Bill:
    """What every part of an accelerator takes, by name, and what is beside them, against what is there."""

    areas: Mapping[str, Area]
    beside: Area
    part: Part

    @cached_property
    def uses(self) -> list[Use]:
        """The totals. A kind that there is none of, and none needed, is left out."""
        everything = total([*self.areas.values(), self.beside])
        found: list[Use] = []
        for kind, (of_area, of_part) in KINDS.items():
            most = max(self.areas, key=lambda name: of_area(self.areas[name]), default="the ports")
            used, available = of_area(everything), of_part(self.part)
            if used or available:
                found.append(Use(kind, used, available, most))
        return found

    @property
    def fullest(self) -> float:
        """The share of the kind that is used most."""
        return max((use.share for use in self.uses), default=0.0)

    @property
    def lacking(self) -> str:
        """What there is too little of; empty if it all fits."""
        return "; ".join(use.verdict for use in self.uses if use.missing)


def bill_of(design: Design, part: Part, io: str, factors: Factors = UNCALIBRATED) -> Bill:
    """A dataflow design against a part."""
    areas = {stage.name: area(stage, factors) for stage in design.stages}
    return Bill(areas, ports(design, io, factors), part)
