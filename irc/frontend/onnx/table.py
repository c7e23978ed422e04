"""The registry of converters: (domain, operator) -> function of a `Context`, inputs by position, attributes by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from irc.frontend.onnx.context import Converter

CONVERTERS: dict[tuple[str, str], Conversion] = {}
F = TypeVar("F", bound=Converter)


@dataclass(frozen=True)
class Conversion:
    """A converter and what it takes: `most` inputs (None: any number), and attributes by name."""

    convert: Converter
    least: int
    most: int | None
    attributes: frozenset[str]
    required: frozenset[str]

    @staticmethod
    def of(function: Converter) -> Conversion:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        places = [p for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]
        variadic = any(p.kind == p.VAR_POSITIONAL for p in parameters)
        named = [p for p in parameters if p.kind == p.KEYWORD_ONLY]
        names = frozenset(p.name for p in named)
        required = frozenset(p.name for p in named if p.default is p.empty)
        least = sum(p.default is p.empty for p in places)
        return Conversion(function, least, None if variadic else len(places), names, required)


def converts(*operators: str, domain: str = "") -> Callable[[F], F]:
    """Registers a function for operators of a domain."""

    def register(function: F) -> F:
        for operator in operators:
            if (domain, operator) in CONVERTERS:
                raise ValueError(f"{domain}.{operator} has two converters")
            CONVERTERS[domain, operator] = Conversion.of(function)
        return function

    return register
