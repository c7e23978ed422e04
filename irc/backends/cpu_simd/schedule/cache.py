"""What searches found on this machine before: a file for each processor, instruction set and version of irc.

`$XDG_CACHE_HOME/irc/schedules` or `~/.cache/irc/schedules`; it may be deleted at any time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from irc.backends.cpu_simd.codegen.llvm import host_cpu
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.schedule.record import Record, read_records, text_of
from irc.backends.schedule import read_schedule, schedule_text
from irc.ir.diagnostics import UsageError
from irc.ir.files import replace_file
from irc.version import __version__


def place(isa: Isa) -> Path:
    """The file for this processor."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "irc" / "schedules" / f"{host_cpu()}-{isa.name}-{__version__}.txt"


def remembered(isa: Isa) -> dict[str, Record]:
    """Schedules by problem; none where the file is missing or damaged."""
    try:
        return read_records(read_schedule(place(isa)))
    except UsageError:
        return {}


def remember(isa: Isa, records: Mapping[str, Record]) -> None:
    """Add schedules to the file. Raises UsageError if it cannot be written."""
    path = place(isa)
    text = schedule_text(text_of({**remembered(isa), **records}), "cpu")
    replace_file(path, lambda new: new.write_text(text, encoding="utf-8"))
