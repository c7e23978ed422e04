"""Short forms for tests: a message that must be raised, a module of one text."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from irc.ir.diagnostics import IrcError


@contextmanager
def fails(message: str, *, hint: str = "") -> Generator[None]:
    """The block raises an IrcError whose only diagnostic has exactly this message and hint."""
    with pytest.raises(IrcError) as raised:
        yield
    (found,) = raised.value.diagnostics
    assert (found.message, found.hint) == (message, hint)
