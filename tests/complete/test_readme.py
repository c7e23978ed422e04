"""The README: its pass and its Python run as they stand there, links lead somewhere. `.ci/run` runs its commands."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from messages import ROOT

from irc.cli import main

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("examples/*.md"), *ROOT.glob("docs/**/*.md")]


class Mean(torch.nn.Module):
    """A module whose input is called x, as in the README."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.fc(x.mean((1, 2))))


def python_block(first: str) -> str:
    """The Python block of the README that contains a text."""
    (found,) = (b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if first in b)
    return found


def test_the_pass_is_the_one_of_the_examples() -> None:
    source = (ROOT / "examples" / "my_pass.py").read_text(encoding="utf-8")
    assert source.partition('"""\n\n')[2] == python_block("class DropSmall")


def test_the_pass_has_15_lines() -> None:
    body = python_block("class DropSmall").partition("@dataclass(frozen=True)\n")[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 15


@pytest.mark.usefixtures("fresh_tables")
def test_the_command_of_the_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = re.findall(r"^    irc (compile .*--load .*)$", README, re.MULTILINE)
    (tmp_path / "examples").mkdir()
    for path in (ROOT / "examples").iterdir():
        (tmp_path / "examples" / path.name).symlink_to(path)
    (tmp_path / "examples" / "my_pass.py").unlink()
    (tmp_path / "examples" / "my_pass.py").write_text(python_block("class DropSmall"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, shlex.split(command))
    assert done.exit_code == 0, done.stderr
    (artifact,) = tmp_path.glob("*.hls")
    assert '"pipeline": "drop-small{below=0.02},' in (artifact / "manifest.json").read_text()


@pytest.mark.tool("g++")
@pytest.mark.usefixtures("unoptimized")
def test_from_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    images = np.load("examples/digits_calib.npz")["x"][:16]
    names = {"images": images, "torch_module": Mean(), "example_inputs": (torch.from_numpy(images[:1]),)}
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(python_block("irc.compile("), names)
    assert names["logits"].shape == (16, 10)
    assert "kernel" in printed.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def test_paths_in_the_contributing_page_exist() -> None:
    """`irc/tables.py`, `fpga_hls/lower/`, ...: each code span that looks like a path is one."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    spans = [s for s in re.findall(r"`([\w./]+/[\w./]*)`", text) if "<" not in s]
    roots = (ROOT, ROOT / "irc", ROOT / "irc" / "backends")
    assert [s for s in spans if not any((root / s).exists() for root in roots)] == []
