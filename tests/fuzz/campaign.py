"""Damaged files through one loader; a process that ends is followed by one behind the file that ended it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from damage import TRAP
from subjects import SUBJECTS

GUARD = Path(__file__).with_name("guard.py")
SHARE = 5000  # files a process


@dataclass
class Outcome:
    """How many files gave a model, how many a message, and what else happened, by number of the file."""

    loaded: int = 0
    refused: int = 0
    failures: dict[int, str] = field(default_factory=dict[int, str])

    @property
    def total(self) -> int:
        return self.loaded + self.refused + len(self.failures)

    def __str__(self) -> str:
        counts = f"{self.loaded} loaded, {self.refused} refused with a message, {len(self.failures)} failed"
        return f"{self.total} files: {counts}"


def campaign(name: str, count: int, folder: Path, *, seed: int = 0, start: int = 0, share: int = SHARE) -> Outcome:
    """Load `count` damaged files; `folder` is empty, and everything lies in it."""
    seeds, scratch = folder / "seeds", folder / "scratch"
    seeds.mkdir()
    scratch.mkdir()
    SUBJECTS[name].prepare(seeds)
    before = contents(seeds)
    TRAP.mkdir(exist_ok=True)
    outcome, at, stop = Outcome(), start, start + count
    while at < stop:
        at = process(name, seeds, scratch, seed, range(at, min(at + share, stop)), outcome)
    assert contents(seeds) == before
    assert list(TRAP.iterdir()) == []
    assert {path.name for path in scratch.iterdir()} == {"input", "at"}
    return outcome


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def process(name: str, seeds: Path, scratch: Path, seed: int, numbers: range, outcome: Outcome) -> int:
    """Let one process load the files of these numbers; the first number that it did not come to."""
    places = [name, str(seeds), str(scratch), str(seed), str(numbers.start), str(numbers.stop)]
    done = subprocess.run([sys.executable, str(GUARD), *places], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        facts = json.loads(line)
        outcome.failures[facts["number"]] = facts["why"]
    at, loaded, refused = map(int, (scratch / "at").read_text().split())
    outcome.loaded += loaded
    outcome.refused += refused
    if at == numbers.stop:
        return at
    outcome.failures[at] = f"the process ended with {done.returncode}: {done.stderr.strip()[-600:]}"
    return at + 1
