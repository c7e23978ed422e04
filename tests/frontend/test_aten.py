"""Every entry of the ATen table against PyTorch: several cases in one program, and, slow, each by itself.

Torch decomposes the programs of `CASES`, whether they need it or not, and those of `EXPORTED` not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from aten_cases import CASES, EXPORTED, Case
from torch import nn
from torch_support import check

from irc.frontend import capture, importer
from irc.frontend.aten import CONVERTERS

AT_ONCE = 14
"""Cases of one program: torch takes half a second for a program, however small."""
GROUPS = [CASES[i : i + AT_ONCE] for i in range(0, len(CASES), AT_ONCE)]


class Together(nn.Module):
    """The functions of several cases, one after the other, each of its own inputs."""

    def __init__(self, cases: Sequence[Case]) -> None:
        super().__init__()
        self.parts = nn.ModuleList([case.module for case in cases])
        self.counts = [len(case.inputs) for case in cases]

    def forward(self, *args: Any) -> Any:
        given = iter(args)
        return tuple(
            part(*[next(given) for _ in range(count)]) for part, count in zip(self.parts, self.counts, strict=True)
        )


def entries_met(monkeypatch: pytest.MonkeyPatch, module: nn.Module, inputs: Sequence[Any]) -> set[str]:
    """The entries that a module goes through, whose results are PyTorch's."""
    met: set[str] = set()
    find = importer.converter

    def recorded(target: str) -> object:
        met.add(target)
        return find(target)

    monkeypatch.setattr(importer, "converter", recorded)
    check(module, *inputs)
    return met


def always_decomposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "is_decomposed", lambda program, keep: False)


def meets_its_entries(monkeypatch: pytest.MonkeyPatch, cases: Sequence[Case]) -> None:
    met = entries_met(monkeypatch, Together(cases), [x for case in cases for x in case.inputs])
    assert {name for case in cases for name in case.names} <= met


@pytest.mark.parametrize("cases", GROUPS, ids=lambda cases: cases[0].targets.split()[0])
def test_entries(cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    always_decomposed(monkeypatch)
    meets_its_entries(monkeypatch, cases)


def test_entries_of_programs_as_they_are_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    meets_its_entries(monkeypatch, EXPORTED)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.targets.split()[0])
def test_entry(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    always_decomposed(monkeypatch)
    assert set(case.names) <= entries_met(monkeypatch, case.module, case.inputs)


REFUSED = {  # entries whose only answer is an explanation, tested in test_importer.py
    "aten.native_dropout.default",
    "aten.bernoulli.p",
    "aten._native_batch_norm_legit_functional.default",
    "aten._native_batch_norm_legit.no_stats",
}


def test_every_entry_has_a_case() -> None:
    assert {name for case in [*CASES, *EXPORTED] for name in case.names} == set(CONVERTERS) - REFUSED
