"""Names from models as C++ identifiers. Nothing else of a model's text reaches generated code, but for comments."""

from __future__ import annotations

import re
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
LONGEST = 64

KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t class compl concept const
constexpr const_cast continue co_await co_return co_yield decltype default delete do double dynamic_cast else enum
explicit export extern false float for friend goto if inline int long main mutable namespace new noexcept not not_eq
nullptr operator or or_eq private protected public register reinterpret_cast requires return short signed sizeof static
static_assert static_cast struct switch template this thread_local throw true try typedef typeid typename union unsigned
using virtual void volatile wchar_t while xor xor_eq
"""
GLOBALS = "assert errno environ stdin stdout stderr timezone daylight tzname signgam linux unix irc std"
"""Macros and variables of the C library, and namespaces."""
HELPERS = """
clamp extend_code index channel lut maximum minimum requantize requantize_float saturate stream
int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t
"""
"""What generated code uses without saying where it comes from."""
RESERVED = frozenset(f"{KEYWORDS} {GLOBALS} {HELPERS}".split())


def identifier(text: str, fallback: str = "value") -> str:
    """A lower-case identifier that resembles the text: letters and digits, single underscores, no reserved word."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST].strip("_") or fallback
    if name[0].isdigit():
        name = f"layer_{name}"
    return f"{name}_0" if name in RESERVED else name


def camel(name: str) -> str:
    """`blocks_0_attn` as `Blocks0Attn`."""
    return "".join(part.capitalize() for part in name.split("_"))


class Names:
    """Hands out names that are not taken yet."""

    def __init__(self) -> None:
        self._taken: set[str] = set(RESERVED)

    def fresh(self, wanted: str) -> str:
        """The wanted name, with a number if it is taken. Names that differ in case or underscores alone are equal."""
        name, number = wanted, 2
        while name in self._taken or self._folded(name) in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.update((name, self._folded(name)))
        return name

    @staticmethod
    def _folded(name: str) -> str:
        return camel(name)
