"""Messages name options as the command line spells them; Python code reads of its arguments instead."""

from __future__ import annotations

import re

ARGUMENTS = {
    "--arch": "arch=",
    "--backend": "backend=",
    "--calib": "calib=",
    "--check": "command=",
    "--data": "data=",
    "--dynamic": "dynamic=",
    "--float-islands": "integer_only=False",
    "--force": "force=True",
    "--input": "inputs=",
    "--integer-only": "integer_only=True",
    "--layerwise": "layerwise=True",
    "--passes": "passes=",
    "--schedule": "schedule=",
    "--stop-at": "stop_at=",
    "--strict": "strict=True",
    "--target": "target=",
    "--trust-pickle": "trust_pickle=True",
    "--tune": "tune=True",
    "--weights": "weights=",
    "-o": "out=",
}
"""Of the functions in `irc` that do what a verb does."""

_OPTION = re.compile(rf"(?<![\w-])({'|'.join(ARGUMENTS)})(?![\w-])(?:=|(:))?")


def in_python(message: str) -> str:
    """A message with arguments in place of options: `--calib=x.npz` is `calib=x.npz`, `--tune:` is `tune:`."""
    return _OPTION.sub(_spelt, message)


def _spelt(option: re.Match[str]) -> str:
    argument = ARGUMENTS[option[1]]
    return argument.partition("=")[0] + ":" if option[2] else argument
