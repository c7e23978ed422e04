"""Progress bars on stderr, for work that has gone on for two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 2.0  # seconds without a bar


@contextmanager
def bars(what: str, steps: int) -> Generator[Callable[[], None]]:
    """A bar for `steps` ticks that appears after a while and vanishes at the end."""
    started = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(what, total=steps)
    shown = False

    def tick() -> None:
        nonlocal shown
        bar.advance(task)
        if not shown and time.monotonic() - started > PATIENCE:
            bar.start()
            shown = True

    try:
        yield tick
    finally:
        if shown:
            bar.stop()
