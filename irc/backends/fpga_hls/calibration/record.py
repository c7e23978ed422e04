"""A calibration as a small JSON text, which `irc calibrate` writes and `hls{calibration=FILE}` takes.

An artifact holds the text itself, so that it says the same wherever it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, cast

from irc.backends.fpga_hls.area import Factors
from irc.ir.diagnostics import Diagnostic, UsageError
from irc.ir.files import read_text

SCHEMA = 1
NUMBERS = ("products", "logic", "ff", "lut_residual", "ff_residual")


@dataclass(frozen=True)
class Calibration:
    """Factors, and where they come from.

    `parts` of an accelerator were compared; residuals are root mean squares of what is left, as a part of the root mean
    square of what was reported.
    """

    factors: Factors
    parts: int
    lut_residual: float
    ff_residual: float
    source: str

    @property
    def text(self) -> str:
        """One line, which `calibration_of` reads."""
        numbers = (self.factors.products, self.factors.logic, self.factors.ff, self.lut_residual, self.ff_residual)
        facts = {**dict(zip(NUMBERS, numbers, strict=True)), "parts": self.parts, "source": self.source}
        return json.dumps({"schema": SCHEMA, **facts})

    @property
    def note(self) -> str:
        """For a report."""
        found = self.factors
        return (
            f"LUT and FF are calibrated: the LUTs of sums of products times {found.products:g}, all others times "
            f"{found.logic:g}, FF times {found.ff:g}, fitted to {self.parts} parts of {self.source}, with residuals of "
            f"{100 * self.lut_residual:.0f} % (LUT) and {100 * self.ff_residual:.0f} % (FF)."
        )


def calibration_of(given: str) -> Calibration:
    """The calibration that a text is, or that the file of that name holds.

    Raises UsageError if there is none.
    """
    inline = given.startswith("{")
    place = "hls{calibration}" if inline else given
    text = given if inline else read_text(Path(given))
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _none("is no calibration: it is no JSON", place) from error
    facts = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if facts.get("schema") != SCHEMA:
        raise _none(f"is no calibration: its schema is {facts.get('schema')}, this irc reads {SCHEMA}", place)
    for name in NUMBERS:
        lowest = 0 if name.endswith("residual") else 1e-6
        if type(facts.get(name)) not in (int, float) or not lowest <= facts[name] < inf:
            raise _none(f"is no calibration: '{name}' is no number that it can be", place)
    if type(facts.get("parts")) is not int or not isinstance(facts.get("source"), str):
        raise _none("is no calibration: it does not say what it was fitted to", place)
    products, logic, ff, lut_residual, ff_residual = (float(facts[name]) for name in NUMBERS)
    return Calibration(Factors(products, logic, ff), facts["parts"], lut_residual, ff_residual, facts["source"])


def _none(message: str, place: str) -> UsageError:
    return UsageError(Diagnostic(message, place=place, hint="`irc calibrate` writes one"))
