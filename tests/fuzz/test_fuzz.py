"""Damaged files through every loader: no crash, no hang, no memory, no file but the loader's own, no code that runs.

The whole, 100,000 files a loader: `pytest -m slow tests/fuzz`, or `python tests/fuzz LOADER`, which also makes one file
again.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from campaign import GUARD, Outcome, campaign, process
from damage import TRAP
from guard import Watch
from subjects import SUBJECTS

QUICK = {"text": 60, "onnx": 25, "pt2": 12, "artifact": 12}


@pytest.mark.parametrize("name", SUBJECTS)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    outcome = campaign(name, QUICK[name], tmp_path)
    assert outcome.failures == {}
    assert outcome.loaded + outcome.refused == QUICK[name]
    assert min(outcome.loaded, outcome.refused) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBJECTS)
def test_100000_damaged_files(name: str, tmp_path: Path) -> None:
    outcome = campaign(name, 100_000, tmp_path, seed=1)
    assert outcome.failures == {}


# -- the guard sees what it is there for

MISDEEDS = {
    f"open({str(TRAP / 'x')!r}, 'w')": "open to write",
    "open('/etc/hostname')": "open to read '/etc/hostname'",
    "os.remove('/tmp/irc-no-such-file')": "os.remove",
    "__import__('subprocess').Popen('true')": "subprocess.Popen",
    "os.system('true')": "os.system",
    "int('x')": "ValueError: invalid literal",
    "exec('while True: pass')": "Hang: more than",
    "b'x' * (2**30 + 2**28)": "MB of memory",
    "None": "",
    "os._exit(7)": "the process ended with 7",
}
"""What a loader could do that it must not, and what is said of it."""


def test_the_guard_sees_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, seeds, scratch = tmp_path / "bad.py", tmp_path / "seeds", tmp_path / "scratch"
    seeds.mkdir()
    scratch.mkdir()
    bad.write_text(f"""
import sys
sys.path.insert(0, {str(GUARD.parent)!r})
import guard
from subjects import SUBJECTS, Subject
deeds = iter({list(MISDEEDS)!r})
SUBJECTS["bad"] = Subject(None, lambda seeds, folder, rng: next(deeds), eval)
guard.SECONDS = 8
guard.main(*sys.argv[1:4], *map(int, sys.argv[4:7]))
""")
    monkeypatch.setattr("campaign.GUARD", bad)
    TRAP.mkdir(exist_ok=True)
    outcome = Outcome()
    last = len(MISDEEDS) - 1
    assert process("bad", seeds, scratch, 0, range(last + 5), outcome) == last + 1
    (TRAP / "x").unlink()
    assert (outcome.loaded, outcome.refused) == (1, 0)
    for number, said in enumerate(MISDEEDS.values()):
        assert said in outcome.failures.get(number, "")
        assert (number in outcome.failures) == bool(said)


def test_a_link_is_where_it_leads(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "outside")
    watch = Watch(str(inside), (), on=True)
    watch.hook("open", (str(inside / "file"), "w", os.O_WRONLY))
    watch.hook("open", (str(inside / "link"), "w", os.O_WRONLY))
    assert len(watch.seen) == 1


def test_damage_is_repeatable(tmp_path: Path) -> None:
    subject = SUBJECTS["text"]
    (tmp_path / "seeds").mkdir()
    subject.prepare(tmp_path / "seeds")
    made = [subject.damage(tmp_path / "seeds", tmp_path, random.Random("x 1")).read_bytes() for _ in range(2)]
    assert made[0] == made[1]
