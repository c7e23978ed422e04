"""Rules as a whole: each says what becomes what, has one name, is reachable behind those in front of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from irc.ir import rewrite
from irc.ir.op import Op
from irc.ir.parser import parse
from irc.ir.rewrite import Explain, Rule
from irc.passes import canonicalize, decompose, fold
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline
from irc.passes.rules.constants import FoldConstants

FILES = sorted((Path(__file__).parents[1] / "filetests" / "passes").glob("*.irc"))
LISTS: dict[str, tuple[Rule, ...]] = {
    "canonicalize": canonicalize.RULES,
    "fold": (*fold.RULES, FoldConstants(0)),
    "decompose": tuple(decompose.RULES.values()),
}


@pytest.mark.parametrize("name", LISTS)
def test_docstrings_say_what_becomes_what(name: str) -> None:
    for rule in LISTS[name]:
        assert "->" in (rule.__doc__ or "").partition("\n")[0], rule.name


@pytest.mark.parametrize("name", LISTS)
def test_names_are_unique(name: str) -> None:
    names = [rule.name for rule in LISTS[name]]
    assert len(set(names)) == len(names)


def test_every_rule_fires_in_a_file_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """So each has a before and after, and none is hidden by a rule in front of it."""
    fired: set[str] = set()
    original = rewrite.try_rule

    def watched(rule: Rule, node: Op, pass_name: str = "", explain: Explain | None = None) -> bool:
        applied = original(rule, node, pass_name, explain)
        if applied:
            fired.add(rule.name)
        return applied

    monkeypatch.setattr(rewrite, "try_rule", watched)
    for path in FILES:
        text = path.read_text()
        pipeline = re.findall(r"^// RUN: opt --passes (\S+)$", text, re.MULTILINE)
        if "\n// ----" not in text:  # those hold one example of a whole pass, not rules
            run_pipeline(pipeline[0], parse(text), PassContext())
    assert {rule.name for rules in LISTS.values() for rule in rules} - fired == set()
