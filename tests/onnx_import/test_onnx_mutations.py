"""Damaged ONNX files: every one is imported or refused with a message, whatever bytes are wrong."""

from __future__ import annotations

import random
from pathlib import Path

import onnx.backend.test
import pytest

from irc import IrcError
from irc.frontend.onnx.read import read

DATA = Path(onnx.backend.test.__file__).parent / "data"
LARGEST = 60_000


def files() -> list[bytes]:
    contents = [path.read_bytes() for path in sorted(DATA.glob("pytorch-*/*/model.onnx"))]
    return [content for content in contents if len(content) <= LARGEST]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A few bits flipped, bytes replaced, taken out or put in."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.randrange(256)
            case 2:
                del data[at : at + rng.randrange(1, 9)]
            case _:
                data[at:at] = rng.randbytes(rng.randrange(1, 5))
    return bytes(data)


def check(seed: int, count: int, folder: Path) -> None:
    rng, contents, path = random.Random(seed), files(), folder / "m.onnx"
    refused = 0
    for _ in range(count):
        path.write_bytes(mutated(rng.choice(contents), rng))
        try:
            read(path)
        except IrcError:
            refused += 1
    assert 0 < refused < count


def test_damaged_files(tmp_path: Path):
    check(1, 800, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_many_damaged_files(seed: int, tmp_path: Path):
    check(100 + seed, 10_000, tmp_path)
