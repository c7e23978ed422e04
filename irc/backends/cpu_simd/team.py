"""A team of threads that run one library together, in memory of the caller's.

The caller of a run is worker 0. It offers a kernel as shares of its units; workers claim them one by one, and so does
the caller, which then waits for those that others have claimed. So nobody waits for a worker that does not come: it
only misses the shares that others took.

One word says everything that must be known at once: how many shares are left to claim, whether the team has been
stopped, and a number that differs from offer to offer, so that a claim of a share of an earlier offer fails. What is
offered is read behind a successful claim, which the offer outlives.

Where another program runs on the core of a worker, the worker may be away for milliseconds with a share that it has
claimed. Nobody can tell before; so a caller that waited for much longer than a share takes then works alone for many
times as long, which bounds what is lost to a small part of the time.

Who waits looks at the word for some microseconds and then sleeps. A sleeper is counted before the kernel compares the
word again, and the word is changed before the sleepers are counted: one of both sees the other (Dekker).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from irc.backends.cpu_simd import futex
from irc.backends.cpu_simd.codegen.lanes import Function, Lane
from irc.backends.cpu_simd.isa import Isa

MOST_THREADS = 64
"""Workers are bits of a word."""

SHARES = 8
"""Shares for each thread: more let a fast thread do the work of a slow one, fewer cost less."""

PATIENCE = 4
"""Shares that a caller may wait for one of another thread, which may run on a slower core."""

ALONE = 16
"""How many times as long as it waited in vain a caller then works alone: at most one part in so many is lost."""

SPINS = 2000
"""Looks at a word before sleeping: some twenty microseconds, which is longer than most kernels that nobody shares."""

ENDLESS = 2**62
"""Rounds of a loop that is left by a return."""

LEFT = (1 << 16) - 1
"""The bits of the word that count shares nobody has claimed."""

STOPPED = 1 << 16
OFFER = 1 << 17

# Where things lie: what different threads write is on lines of its own.
SEAL, THREADS, RUNNING, BYTES, PRESENT = 0, 8, 12, 16, 24
WORD, OPEN, WAITING, ASLEEP = 64, 128, 132, 192
CODE, ARGS, UNITS, OFFERED, STATUS, UNTIL = 256, 264, 272, 280, 288, 296
HEADER = 320
"""Bytes in front of the memory that each worker has of its own."""

SHARE = "irc.share"


@dataclass(frozen=True)
class Team:
    """The address of a team, in a function."""

    f: Function
    address: Lane

    @staticmethod
    def of(f: Function) -> Team:
        return Team(f, f["team"])

    def at(self, place: int) -> Lane:
        return self.f.at(self.address, place)

    def load(self, place: int, kind: str, order: str = "") -> Lane:
        """What lies at a place; `order` makes it atomic."""
        if not order:
            return self.f.load(self.at(place), kind)
        size = 4 if kind == "i32" else 8
        return self.f.emit(kind, 1, f"load atomic {kind}, {self.at(place).typed} {order}, align {size}")

    def store(self, value: Lane, place: int, order: str = "") -> None:
        if not order:
            self.f.store(value, self.at(place))
            return
        size = 4 if value.kind == "i32" else 8
        self.f.do(f"store atomic {value.typed}, {self.at(place).typed} {order}, align {size}")

    def change(self, how: str, place: int, by: Lane) -> Lane:
        """An atomic change of what lies at a place; gives what lay there."""
        return self.f.emit(by.kind, 1, f"atomicrmw {how} {self.at(place).typed}, {by.typed} seq_cst")

    def exchange(self, place: int, old: Lane, new: Lane) -> Lane:
        """Whether `new` was put where `old` lay."""
        text = f"cmpxchg {self.at(place).typed}, {old.typed}, {new.typed} acq_rel monotonic"
        pair = self.f.emit(f"{{ {old.kind}, i1 }}", 1, text)
        return self.f.emit("i1", 1, f"extractvalue {pair.typed}, 1")


def clock(f: Function, isa: Isa) -> Lane:
    """A count that grows with time: of the cycles of an x86 CPU, of others, where a program may not read these, that of
    a clock which runs steadily."""
    return f.call(f"llvm.read{'cycle' if isa.is_x86 else 'steady'}counter", "i64", 1)


def functions(isa: Isa) -> Iterator[Function]:
    """What a run and its workers call."""
    yield _share(isa)
    yield _claim()
    yield _settle(isa)
    yield _resent(isa)
    yield _watch(isa)


def _function(name: str, result: str = "void", **more: str) -> Function:
    return Function(name, {"team": "ptr", **more}, result, alone=False)


def _share(isa: Isa) -> Function:
    """`i32 share(team*, code*, args*, i64 units, i64 most)`: all units of a kernel, in at most so many shares."""
    f = _function(SHARE, "i32", code="ptr", args="ptr", units="i64", most="i64")
    team = Team.of(f)
    whole = f"call i32 %code(ptr %args, i64 0, {f['units'].typed}, i64 0)"
    with f.when(team.address.compare("eq", Lane(f, "null", "ptr"))):
        f.ret(f.emit("i32", 1, whole))
    threads = f.convert("zext", team.load(THREADS, "i32"), "i64")
    shares = f.smin(f.smin(threads * SHARES, f["most"]), f["units"])
    started = clock(f, isa)
    for alone in (
        threads.compare("eq", 1),
        shares.compare("slt", 2),
        started.compare("ult", team.load(UNTIL, "i64")),
        (team.load(WORD, "i64", "monotonic") & STOPPED).compare("ne", 0),
    ):
        with f.when(alone):
            f.ret(f.emit("i32", 1, whole))
    for value, place in ((f["code"], CODE), (f["args"], ARGS), (f["units"], UNITS), (shares, OFFERED)):
        team.store(value, place)
    team.store(f.const(0, "i32"), STATUS, "monotonic")
    team.store(f.convert("trunc", shares, "i32"), OPEN, "monotonic")
    team.change("add", WORD, shares + OFFER)
    with f.when(team.load(ASLEEP, "i32", "seq_cst").compare("ne", 0)):
        futex.wake(f, team.at(WORD), f.convert("trunc", shares - 1, "i32"))
    mine = f.emit("i64", 1, "call i64 @irc.claim(ptr %team, i64 0)")
    done = clock(f, isa)
    f.do("call void @irc.settle(ptr %team)")
    f.do(f"call void @irc.resent(ptr %team, {(done - started).typed}, {mine.typed}, {done.typed})")
    f.ret(team.load(STATUS, "i32", "monotonic"))
    return f


def _resent(isa: Isa) -> Function:
    """`resent(team*, i64 spent, i64 shares, i64 done)`: work alone for a while if the others were waited for."""
    f = _function("irc.resent", spent="i64", shares="i64", done="i64")
    team = Team.of(f)
    now = clock(f, isa)
    waited = now - f["done"]
    with f.when((waited * f["shares"]).compare("ugt", f["spent"] * PATIENCE)):
        team.store(now + waited * ALONE, UNTIL)
    return f


def _claim() -> Function:
    """`i64 claim(team*, i64 worker)`: run shares until nobody has to claim one; how many it were."""
    f = _function("irc.claim", "i64", worker="i64")
    team = Team.of(f)
    with f.loop(0, ENDLESS, 1, [f.const(0, "i64")]) as loop:
        word = team.load(WORD, "i64", "acquire")
        left = word & LEFT
        with f.when(left.compare("eq", 0)):
            f.ret(loop.carried[0])
        claimed = team.exchange(WORD, word, word - 1)
        with f.when(claimed):
            _run_share(team, left)
        loop.next(loop.carried[0] + f.convert("zext", claimed, "i64"))
    return f


def _run_share(team: Team, left: Lane) -> None:
    """Run the share that was claimed when so many were left, and say that it is done."""
    f = team.f
    units, shares = team.load(UNITS, "i64"), team.load(OFFERED, "i64")
    number = shares - left
    first, last = (f.binary("udiv", n * units, shares) for n in (number, number + 1))
    code, args = team.load(CODE, "ptr"), team.load(ARGS, "ptr")
    status = f.emit("i32", 1, f"call i32 {code.text}({args.typed}, {first.typed}, {last.typed}, i64 %worker)")
    with f.when(status.compare("ne", 0)):
        team.store(status, STATUS, "monotonic")
    one = f.const(1, "i32")
    with (
        f.when(team.change("sub", OPEN, one).compare("eq", 1)),
        f.when(team.load(WAITING, "i32", "seq_cst").compare("ne", 0)),
    ):
        futex.wake(f, team.at(OPEN), one)


def _settle(isa: Isa) -> Function:
    """`settle(team*)`: wait until all shares are done."""
    f = _function("irc.settle")
    team = Team.of(f)
    with f.loop(0, SPINS):
        with f.when(team.load(OPEN, "i32", "acquire").compare("eq", 0)):
            f.ret()
        futex.pause(f, isa)
    team.store(f.const(1, "i32"), WAITING, "seq_cst")
    with f.loop(0, ENDLESS):
        still = team.load(OPEN, "i32", "seq_cst")
        with f.when(still.compare("eq", 0)):
            team.store(f.const(0, "i32"), WAITING, "seq_cst")
            f.ret()
        futex.sleep(f, team.at(OPEN), still)
    return f


def _watch(isa: Isa) -> Function:
    """`i64 watch(team*)`: the word as soon as there is something to do, or anything after a while."""
    f = _function("irc.watch", "i64")
    team = Team.of(f)
    with f.loop(0, SPINS):
        word = team.load(WORD, "i64", "acquire")
        with f.when((word & (LEFT | STOPPED)).compare("ne", 0)):
            f.ret(word)
        futex.pause(f, isa)
    one = f.const(1, "i32")
    team.change("add", ASLEEP, one)
    word = team.load(WORD, "i64", "seq_cst")
    with f.when((word & (LEFT | STOPPED)).compare("eq", 0)):
        futex.sleep(f, team.at(WORD), f.convert("trunc", word, "i32"))
    team.change("sub", ASLEEP, one)
    f.ret(team.load(WORD, "i64", "acquire"))
    return f


def joined(f: Function) -> Lane:
    """Emit what makes a worker of a number one of the team; gives whether there is one of this number."""
    mine = f.const(1, "i64") << f.convert("zext", f["index"], "i64")
    return (Team.of(f).change("or", PRESENT, mine) & mine).compare("ne", 0)


def work(f: Function) -> None:
    """Emit what a worker of a number does until the team is stopped."""
    team = Team.of(f)
    mine = f.const(1, "i64") << f.convert("zext", f["index"], "i64")
    with f.loop(0, ENDLESS):
        word = f.emit("i64", 1, "call i64 @irc.watch(ptr %team)")
        with f.when((word & STOPPED).compare("ne", 0)):
            team.change("and", PRESENT, mine ^ -1)
            f.ret(f.const(0, "i32"))
        f.do(f"call i64 @irc.claim(ptr %team, i64 {f.convert('zext', f['index'], 'i64').text})")


def stop(f: Function) -> None:
    """Emit what sends the workers of a team home."""
    team = Team.of(f)
    team.change("or", WORD, f.const(STOPPED, "i64"))
    futex.wake(f, team.at(WORD), f.const(futex.ALL, "i32"))


def set_up(f: Function, seal: int) -> None:
    """Emit what makes memory a team."""
    team = Team.of(f)
    for place in range(0, HEADER, 8):
        team.store(f.const(0, "i64"), place)
    team.store(f["threads"], THREADS)
    team.store(f["bytes"], BYTES)
    team.store(f.const(seal, "i64"), SEAL)


@contextmanager
def running(f: Function, busy: Callable[[Lane], None]) -> Generator[None]:
    """Emit a run of a team; `busy` gets the condition that another one is on."""
    team = Team.of(f)
    busy(team.change("xchg", RUNNING, f.const(1, "i32")).compare("ne", 0))
    yield
    team.store(f.const(0, "i32"), RUNNING, "release")
