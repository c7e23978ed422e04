"""A design against a part: how much of each kind it takes, and which stage takes most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from irc.backends.fpga_hls.area import Area, total
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
        share = f"{100 * self.used / self.available:.0f} %" if self.available else "none there"
        return f"{_spaced(self.used)} of {_spaced(self.available)} ({share})"

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


def uses(design: Design, part: Part, io: str) -> list[Use]:
    """The totals of a design against a part."""
    return amounts({stage.name: area(stage) for stage in design.stages}, ports(design, io), part)


def amounts(areas: Mapping[str, Area], beside: Area, part: Part) -> list[Use]:
    """What parts of an accelerator by name, and what is beside them, take in all. A kind that there is none of, and
    none needed, is left out."""
    everything = total([*areas.values(), beside])
    found: list[Use] = []
    for kind, (of_area, of_part) in KINDS.items():
        most = max(areas, key=lambda name: of_area(areas[name]), default="the ports")
        used, available = of_area(everything), of_part(part)
        if used or available:
            found.append(Use(kind, used, available, most))
    return found
