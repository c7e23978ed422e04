"""A folder that shows a failure again: IR in front of the pass, rest of the pipeline, data, traceback."""

from __future__ import annotations

import shlex
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from irc.backends.folder import write_npz
from irc.ir.constants import save_arrays
from irc.ir.files import WEIGHTS
from irc.ir.scalars import Array
from irc.passes.pipeline import Stage, pipeline_text
from irc.watch import Snapshot

NAME = "irc-reproducer"
BEFORE, INPUTS = "before.irc", "inputs.npz"


def write_reproducer(
    before: Snapshot, rest: Sequence[Stage], samples: Mapping[str, Array] | None, seed: int, error: BaseException
) -> Path | None:
    """Write a new folder in the current one, or where temporary files go. None if there is no place for it."""
    words = [f"irc opt {BEFORE}", f"--passes {shlex.quote(pipeline_text(rest))}", f"--seed {seed}", "--verify=run"]
    words += [f"--calib {INPUTS}"] if samples else []
    return write_case(before, samples, " ".join(words), "".join(traceback.format_exception(error)))


def write_case(before: Snapshot, samples: Mapping[str, Array] | None, command: str, error: str) -> Path | None:
    """Write the IR, samples, the command that shows the failure, and what it looks like. None if there is no place."""
    folder = _new_folder()
    if folder is None:
        return None
    (folder / BEFORE).write_text(before.text, encoding="utf-8")
    if before.arrays:
        save_arrays(before.arrays, folder / WEIGHTS)
    if samples:
        write_npz(folder / INPUTS, samples)
    (folder / "command.txt").write_text(command + "\n", encoding="utf-8")
    (folder / "error.txt").write_text(error, encoding="utf-8")
    return folder


def write_crash(arguments: Sequence[str], error: BaseException) -> Path | None:
    """Write a new folder with the command line and the traceback, for a failure outside all passes."""
    folder = _new_folder()
    if folder is not None:
        (folder / "command.txt").write_text(f"irc {shlex.join(arguments)}\n", encoding="utf-8")
        (folder / "error.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return folder


def _new_folder() -> Path | None:
    for parent in (Path(), Path(tempfile.gettempdir())):
        for number in range(1, 1000):
            folder = parent / (NAME if number == 1 else f"{NAME}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            except OSError:
                break
            return folder
    return None
