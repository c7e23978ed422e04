"""Random modules: text reads back, execution keeps the word of `infer`, and every op takes part."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from graphs import random_inputs, random_module
from hypothesis import given, settings
from hypothesis import strategies as st

from irc.ir.clone import clone
from irc.ir.diagnostics import IrcError
from irc.ir.equal import difference
from irc.ir.files import data_of
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.parser import parse
from irc.ir.registry import all_ops
from irc.ir.verify import verify

T = TypeVar("T")
modules = st.builds(random_module, st.builds(random.Random, st.integers(0, 2**32)), st.integers(0, 16))


# What random codes, indices and sizes may run into.
UNLUCKY = ["does not fit", "do not fit", "is no range of", "of a dimension of size", "positive divisor", "zero-size"]
UNLUCKY += ["empty", "window shape cannot be larger"]


def attempted(work: Callable[[], T]) -> tuple[T | None, list[str]]:
    """The result, or the messages of an IrcError."""
    try:
        return work(), []
    except IrcError as error:
        return None, [d.message for d in error.diagnostics]


def reread(module: Module, text: str) -> Module:
    return parse(text, weights={digest: data.array for digest, data in data_of(module).items()})


@given(modules)
@settings(max_examples=150)
def test_text_reads_back(module: Module) -> None:
    text = str(module)
    again = reread(module, text)
    assert difference(module, again) == ""
    assert str(again) == text


@given(modules)
@settings(max_examples=60)
def test_text_without_weights_prints_the_same(module: Module) -> None:
    """Scales that are absent cannot be multiplied, so a text may need its weights; if not, nothing is lost."""
    again, problems = attempted(lambda: parse(str(module)))
    assert all("not loaded" in problem for problem in problems)
    if again is not None:
        assert str(again) == str(module)
        assert difference(module, again) == ""


@given(modules, st.integers(0, 2**32))
@settings(max_examples=150)
def test_references_keep_the_word_of_infer(module: Module, seed: int) -> None:
    """The interpreter checks the type and shape of each result. Random values may leave 32 bits or a dimension."""
    results, problems = attempted(lambda: interpret(module, random_inputs(module, random.Random(seed))))
    assert all(any(word in problem for word in UNLUCKY) for problem in problems), problems
    for value, array in zip(module.main.outputs, results or [], strict=results is not None):
        kind = value.type.scalar
        assert array.dtype == kind.dtype
        if kind.is_integer and array.size:
            assert kind.min <= int(array.min()) <= int(array.max()) <= kind.max


@given(modules)
@settings(max_examples=60)
def test_work_is_a_number(module: Module) -> None:
    for node in module.walk():
        work = node.work()
        assert work.macs >= 0
        assert work.steps >= 0


def test_every_op_takes_part() -> None:
    missing = set(all_ops())
    for seed in range(300):
        missing -= {node.opname for node in random_module(random.Random(seed), 20).walk()}
        if not missing:
            break
    assert not missing


def test_the_same_seed_gives_the_same_module() -> None:
    first, second = (random_module(random.Random(3), 15) for _ in range(2))
    assert str(first) == str(second)


def test_ops_can_be_chosen() -> None:
    module = random_module(random.Random(1), 30, ops=["relu", "linear", "add"], strange=False)
    assert {n.opname for n in module.walk()} <= {"relu", "linear", "add", "const", "return"}
    assert not any(n.loc for n in module.walk())
    verify(module)
    results = interpret(module, random_inputs(module, random.Random(2)))
    assert all(isinstance(r, np.ndarray) for r in results)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3000))
def test_many_modules_read_back(seed: int) -> None:
    module = random_module(random.Random(seed), seed % 40)
    assert difference(module, reread(module, str(module))) == ""


@given(modules)
def test_a_clone_is_equal_and_its_own(module: Module):
    text = str(module)
    twin = clone(module)
    verify(twin)
    assert str(twin) == text
    assert difference(module, twin) == ""
    for function in twin.functions.values():
        for node in reversed(list(function.nodes)):
            node.erase()
    assert str(module) == text
