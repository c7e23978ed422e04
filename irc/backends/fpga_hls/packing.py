"""Products that share a factor, several of them by one DSP: how many fit, as templates/packed.h makes them.

The vendor's way to two products of 8 bits (WP486) and four of 4 (WP521), for any width: products lie so close that the
sign of each is covered by the lowest bit of the next, which is known without a multiplication.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from irc.backends.fpga_hls.stage import Stage
from irc.backends.fpga_hls.types import code_named

SIGN = 1  # bits of a sign


@dataclass(frozen=True)
class Packing:
    """`lanes` products x * w[i] by one of x and the sum of w[i] << (i * step); |x| <= x_most, |w[i]| <= w_most."""

    x_most: int
    w_most: int
    lanes: int

    @property
    def step(self) -> int:
        """Bits from one product to the next: all of a product but its sign."""
        return (self.x_most * self.w_most).bit_length()

    @property
    def x_bits(self) -> int:
        return self.x_most.bit_length() + SIGN

    @property
    def factor_bits(self) -> int:
        """Of the sum that stands for all w[i]."""
        return (self.w_most * sum(1 << i * self.step for i in range(self.lanes))).bit_length() + SIGN


def most_lanes(one: Packing, ports: tuple[int, int]) -> int:
    """How many such products fit one DSP with these ports; 1 where it holds a single one or less."""
    wide, narrow = ports
    lanes = 1
    while one.x_bits <= narrow and replace(one, lanes=lanes + 1).factor_bits <= wide:
        lanes += 1
    return lanes


def packing_of(stage: Stage) -> Packing:
    """How a stage of sums of products makes them."""
    return Packing(_most(stage, "x"), _most(stage, "w"), stage.packing)


def packable(stage: Stage, ports: tuple[int, int]) -> int:
    """How many products of a stage one DSP can make; 1 if none of them share a factor."""
    return most_lanes(packing_of(stage), ports) if "packing" in stage.config else 1


def _most(stage: Stage, operand: str) -> int:
    """The largest magnitude of a code minus its zero point: `Centered` of templates/irc_types.h."""
    code, zp = code_named(str(stage.config[f"{operand}_code"])), stage.number(f"{operand}_zp")
    return max(code.highest - zp, zp - code.lowest)
