"""What `docs/tour.md` shows is what its commands print; `pytest --bless` writes it anew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from messages import ROOT

TOUR = ROOT / "docs" / "tour.md"
FILE = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


def printed(command: str, folder: Path) -> str:
    """What a shell command prints, `irc` and `python` being those of this test."""
    start = f'irc() {{ "{sys.executable}" -m irc "$@"; }}; python() {{ "{sys.executable}" "$@"; }}; '
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C", "COLUMNS": "200"}
    words = ["bash", "-c", start + command]
    done = subprocess.run(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout


@pytest.mark.tool("g++")
def test_the_tour_prints_what_it_shows(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = TOUR.read_text(encoding="utf-8")
    for name, content in FILE.findall(text):
        (tmp_path / name).write_text(content, encoding="utf-8")

    def run(block: re.Match[str]) -> str:
        commands = re.findall(r"^\$ (.*)$", block[1], re.MULTILINE)
        return "```console\n" + "".join(f"$ {c}\n{printed(c, tmp_path)}" for c in commands) + "```"

    found = CONSOLE.sub(run, text)
    if request.config.getoption("bless"):
        TOUR.write_text(found, encoding="utf-8")
    assert found == TOUR.read_text(encoding="utf-8"), "pytest --bless tests/complete"
