"""Threads of this process as the team of a session."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from irc.backends.cpu_simd.codegen.llvm import function
from irc.backends.cpu_simd.memory import aligned_bytes
from irc.backends.cpu_simd.team import MOST_THREADS
from irc.ir.diagnostics import UsageError
from irc.ir.scalars import Array


@dataclass(eq=False)
class Crew:
    """Workers of a library, which wait for its runs, and the memory of their team. `address` finds a function."""

    threads: int
    model: Array
    address: Callable[[str], int]
    memory: Array = field(default_factory=lambda: aligned_bytes(0))
    workers: list[Thread] = field(default_factory=list[Thread])

    def ready(self, dims: int) -> Array:
        """The team, with memory for these sizes (the address of their numbers)."""
        needed = self._function("team_bytes", ctypes.c_int64, ctypes.c_void_p, ctypes.c_int32)(dims, self.threads)
        if len(self.memory) < needed:
            self.leave()
            self.memory = aligned_bytes(needed)
            self._join()
        return self.memory

    def _join(self) -> None:
        place = self.memory.ctypes.data
        set_up = self._function(
            "team_init", ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32
        )
        set_up(self.model.ctypes.data, place, len(self.memory), self.threads)
        work = self._function("worker", ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32)
        self.workers = [Thread(target=work, args=(place, i), daemon=True) for i in range(1, self.threads)]
        for worker in self.workers:
            worker.start()

    def leave(self) -> None:
        """Stop the workers, and wait until they have gone."""
        if self.workers:
            self._function("stop", ctypes.c_int32, ctypes.c_void_p)(self.memory.ctypes.data)
        for worker in self.workers:
            worker.join()
        self.workers = []

    def _function(self, name: str, result: Any, *arguments: Any) -> Any:
        return function(self.address(name), result, *arguments)


@contextmanager
def hired(threads: int, model: Array, address: Callable[[str], int]) -> Generator[Crew | None]:
    """A crew of so many threads, the caller's among them; None for one. Raises UsageError for a number out of range."""
    if not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"{threads} threads cannot run a library", hint=f"1 to {MOST_THREADS} can")
    if threads == 1:
        yield None
        return
    crew = Crew(threads, model, address)
    try:
        yield crew
    finally:
        crew.leave()
