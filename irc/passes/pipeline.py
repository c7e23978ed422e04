"""Pipelines: text to passes, and running them with a verifier after each.

    prune{kind=block:4x16 sparsity=0.7},quant4,fuse

Commas separate passes and items of a list, spaces separate options. A preset stands for the pipeline of its name; an
option given to a preset goes to every pass of it that has such an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from irc.ir.diagnostics import (
    Diagnostic,
    InternalError,
    IrcError,
    MismatchError,
    Span,
    UsageError,
    did_you_mean,
    nearest,
)
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.scalars import Array
from irc.ir.verify import verify
from irc.passes.base import Pass, PassContext, build, option_text, options_of
from irc.tables import PASSES, PRESETS

ROUNDING = 1e-4  # of the largest output: what a pass may change that calls itself exact, since floats round
_TOKEN = re.compile(r'\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<word>[^\s,{}="]+)|(?P<punct>[,{}=]))')


@dataclass(frozen=True)
class Stage:
    """A pass, and the text it came from (the name of a preset or its own)."""

    run: Pass
    source: str


def parse_pipeline(text: str) -> list[Stage]:
    """The passes of a pipeline text, presets expanded. Raises UsageError with the place of a mistake."""
    return _Parser(text).stages()


def pipeline_text(stages: Sequence[Stage]) -> str:
    """The canonical text of a pipeline, presets expanded; parses back to the same passes."""
    return ",".join(str(stage.run) for stage in stages)


def with_words(text: str, name: str, option: str, words: Sequence[str]) -> str:
    """A pipeline text that gives a pass, or the preset that runs it, more words for an option.

    Raises UsageError if the text does not run the pass.
    """
    parser = _Parser(text)
    while True:
        start = parser.position
        named, options = parser.named()
        if any(stage.run.name == name for stage in expand(named, options)):
            options[option] = [*options.get(option, []), *words]
            given = " ".join(f"{key}={','.join(map(option_text, values))}" for key, values in options.items())
            return f"{text[:start]}{named}{{{given}}}{text[parser.position :]}"
        if parser.peek() != ",":
            raise UsageError(f"the pipeline does not run '{name}'", hint="quant8 and its relatives do")
        parser.take()


def parse_named(text: str, source: str) -> tuple[str, dict[str, list[str]]]:
    """`name{option=value}` as the name and its options as words. Raises UsageError with the place in `source`."""
    parser = _Parser(text, source)
    named = parser.named()
    parser.end()
    return named


class _Parser:
    def __init__(self, text: str, source: str = "--passes") -> None:
        self.text = text
        self.source = source
        self.position = 0

    def fail(self, message: str, start: int, hint: str = "") -> NoReturn:
        if not self.text:
            raise UsageError(Diagnostic(message, place=self.source, hint=hint))
        span = Span(self.source, self.text, start, max(self.position, start + 1))
        raise UsageError(Diagnostic(message, span=span, hint=hint))

    def peek(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        return match[0].strip() if match else ""

    def take(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            if self.text[self.position :].strip():
                self.fail("unterminated string", self.position)
            return ""
        self.position = match.end()
        return match[0].strip()

    def stages(self) -> list[Stage]:
        out: list[Stage] = []
        while True:
            out += self.item()
            if self.peek() != ",":
                break
            self.take()
        self.end("',' between passes")
        return out

    def end(self, wanted: str = "the end") -> None:
        if rest := self.peek():
            self.fail(f"expected {wanted}, found '{rest}'", self.position)

    def named(self) -> tuple[str, dict[str, list[str]]]:
        start = self.position
        name = self.take()
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name):
            self.fail(f"expected a name, found '{name}'" if name else "expected a name", start)
        return name, self.options() if self.peek() == "{" else {}

    def item(self) -> list[Stage]:
        start = self.position
        name, options = self.named()
        try:
            return expand(name, options)
        except UsageError as error:
            self.fail(error.diagnostics[0].message, start, error.diagnostics[0].hint)

    def options(self) -> dict[str, list[str]]:
        self.take()
        out: dict[str, list[str]] = {}
        while self.peek() != "}":
            start = self.position
            key = self.take()
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
                self.fail(f"expected an option or '}}', found '{key}'" if key else "'}' is missing", start)
            if key in out:
                self.fail(f"option '{key}' is given twice", start)
            if self.take() != "=":
                self.fail(f"expected '=' after option '{key}'", start)
            out[key] = [self.value(start)]
            while self.peek() == ",":
                self.take()
                out[key].append(self.value(start))
        self.take()
        return out

    def value(self, start: int) -> str:
        if self.peek() in ("", ",", "{", "}", "="):
            self.fail("a value is missing", start)
        word = self.take()
        return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def expand(name: str, options: dict[str, list[str]]) -> list[Stage]:
    """The stages a name stands for. Raises UsageError for an unknown name or option."""
    if name in PRESETS.names():
        inner = parse_pipeline(PRESETS.get(name))
        taken = {stage.run.name: [o.name for o in options_of(type(stage.run))] for stage in inner}
        names = {key for keys in taken.values() for key in keys}
        unknown = [key for key in options if key not in names]
        if unknown:
            message = f"no pass of the preset {name} has an option '{unknown[0]}'"
            # What is meant may be spelt otherwise: bits are those of weights, of activations, ...
            all_ = ", ".join(f"{of}{{{' '.join(keys)}}}" for of, keys in taken.items() if keys)
            raise UsageError(message, hint=f"{nearest(unknown[0], names)} its options are those of {all_}".strip())
        return [Stage(_with_options(stage.run, options), name) for stage in inner]
    if name not in PASSES.names():
        known = [*PASSES.names(), *PRESETS.names()]
        raise UsageError(f"unknown pass '{name}'", hint=did_you_mean(name, known) or "irc passes lists them all")
    return [Stage(build(PASSES.get(name), options), name)]


def _with_options(base: Pass, options: dict[str, list[str]]) -> Pass:
    known = options_of(type(base))
    mine = {key: words for key, words in options.items() if key in {o.name for o in known}}
    if not mine:
        return base
    changed = build(type(base), mine)
    values: dict[str, Any] = {o.name: getattr(changed if o.name in mine else base, o.name) for o in known}
    return type(base)(**values)


After = Callable[[Stage, Module, bool], None]


def run_pipeline(
    pipeline: str | Sequence[Stage],
    module: Module,
    cx: PassContext,
    *,
    after: After | None = None,
    compare: Sequence[Array] | None = None,
) -> Module:
    """Run the passes on the module in place, verifying after each.

    `after(stage, module, changed)` is called behind every pass. With `compare`, inputs on which the interpreter runs
    before and after each pass that calls itself exact: a difference beyond ROUNDING of the largest output raises
    MismatchError. Errors name the pass that was running; IR that is invalid behind a pass is an InternalError.
    """
    stages = parse_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
    before = interpret(module, compare) if compare is not None else None
    for stage in stages:
        mutations = module.mutations
        try:
            stage.run.run(module, cx)
        except IrcError as error:
            raise noted(error, f"while running the pass {stage.run}") from error
        try:
            verify(module)
        except IrcError as error:
            raise noted(InternalError(error.diagnostics), f"the pass {stage.run} left the IR like this") from error
        if before is not None and compare is not None:
            now = interpret(module, compare)
            if stage.run.effect == "exact":
                _check_same(stage, before, now)
            before = now
        if after:
            after(stage, module, module.mutations != mutations)
    return module


def _check_same(stage: Stage, before: list[Array], now: list[Array]) -> None:
    for index, (a, b) in enumerate(zip(before, now, strict=True)):
        scale = float(np.max(np.abs(a), initial=0)) or 1.0
        worst = float(np.max(np.abs(a.astype(np.float64) - b), initial=0))
        if not worst <= ROUNDING * scale:
            raise MismatchError(
                f"the pass {stage.run} calls itself exact but changed output {index} by {worst:.3g} of {scale:.3g}"
            )


def noted(error: IrcError, note: str) -> IrcError:
    """The same error with a note on its last diagnostic."""
    *first, last = error.diagnostics
    last = Diagnostic(last.message, last.loc, last.span, last.place, (*last.notes, note), last.hint)
    return type(error)([*first, last])
