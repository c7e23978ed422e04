"""Options that several verbs share, and how their texts become settings."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from irc.cli import JSON, LOADED
from irc.cli.progress import bars
from irc.driver import Settings
from irc.feedback import Feedback, silence
from irc.ir.diagnostics import UsageError
from irc.passes.base import no_progress
from irc.plugins import load_file
from irc.watch import Show

Command = TypeVar("Command", bound=Callable[..., Any])


def chain(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order they show in the help."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _load(ctx: click.Context, parameter: click.Parameter, files: Sequence[Path]) -> None:
    ctx.meta[LOADED] = tuple(str(file.resolve()) for file in files)
    for file in files:
        load_file(file)


def _remember(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> bool:
    ctx.meta[JSON] = wanted
    return wanted


json_option = click.option("--json", "as_json", is_flag=True, is_eager=True, callback=_remember, help="JSON on stdout.")
load_option = click.option(
    "--load",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=_load,
    type=click.Path(path_type=Path),
    metavar="FILE.py",
    help="Run a Python file whose passes and ops can then be used.  [repeatable]",
)
voice_options = chain(
    click.option("-v", "--verbose", is_flag=True, help="Say what is being done."),
    click.option("--quiet", is_flag=True, help="No warnings, no progress, no summary."),
)
force_option = click.option("--force", is_flag=True, help="Replace an existing output.")
data_option = click.option("--data", metavar="DATA", help="Samples: .npz, .npy, a folder of .npz, or module:function.")
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="That run it together."
)
limit_option = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N samples.")

passes_option = click.option(
    "--passes", default="clean", show_default=True, metavar="PIPELINE", help="Passes and presets to run."
)
backend_options = chain(
    passes_option,
    click.option("--backend", default="reference", show_default=True, metavar="NAME", help="Or 'hls{clock=250}'."),
    click.option("--target", "--part", default="", metavar="NAME", help="What to compile for, see `irc targets`."),
    click.option(
        "--integer-only/--float-islands",
        default=None,
        help="Integers from end to end, or softmax and norms in float.  [default: as the backend prefers]",
    ),
)

pipeline_options = chain(
    click.option(
        "--calib", metavar="DATA", help="Samples for ranges: .npz, .npy, a folder of .npz, or module:function."
    ),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."),
    click.option(
        "--verify",
        type=click.Choice(["ir", "run"]),
        default="ir",
        show_default=True,
        help="Behind every pass: check the IR; `run` also compares results of the interpreter.",
    ),
    click.option("--stop-after", default="", metavar="PASS", help="Stop behind this pass and write the IR."),
    click.option("--print-after", multiple=True, metavar="PASS", help="Print the IR behind this pass.  [repeatable]"),
    click.option("--print-after-all", is_flag=True, help="Print the IR behind every pass."),
    click.option("--print-changed", is_flag=True, help="Print the IR behind every pass that changes it."),
    click.option("--dump-ir", type=click.Path(path_type=Path), metavar="DIR", help="A .irc file behind every pass."),
    click.option("--time-passes", is_flag=True, help="How long every pass takes."),
    click.option("--strict", is_flag=True, help="Warnings are errors."),
    load_option,
)


def _joined(ctx: click.Context, parameter: click.Parameter, modules: Sequence[str]) -> str:
    return ",".join(modules)


stop_at_option = click.option(
    "--stop-at",
    multiple=True,
    callback=_joined,
    metavar="MODULE",
    help="Only the part before this module; what it reads are the results.  [repeatable]",
)
model_options = chain(
    stop_at_option,
    click.option("--arch", metavar="MODULE:FACTORY", help="What builds the model that a file of weights is for."),
    click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="NAME=TYPE",
        help="Example input where the file has none: x=f32[1,3,224,224].  [repeatable]",
    ),
    click.option(
        "--dynamic",
        multiple=True,
        metavar="AXIS",
        help="Sizes that may vary: b or b=1:64 (first axis of every input), x:0=b or x:0=b:1:64. An exported program "
        "(.pt2) has decided its own.  [repeatable]",
    ),
    click.option("--trust-pickle", is_flag=True, help="Let a pickle run its code. Only for files you made yourself."),
    click.option("--weights", type=click.Path(path_type=Path), help="Constants of a .irc file, if not beside it."),
)


def warn(text: str) -> None:
    """A warning, on stderr."""
    click.echo(click.style("warning: ", fg="yellow", bold=True) + text, err=True)


def feedback(verbose: bool, quiet: bool) -> Feedback:
    """Warnings, steps and IR on stderr; progress bars if that is a terminal."""

    def tell(text: str) -> None:
        click.echo(click.style("fallback: ", fg="yellow", bold=True) + text, err=True)

    def say(text: str) -> None:
        click.echo(text, err=True)

    terminal = sys.stderr.isatty() and not quiet
    return Feedback(
        warn=silence if quiet else warn,
        tell=silence if quiet else tell,
        step=say if verbose else silence,
        found=silence if quiet else say,
        show=say,
        progress=bars if terminal else no_progress,
    )


def settings(**given: Any) -> Settings:
    """The settings that the options of `pipeline_options` and `model_options` stand for; `given` is taken apart."""
    show = Show(
        after=tuple(given.pop("print_after")),
        all=given.pop("print_after_all"),
        changed=given.pop("print_changed"),
        folder=given.pop("dump_ir"),
        times=given.pop("time_passes"),
    )
    return reading(show=show, **given)


def reading(**given: Any) -> Settings:
    """The settings that the options of `model_options` stand for, with others that are settings already."""
    inputs = dict(_input(text) for text in given.pop("inputs", ())) or None
    dynamic = _dynamic(given.pop("dynamic", ()))
    return Settings(inputs=inputs, dynamic=dynamic, **given)


def _input(text: str) -> tuple[str, str]:
    name, equals, kind = text.partition("=")
    if not (equals and name and kind):
        raise UsageError(f"--input {text} is not NAME=TYPE", hint="for example --input 'x=f32[1, 3, 224, 224]'")
    return name, kind


def _dynamic(texts: Sequence[str]) -> Any:
    """`x:0=b:1:64` as {"x": {0: ("b", 1, 64)}}; `b` or `b=1:64` alone stands for the first axis of every input."""
    if len(texts) == 1 and (match := re.fullmatch(r"(?P<name>[A-Za-z_]\w*)(?:[=:](?P<lo>\d+):(?P<hi>\d+))?", texts[0])):
        return _size(match)
    axes: dict[str, dict[int, Any]] = {}
    for text in texts:
        match = re.fullmatch(r"(?P<input>\w+):(?P<axis>\d+)=(?P<name>[A-Za-z_]\w*)(?::(?P<lo>\d+):(?P<hi>\d+))?", text)
        if match is None:
            raise UsageError(
                f"--dynamic {text} is not INPUT:AXIS=NAME",
                hint="for example x:0=b or x:0=b:1:64; alone, b or b=1:64 is the first axis of every input",
            )
        axes.setdefault(match["input"], {})[int(match["axis"])] = _size(match)
    return axes or None


def _size(match: re.Match[str]) -> str | tuple[str, int, int]:
    return (match["name"], int(match["lo"]), int(match["hi"])) if match["lo"] else match["name"]
