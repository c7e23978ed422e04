"""The registry of converters: (domain, operator) -> function of a `Context`, inputs by position, attributes by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from irc.frontend.nested import is_list
from irc.frontend.onnx.context import Converter
from irc.frontend.onnx.proto import Reference, Unreadable

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

    def admits(self, attribute: str, value: Any) -> bool:
        """Whether an attribute of the file is what the converter says that it takes."""
        return _admits(_hints(self.convert).get(attribute, Any), value)

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


@cache
def _hints(function: Converter) -> dict[str, Any]:
    return get_type_hints(function)


def _admits(hint: Any, value: Any) -> bool:
    origin = get_origin(hint)
    if hint is Any:
        return not isinstance(value, Reference | Unreadable)
    if origin in (Union, UnionType):
        return any(_admits(option, value) for option in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Sequence, tuple):
        return is_list(value) and all(_admits(get_args(hint)[0], item) for item in value)
    return isinstance(value, int | float if hint is float else hint)


def converts(*operators: str, domain: str = "") -> Callable[[F], F]:
    """Registers a function for operators of a domain."""

    def register(function: F) -> F:
        for operator in operators:
            if (domain, operator) in CONVERTERS:
                raise ValueError(f"{domain}.{operator} has two converters")
            CONVERTERS[domain, operator] = Conversion.of(function)
        return function

    return register
