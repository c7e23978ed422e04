"""Every message that a user can see is expected by a test."""

from __future__ import annotations

from pathlib import Path

import pytest
from messages import ROOT, is_expected, messages, sources

UNTESTED = {  # messages no test provokes, and why
    "there was no place for a reproducer": "neither the current nor the temporary folder takes files",
}


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_messages_are_expected_somewhere(path: Path) -> None:
    missing = [f"{m.place}: {m}" for m in messages(path) if not is_expected(m) and m.core not in UNTESTED]
    assert not missing, "no test expects:\n" + "\n".join(missing)


def test_exceptions_are_needed() -> None:
    found = {m.core: m for path in sources() for m in messages(path) if m.core in UNTESTED}
    assert set(found) == set(UNTESTED)
    assert [text for text, message in found.items() if is_expected(message)] == []
