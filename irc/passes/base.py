"""What a pass is: a small frozen dataclass whose fields are its options, and what it is handed.

    @dataclass(frozen=True)
    class DropSmall(Pass):
        \"\"\"Set weights below a threshold to 0.\"\"\"      # first line = help
        name = "drop-small"
        effect = "lossy"
        below: float = 0.01                             # drop-small{below=0.02}

        def run(self, module: Module, cx: PassContext) -> None: ...

A pass edits the module in place. Whether it changed anything is read from the mutation counter.
"""

from __future__ import annotations

import dataclasses
import re
import types as pytypes
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin

from irc.ir.diagnostics import UsageError, did_you_mean
from irc.ir.graph import Module
from irc.ir.rewrite import NearMiss
from irc.ir.scalars import Array

Samples = Mapping[str, Array]  # input name -> array with a leading sample axis
Progress = Callable[
    [str, int], AbstractContextManager[Callable[[], None]]
]  # (what, steps) -> context that gives a tick function


def no_progress(what: str, steps: int) -> AbstractContextManager[Callable[[], None]]:
    """Progress that nobody watches."""
    return nullcontext(lambda: None)


@dataclass
class PassContext:
    """What the driver hands to every pass. Passes see data and callables, never torch or a backend.

    `samples` are calibration inputs by name (leading sample axis), None if the user gave none. `requant` and `islands`
    are what the backend prefers for `integerize` where the user said `auto`. `warn` reports something the user should
    know. With `types_only` nobody looks at values: ranges and roundings need not be good, only quick.
    """

    samples: Samples | None = None
    seed: int = 0
    requant: Literal["fixed", "float"] = "fixed"
    islands: tuple[str, ...] = ()
    progress: Progress = no_progress
    warn: Callable[[str], None] = print
    explain: Callable[[NearMiss], None] | None = None
    notes: list[str] = field(default_factory=list[str])  # decisions, for the provenance
    types_only: bool = False


class Configured(Protocol):
    """A frozen dataclass whose fields are options, written `name{field=value}`: a pass, the options of a backend."""

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


ConfiguredT = TypeVar("ConfiguredT", bound=Configured)


def configured_text(value: Configured) -> str:
    """`name{option=value ...}`; options at their defaults are left out."""
    shown = [
        f"{f.name}={option_text(getattr(value, f.name))}"
        for f in dataclasses.fields(value)
        if getattr(value, f.name) != f.default
    ]
    return f"{value.name}{{{' '.join(shown)}}}" if shown else value.name


@dataclass(frozen=True)
class Pass:
    """Base of all passes; see the module docstring."""

    name: ClassVar[str] = ""
    effect: ClassVar[Literal["exact", "lossy"]] = "exact"

    def run(self, module: Module, cx: PassContext) -> None:
        """Edit the module. Raises IrcError with the layer's location where it cannot."""
        raise NotImplementedError(f"{self.name}.run")

    def resolved(self, cx: PassContext) -> Pass:
        """This pass with everything decided that its options leave open; what provenance prints and reproducers run."""
        return self

    def __str__(self) -> str:
        """The pass as pipeline text; options at their defaults are left out."""
        return configured_text(self)


@dataclass(frozen=True)
class Option:
    """One option: its name, the kind of its values, its default."""

    name: str
    annotation: Any
    default: Any

    @property
    def kind(self) -> str:
        """`int`, `a|b|c`, `list of text`, ... as help shows it."""
        return _kind_text(self.annotation)


def options_of(cls: type[Configured]) -> list[Option]:
    """The options of a pass class or of a backend, in order."""
    hints = typing.get_type_hints(cls)
    return [Option(f.name, hints[f.name], f.default) for f in dataclasses.fields(cls)]


def help_of(cls: type[Any]) -> str:
    """The first line of the docstring."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


def option_text(value: Any) -> str:
    """A value as pipeline text. Reads back as the same value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(option_text(v) for v in typing.cast("tuple[Any, ...]", value))
    text = repr(value) if isinstance(value, float) else str(value)
    return text if re.fullmatch(r"[^\s,{}\"=]+", text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_option(cls: type[Configured], option: Option, words: Sequence[str]) -> Any:
    """The value of an option from its comma-separated words. Raises UsageError that says what is expected."""
    value = _read(option.annotation, words)
    if value is _BAD:
        raise UsageError(f"{cls.name}: option '{option.name}' is '{','.join(words)}', expected {option.kind}")
    return value


def build(cls: type[ConfiguredT], given: Mapping[str, Sequence[str]]) -> ConfiguredT:
    """A pass (or the options of a backend) from text. Raises UsageError for an unknown option or a wrong value."""
    options = {o.name: o for o in options_of(cls)}
    values: dict[str, Any] = {}
    for key, words in given.items():
        if key not in options:
            known = ", ".join(options) or "none"
            hint = did_you_mean(key, options) or f"options of {cls.name}: {known}"
            raise UsageError(f"{cls.name} has no option '{key}'", hint=hint)
        values[key] = read_option(cls, options[key], words)
    missing = [o.name for o in options.values() if o.default is dataclasses.MISSING and o.name not in values]
    if missing:
        raise UsageError(f"{cls.name} needs the option {', '.join(missing)}")
    return cls(**values)


_BAD: Any = object()


def _kind_text(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return "|".join(map(str, get_args(annotation)))
    if origin in (Union, pytypes.UnionType):
        return "|".join(_kind_text(a) for a in get_args(annotation))
    if origin is tuple:
        return f"list of {_kind_text(get_args(annotation)[0])}"
    if annotation is bool:
        return "true|false"
    return {int: "int", float: "number", str: "text", type(None): "none"}[annotation]


def _read(annotation: Any, words: Sequence[str]) -> Any:
    origin = get_origin(annotation)
    if origin is tuple:
        item = get_args(annotation)[0]
        values = [_read(item, [word]) for word in words if word]
        return _BAD if any(v is _BAD for v in values) else tuple(values)
    if origin in (Union, pytypes.UnionType):
        return next((v for a in get_args(annotation) if (v := _read(a, words)) is not _BAD), _BAD)
    if len(words) != 1:
        return _BAD
    (word,) = words
    if origin is Literal:
        return next((choice for choice in get_args(annotation) if str(choice) == word), _BAD)
    if annotation is type(None):
        return None if word == "none" else _BAD
    if annotation is bool:
        return {"true": True, "false": False}.get(word, _BAD)
    try:
        return annotation(word)
    except ValueError:
        return _BAD
