"""Runs a loader on damaged files inside of a process that watches itself: time, memory, files, code.

A process for itself, because an audit hook stays forever and a crash takes everything with it. It says on its standard
output, a JSON object a line, what went wrong.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import signal
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from subjects import SUBJECTS, Subject

from irc.ir.diagnostics import InternalError, IrcError

SECONDS = 5  # of the processor, so that a busy machine makes no difference
STUCK = 120  # seconds of the clock after which a process that does nothing is ended
MEMORY = 2**30  # bytes
OS_RELEASE = os.path.realpath("/etc/os-release")
RUNS_CODE = (
    "subprocess.Popen",
    "pickle.find_class",
    "code.__new__",
    "pty.spawn",
    *(f"os.{name}" for name in ("system", "exec", "spawn", "posix_spawn", "fork", "forkpty", "kill")),
    *(f"socket.{name}" for name in ("connect", "bind", "getaddrinfo", "sendto")),
)
CHANGES = frozenset(
    f"os.{name}"
    for name in (
        *("remove", "rename", "mkdir", "rmdir", "symlink", "link", "chmod", "chown", "truncate", "utime", "chdir"),
        *("setxattr", "removexattr", "mkfifo", "mknod"),
    )
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Hang(BaseException):
    """No Exception, so that no loader takes it for one of its own."""


@dataclass
class Watch:
    """What happened while one file was loaded that must not happen."""

    inside: str  # the folder that may be written to
    readable: tuple[str, ...]
    on: bool = False
    seen: list[str] = field(default_factory=list[str])

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            self._open(*args)
        elif event in CHANGES:
            if not self._is_inside(args[0]):
                self.seen.append(f"{event} {args[0]!r:.200}")
        elif event == "ctypes.dlopen":
            if not _real(args[0] or "").startswith(self.readable):
                self.seen.append(f"{event} {args[0]!r:.200}")
        elif event in RUNS_CODE:
            self.seen.append(f"{event} {args!r:.200}")
        elif event == "exec":
            name = getattr(args[0], "co_filename", "")
            if name.startswith(self.inside):
                self.seen.append(f"exec of {name}")

    def _open(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int):
            return
        if isinstance(flags, int) and flags & WRITING:
            if not self._is_inside(path):
                self.seen.append(f"open to write {path!r:.200}")
        elif not self._is_inside(path) and not _real(path).startswith(self.readable):
            self.seen.append(f"open to read {path!r:.200}")

    def _is_inside(self, path: Any) -> bool:
        return isinstance(path, int) or _real(path).startswith(self.inside)


def _real(path: Any) -> str:
    return os.path.realpath(os.fsdecode(path))


def readable_roots() -> tuple[str, ...]:
    """Where Python, its packages and irc are, which may be imported at any time, and what onnxruntime reads then."""
    roots = {*map(os.path.realpath, sysconfig.get_paths().values()), sys.prefix, sys.base_prefix, "/proc", "/sys"}
    return (*sorted(map(os.path.realpath, roots)), os.path.realpath(Path(__file__).parents[2]), "/dev/null", OS_RELEASE)


def _out_of_time(signum: int, frame: Any) -> None:
    raise Hang(f"more than {SECONDS} seconds of the processor")


@contextmanager
def _limited() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    faulthandler.dump_traceback_later(STUCK, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()


def peak() -> int:
    """The most bytes of memory that this program had.

    Not `ru_maxrss`, which a process has from the one that started it.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:", 1)[1].split(None, 1)[0]) * 1024


def _load(subject: Subject, path: Path, watch: Watch) -> tuple[str, str]:
    """What came of a file (a model, a message, a failure), and the reason."""
    before = peak()
    watch.seen.clear()
    try:
        with _limited():
            watch.on = True
            try:
                str(subject.load(path))
            finally:
                watch.on = False
        what = ("loaded", "")
    except IrcError as error:
        what = ("refused", str(error))
        if isinstance(error, InternalError) or not what[1].strip():
            what = ("failed", f"{type(error).__name__}: {error}")
    except (Exception, Hang) as error:
        last = traceback.extract_tb(error.__traceback__)[-3:]
        places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(last))
        what = ("failed", f"{type(error).__name__}: {error} ({places})"[:500])
    if watch.seen:
        return "failed", "; ".join(watch.seen)
    if peak() - before > MEMORY:
        return "failed", f"{(peak() - before) >> 20} MB of memory"
    return what


def main(name: str, seeds: str, scratch: str, seed: int, start: int, stop: int) -> None:
    """Load the damaged files of numbers start .. stop - 1.

    The file `at` of `scratch` says, at any time, the number of the file and how many were loaded and refused so far.
    """
    subject, folder = SUBJECTS[name], Path(scratch).resolve() / "input"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "torch")  # torch makes it while it captures
    place = os.open(Path(scratch) / "at", os.O_WRONLY | os.O_CREAT)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, _out_of_time)
    limit = _address_space() + 2 * MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    watch = Watch(str(folder), readable_roots())
    for path in sorted(Path(seeds).iterdir())[:3]:
        _load(subject, path, watch)  # what is imported only now is no concern
    sys.addaudithook(watch.hook)
    counts = {"loaded": 0, "refused": 0, "failed": 0}
    for number in range(start, stop):
        os.pwrite(place, f"{number:12}{counts['loaded']:12}{counts['refused']:12}".encode(), 0)
        path = subject.damage(Path(seeds), folder, random.Random(f"{name} {seed} {number}"))
        what, why = _load(subject, path, watch)
        counts[what] += 1
        if what == "failed":
            print(json.dumps({"number": number, "why": why}), flush=True)
    os.pwrite(place, f"{stop:12}{counts['loaded']:12}{counts['refused']:12}".encode(), 0)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:7]))
