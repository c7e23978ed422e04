"""`python tests/fuzz LOADER... [--count 100000]`: damaged files through the loaders, and what came of it.

With `--only NUMBER` one file is made again, and stays: `python tests/fuzz onnx --only 4711 --keep FOLDER`.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from campaign import campaign
from subjects import SUBJECTS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loaders", nargs="*", default=[*SUBJECTS], choices=[*SUBJECTS], metavar="LOADER")
    parser.add_argument("--count", type=int, default=100_000, help="damaged files a loader")
    parser.add_argument("--start", type=int, default=0, help="the number of the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="make the file of this number, and load it without a guard")
    parser.add_argument("--keep", type=Path, help="where that file goes")
    given = parser.parse_args()
    if given.only is not None:
        return again(given.loaders[0], given.seed, given.only, given.keep)
    failed = False
    for name in given.loaders:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="irc-fuzz-") as folder:
            outcome = campaign(name, given.count, Path(folder), seed=given.seed, start=given.start)
        print(f"{name}: {outcome}, {time.monotonic() - began:.0f} s", flush=True)
        for number, why in outcome.failures.items():
            print(f"  {number}: {why}", flush=True)
        failed = failed or bool(outcome.failures)
    return int(failed)


def again(name: str, seed: int, number: int, keep: Path) -> int:
    subject = SUBJECTS[name]
    seeds = keep / "seeds"
    seeds.mkdir(parents=True)
    subject.prepare(seeds)
    path = subject.damage(seeds, keep, random.Random(f"{name} {seed} {number}"))
    print(path, flush=True)
    print(subject.load(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
