"""The registry of converters: ATen overload -> function of a `Context` and the op's arguments in schema order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from irc.frontend.context import Converter

CONVERTERS: dict[str, Converter] = {}
F = TypeVar("F", bound=Converter)


def converts(*targets: str) -> Callable[[F], F]:
    """Registers a function for overloads such as `linear.default` (of namespace aten)."""

    def register(function: F) -> F:
        for target in targets:
            name = f"aten.{target}"
            if name in CONVERTERS:
                raise ValueError(f"{name} has two converters")
            CONVERTERS[name] = function
        return function

    return register
