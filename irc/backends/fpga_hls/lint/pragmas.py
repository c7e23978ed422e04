"""`#pragma HLS` lines: their parts, and what Vitis HLS knows of each (UG1399, HLS pragmas)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Where = Literal["function", "loop", "scope"]
"""In the body of a function, in that of a loop, or anywhere in a function where its variable is known."""


@dataclass(frozen=True)
class Known:
    """A pragma: its places, its options with their values, which of them it needs.

    A value is one of some words, a `positive` or `natural` number, a `name`, or a `flag`, which has none.
    """

    places: tuple[Where, ...]
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    needs: tuple[str, ...] = ()


POSITIVE, NATURAL, NAME, FLAG = "positive", "natural", "name", "flag"

_PARTITION = {
    "variable": NAME,
    "type": "complete block cyclic",
    "factor": POSITIVE,
    "dim": NATURAL,
    **dict.fromkeys(("complete", "block", "cyclic", "off"), FLAG),
}
_MODES = (
    "ap_none ap_stable ap_vld ap_ack ap_hs ap_ovld ap_memory bram ap_fifo axis s_axilite m_axi "
    "ap_ctrl_chain ap_ctrl_hs ap_ctrl_none"
)
_MEMORIES = "fifo ram_1p ram_1wnr ram_2p ram_s2p ram_t2p rom_1p rom_2p rom_np"
_OPERATIONS = (
    "mul add sub fadd fsub fdiv fexp flog fmul frsqrt frecip fsqrt dadd dsub ddiv dexp dlog dmul drsqrt drecip dsqrt "
    "hadd hsub hdiv hmul hsqrt facc fmacc fmadd"
)
_BURSTS = dict.fromkeys(
    (
        *("latency", "max_read_burst_length", "max_write_burst_length", "num_read_outstanding"),
        *("num_write_outstanding", "max_widen_bitwidth"),
    ),
    NATURAL,
)

PRAGMAS: dict[str, Known] = {
    "AGGREGATE": Known(("scope",), {"variable": NAME, "compact": "bit byte none auto"}, ("variable",)),
    "ALIAS": Known(("scope",), {"ports": NAME, "distance": NATURAL, "offset": NAME}, ("ports",)),
    "ALLOCATION": Known(
        ("function", "scope"),
        {"instances": NAME, "limit": POSITIVE, "function": FLAG, "operation": FLAG},
        ("instances", "limit"),
    ),
    "ARRAY_PARTITION": Known(("scope",), _PARTITION, ("variable",)),
    "ARRAY_RESHAPE": Known(("scope",), {**_PARTITION, "object": FLAG}, ("variable",)),
    "BIND_OP": Known(
        ("scope",),
        {"variable": NAME, "op": _OPERATIONS, "impl": "fabric dsp meddsp fulldsp maxdsp primitivedsp", "latency": NAME},
        ("variable", "op"),
    ),
    "BIND_STORAGE": Known(
        ("scope",),
        {
            "variable": NAME,
            "type": _MEMORIES,
            "impl": "bram bram_ecc lutram uram uram_ecc srl memory auto",
            "latency": NAME,
        },
        ("variable", "type"),
    ),
    "DATAFLOW": Known(("function", "loop"), {"disable_start_propagation": FLAG}),
    "DEPENDENCE": Known(
        ("loop", "function", "scope"),
        {
            "variable": NAME,
            "class": "array pointer",
            "type": "inter intra",
            "direction": "raw war waw RAW WAR WAW",
            "distance": POSITIVE,
            "dependent": "true false",
        },
    ),
    "DISAGGREGATE": Known(("scope",), {"variable": NAME}, ("variable",)),
    "EXPRESSION_BALANCE": Known(("function", "loop", "scope"), {"off": FLAG}),
    "FUNCTION_INSTANTIATE": Known(("function",), {"variable": NAME}, ("variable",)),
    "INLINE": Known(("function",), {"off": FLAG, "recursive": FLAG}),
    "INTERFACE": Known(
        ("function",),
        {
            "mode": _MODES,
            "port": NAME,
            "bundle": NAME,
            "depth": POSITIVE,
            "offset": NAME,  # off, slave, direct, or the address of a register
            "register": FLAG,
            "register_mode": "forward reverse both off",
            "clock": NAME,
            "name": NAME,
            "channel": NAME,
            "storage_type": _MEMORIES,
            "storage_impl": "auto bram uram",
            **_BURSTS,
        },
        ("mode", "port"),
    ),
    "LATENCY": Known(("function", "loop", "scope"), {"min": NATURAL, "max": NATURAL}),
    "LOOP_FLATTEN": Known(("loop",), {"off": FLAG}),
    "LOOP_MERGE": Known(("function", "loop", "scope"), {"force": FLAG}),
    "LOOP_TRIPCOUNT": Known(("loop",), {"min": NATURAL, "max": POSITIVE, "avg": NATURAL}, ("max",)),
    "OCCURRENCE": Known(("scope",), {"cycle": POSITIVE, "off": FLAG}),
    "PERFORMANCE": Known(
        ("function", "loop"),
        {"target_ti": POSITIVE, "target_tl": POSITIVE, "assume_ti": POSITIVE, "assume_tl": POSITIVE, "unit": NAME},
    ),
    "PIPELINE": Known(("function", "loop"), {"II": POSITIVE, "off": FLAG, "rewind": FLAG, "style": "stp frp flp"}),
    "PROTOCOL": Known(("scope",), {"mode": "floating fixed"}),
    "RESET": Known(("scope",), {"variable": NAME, "off": FLAG}, ("variable",)),
    "STABLE": Known(("function", "scope"), {"variable": NAME}, ("variable",)),
    "STREAM": Known(
        ("scope",),
        {"variable": NAME, "type": "fifo pipo shared unsync", "depth": POSITIVE, "off": FLAG},
        ("variable",),
    ),
    "TOP": Known(("function",), {"name": NAME}),
    "UNROLL": Known(("loop",), {"factor": POSITIVE, "skip_exit_check": FLAG, "off": "true"}),
}


@dataclass(frozen=True, eq=False)
class Pragma:
    """One line: `#pragma HLS NAME option=value flag ...`."""

    file: str
    line: int
    name: str  # in capitals
    options: Mapping[str, str]  # a flag has the value ''

    @property
    def variable(self) -> str | None:
        """The variable it is about."""
        return self.options.get("variable", self.options.get("port"))

    def __str__(self) -> str:
        words = [f"{key}={value}" if value else key for key, value in self.options.items()]
        return " ".join(["#pragma HLS", self.name, *words])


LINE = re.compile(r"\s*#\s*pragma\s+HLS\b\s*(\w*)\s*(.*)", re.IGNORECASE)


def read_pragma(file: str, line: int, text: str) -> Pragma | None:
    """The pragma of a line; None for pragmas of others."""
    match = LINE.fullmatch(text)
    if match is None:
        return None
    words = re.sub(r"\s*=\s*", "=", match[2]).split()
    options = {key: value for key, _, value in (word.partition("=") for word in words)}
    return Pragma(file, line, match[1].upper(), options)
