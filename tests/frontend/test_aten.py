"""Every entry of the ATen table against PyTorch."""

from __future__ import annotations

import pytest
from aten_cases import CASES, Case
from torch_support import check

from irc.frontend import importer
from irc.frontend.aten import CONVERTERS


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.targets.split()[0])
def test_entry(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    met: set[str] = set()
    find = importer.converter

    def recorded(target: str) -> object:
        met.add(target)
        return find(target)

    monkeypatch.setattr(importer, "converter", recorded)
    check(case.module, *case.inputs)
    assert set(case.names) <= met


REFUSED = {  # entries whose only answer is an explanation, tested in test_importer.py
    "aten.native_dropout.default",
    "aten.bernoulli.p",
    "aten._native_batch_norm_legit_functional.default",
    "aten._native_batch_norm_legit.no_stats",
}


def test_every_entry_has_a_case() -> None:
    assert {name for case in CASES for name in case.names} == set(CONVERTERS) - REFUSED
