"""Every op runs on every backend, or there is a written reason; every op and pass has file tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from irc.passes.decompose import RULES
from irc.passes.pipeline import parse_pipeline
from irc.tables import BACKENDS, LOWERINGS, OPS, PASSES, PRESETS

FILETESTS = Path(__file__).parents[1] / "filetests"


def text_of(*commands: str) -> str:
    """All file tests that run one of the commands, without comments."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(FILETESTS.rglob("*.irc"))]
    wanted = rf"^// RUN: (?:{'|'.join(commands)})\b"
    return re.sub(r"//.*", "", "\n".join(text for text in texts if re.search(wanted, text, re.MULTILINE)))


def ops_in(text: str) -> set[str]:
    """The ops that the nodes of a text have."""
    return set(re.findall(r"^\s*(?:%[^=]*= )?([a-z_0-9]+)\b(?! *=)", text, re.MULTILINE))


def pipelines() -> list[str]:
    """The pipelines of the file tests in `passes`."""
    texts = (path.read_text(encoding="utf-8") for path in sorted((FILETESTS / "passes").glob("*.irc")))
    return [found for text in texts for found in re.findall(r"^// RUN: opt --passes '?([^'\n]+)", text, re.MULTILINE)]


@pytest.mark.parametrize("backend", [*BACKENDS.names()])
def test_each_op_is_lowered_or_there_is_a_reason(backend: str) -> None:
    found = BACKENDS.get(backend)
    silent = [name for name in OPS.names() if not found.coverage(OPS.get(name)) and name not in RULES]
    assert not silent, f"{backend} has neither a lowering nor a reason for: {', '.join(silent)}"


@pytest.mark.parametrize("backend", [*BACKENDS.names()])
def test_reasons_are_about_ops_that_have_no_lowering(backend: str) -> None:
    found = BACKENDS.get(backend)
    assert [name for name in found.reasons if name not in OPS.names()] == []
    assert [name for name in found.reasons if found.lowering(OPS.get(name)) is not None] == []


@pytest.mark.parametrize("backend", [*BACKENDS.names()])
def test_reasons_name_real_passes(backend: str) -> None:
    """`fold makes it ...`: a reason that starts with a word like a pass means that pass."""
    known = {*PASSES.names(), *PRESETS.names()}
    for op, reason in BACKENDS.get(backend).reasons.items():
        for text in re.findall(r"[a-z-]+\{[^}]*\}", reason):
            assert parse_pipeline(text), op
        actor = re.match(r"([a-z-]+) (?:makes|merges|splits|turns|removes|puts)\b", reason)
        assert actor is None or actor[1] in known, f"{op}: {reason}"


def test_lowerings_of_plugins_are_about_backends_and_ops() -> None:
    for key in LOWERINGS.names():
        backend, _, op = key.partition("/")
        assert backend in BACKENDS.names()
        assert op in OPS.names()


@pytest.mark.parametrize("commands", [("parse", "verify"), ("run",)], ids=" or ".join)
def test_each_op_has_a_file_test(commands: tuple[str, ...]) -> None:
    missing = set(OPS.names()) - ops_in(text_of(*commands))
    assert not missing, f"no file test says `RUN: {' or '.join(commands)}` for: {', '.join(sorted(missing))}"


def test_each_pass_has_a_before_and_after() -> None:
    run = {stage.run.name for text in pipelines() for stage in parse_pipeline(text)}
    missing = set(PASSES.names()) - run
    assert not missing, f"in no pipeline of tests/filetests/passes: {', '.join(sorted(missing))}"
