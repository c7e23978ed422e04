"""What the pages of `docs/` with commands show is what these print; `pytest --bless` writes it anew."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from messages import ROOT

PAGES = [
    pytest.param("tour.md", marks=pytest.mark.tool("g++")),
    pytest.param("debugging.md", marks=pytest.mark.slow),
]
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


@pytest.mark.parametrize("name", PAGES)
def test_a_page_prints_what_it_shows(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    page = ROOT / "docs" / name
    text = page.read_text(encoding="utf-8")
    for file, content in FILE.findall(text):
        (tmp_path / file).write_text(content, encoding="utf-8")

    def run(block: re.Match[str]) -> str:
        commands = re.findall(r"^\$ (.*)$", block[1], re.MULTILINE)
        return "```console\n" + "".join(f"$ {c}\n{printed(c, tmp_path)}" for c in commands) + "```"

    found = CONSOLE.sub(run, text)
    if request.config.getoption("bless"):
        page.write_text(found, encoding="utf-8")
    assert found == page.read_text(encoding="utf-8"), "pytest -m '' --bless tests/complete"
