"""Bars appear late, on a terminal, and never elsewhere."""

from __future__ import annotations

import pytest
from rich.console import Console

from irc.cli import progress
from irc.cli.options import feedback
from irc.passes.base import no_progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(stderr=stderr, force_terminal=True, width=80))


def test_short_work_shows_nothing(terminal, capsys):
    with progress.bars("work", 3) as tick:
        for _ in range(3):
            tick()
    assert capsys.readouterr().err == ""


def test_long_work_shows_a_bar_on_stderr(terminal, capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    with progress.bars("calibrate", 3) as tick:
        for _ in range(3):
            tick()
    shown = capsys.readouterr()
    assert "calibrate" in shown.err
    assert "3/3" in shown.err
    assert shown.out == ""


def test_no_bars_without_a_terminal():
    assert feedback(verbose=False, quiet=False).progress is no_progress
