"""The command `irc`. Verbs live in modules that load when they are called, so that `irc --help` takes no time."""

from __future__ import annotations

import errno
import json
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import click

from irc.ir.diagnostics import Diagnostic, InternalError, IrcError, UsageError, did_you_mean, fault, merged
from irc.tables import resolve
from irc.version import __version__

VERBS = {
    "compile": ("irc.cli.compile:compile_command", "Model to artifact."),
    "check": ("irc.cli.check:check_command", "What would keep a model from being compiled, and why."),
    "opt": ("irc.cli.opt:opt_command", "Text IR to text IR: run passes, look between them."),
    "inspect": ("irc.cli.inspect:inspect_command", "A model, IR text or artifact as a table, text or page."),
    "run": ("irc.cli.run:run_command", "Run an artifact on samples."),
    "verify": (
        "irc.cli.verify:verify_command",
        "Check an artifact against the interpreter, bit by bit.",
    ),
    "compare": ("irc.cli.compare:compare_command", "Any two of model, IR text and artifact, layer by layer."),
    "analyze": ("irc.cli.analyze:analyze_command", "Where accuracy is lost, and the options that win it back."),
    "debug": ("irc.cli.debug:debug_command", "The pass, the lowering, the layers that break a check."),
    "lint": ("irc.cli.lint:lint_command", "What HLS would refuse, or run in sequence, in a project."),
    "calibrate": ("irc.cli.calibrate:calibrate_command", "Fit the estimate of LUTs and FFs to a synthesis report."),
    "bench": ("irc.cli.bench:bench_command", "Time an artifact on this machine, against other runtimes."),
    "export": ("irc.cli.export:export_command", "A model as one file for other tools."),
    "passes": ("irc.cli.lists:passes_command", "The passes and presets, with their options."),
    "ops": ("irc.cli.lists:ops_command", "The ops of the IR, and which backend runs them."),
    "targets": ("irc.cli.lists:targets_command", "The backends and targets, with their options."),
}
JSON = "irc.json"  # set in the context by --json
LOADED = "irc.loaded"  # the files of --load
INTERRUPTED = 130
REFUSALS = (  # of a file system, where neither irc nor the model is at fault
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EMFILE),
)

EXAMPLES = """\b
Examples:
  irc compile model.pt2 --passes quant8,fuse --backend hls --calib calib.npz
  irc verify model.hls --data test.npz
  irc opt graph.irc --passes 'canonicalize,fold,cse,dce' --print-changed
  irc inspect model.pt2

\b
Exit codes:
  0 done                              4 a budget is not met
  1 the model cannot be compiled      5 an external tool is missing or failed
  2 wrong usage                       6 unsafe input refused
  3 results differ                    70 a fault of irc, 130 interrupted, 143 terminated
"""


class Verbs(click.Group):
    """Loads a verb when it is called, and turns every failure into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return resolve(VERBS[cmd_name][0]) if cmd_name in VERBS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            ctx.fail(f"there is no verb '{args[0]}'; {did_you_mean(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        arguments = sys.argv[1:]
        try:
            with _leaving_clean_when_terminated():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except InternalError as error:
            fail(ctx, error if any(d.notes for d in error.diagnostics) else with_traceback(error, error, arguments))
        except IrcError as error:
            fail(ctx, error)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read our output has enough
                raise
            fail(ctx, refused(error) if error.errno in REFUSALS else crashed(error, arguments))
        except Exception as error:
            fail(ctx, crashed(error, arguments))


@contextmanager
def _leaving_clean_when_terminated() -> Generator[None]:
    """Let SIGTERM end the process as an exception does: half-written folders go away."""
    if threading.current_thread() is not threading.main_thread():  # not our process
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def fail(ctx: click.Context, error: IrcError, *, told: bool = False) -> None:
    """Print every diagnostic once, with all its places, and leave with the exit code of their kind. `told` says that
    stdout has them as JSON already."""
    diagnostics = merged(error.diagnostics)
    for diagnostic in diagnostics:
        click.echo(click.style("error: ", fg="red", bold=True) + str(diagnostic), err=True)
    if ctx.meta.get(JSON) and not told:
        found = [as_json(diagnostic) for diagnostic in diagnostics]
        with suppress(OSError):  # stdout may be what failed
            click.echo(json.dumps({"schema": 1, "exit": error.exit_code, "errors": found}, indent=1))
    ctx.exit(error.exit_code)


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic as JSON values."""
    source = diagnostic.loc.sources[0] if diagnostic.loc.sources else None
    return {
        "message": diagnostic.message,
        "place": str(diagnostic.span) if diagnostic.span else diagnostic.place,
        "layer": diagnostic.loc.path,
        "source": f"{source.file}:{source.line}" if source and source.file else "",
        "notes": list(diagnostic.notes),
        "hint": diagnostic.hint,
        "uses": diagnostic.uses,
        "places": [str(loc.sources[0]) for loc in (diagnostic.loc, *diagnostic.others) if loc.sources],
    }


def refused(error: OSError) -> UsageError:
    """A file system that does not take or give a file, as a diagnostic."""
    return UsageError(Diagnostic((error.strerror or str(error)).lower(), place=str(error.filename or "output")))


def crashed(error: Exception, arguments: list[str]) -> InternalError:
    """An unexpected exception as a diagnostic, its traceback in a file."""
    return with_traceback(fault("irc failed", error), error, arguments)


def with_traceback(told: InternalError, error: Exception, arguments: list[str]) -> InternalError:
    """What is told of an exception, with a note on the file that its traceback is in."""
    folder = resolve("irc.reproducer:write_crash")(arguments, error)
    kept = f"the traceback is in {folder}/error.txt" if folder else "there was no place to keep the traceback"
    return InternalError([replace(diagnostic, notes=(kept,)) for diagnostic in told.diagnostics])


@click.group(
    cls=Verbs,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="irc", message="%(prog)s %(version)s")
def main() -> None:
    """A compiler for compressed neural networks: PyTorch in; FPGA accelerators and CPU kernels out."""
