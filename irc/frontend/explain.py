"""What torch's exceptions mean to the user."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.fx.experimental.symbolic_shapes import ConstraintViolationError, GuardOnDataDependentSymNode

from irc.frontend.provenance import in_library
from irc.ir.diagnostics import Diagnostic, IrcError
from irc.ir.location import Loc, at

_FOREIGN_RESULT = re.compile(r"Found <class '(?P<name>.+?)'> in output, which is not a known type")
_DATA_DEPENDENT = (GuardOnDataDependentSymNode, DataDependentOutputException)


def explained(error: Exception, name: str) -> IrcError:
    """torch's exception as one diagnostic at the user's source line."""
    loc = _place(error)
    causes = [error, *_chain(error)]
    if any(isinstance(e, _DATA_DEPENDENT) or "data-dependent" in str(e) for e in causes):
        return IrcError(
            Diagnostic(
                f"{name}: the control flow of forward depends on the data",
                loc,
                notes=(_first_line(error),),
                hint="a compiled graph is the same for all inputs: select with torch.where instead of 'if', mask "
                "instead of boolean indexing, and keep .item(), .tolist() and int(tensor) out of forward",
            )
        )
    if any(isinstance(e, ConstraintViolationError) for e in causes) or "Constraints violated" in str(error):
        return IrcError(
            Diagnostic(
                f"{name}: a size that should vary cannot",
                loc,
                notes=tuple(line.strip() for line in str(error).splitlines() if line.strip().startswith("- "))[:4],
                hint="give the axis the name of the axis it must equal, another range, or a fixed size",
            )
        )
    if foreign := _FOREIGN_RESULT.search(str(error)):
        return IrcError(
            Diagnostic(
                f"{name} returns a {foreign['name']}, which is no tensor and no tuple, list or dict of tensors",
                loc,
                hint="wrap the model in a module that returns its tensors only; a model of transformers returns no "
                "cache with model.config.use_cache = False",
            )
        )
    return IrcError(
        Diagnostic(
            f"{name} cannot be captured: {type(error).__name__}: {_first_line(error)}",
            loc,
            hint="check that the model runs on the example inputs; torch.export.export shows torch's own report",
        )
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    following = error.__cause__ or error.__context__
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def _place(error: Exception) -> Loc:
    """The innermost frame of the exception in the user's code."""
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if not in_library(f.filename) and not f.filename.startswith(("<", str(Path(__file__).parent)))
    ]
    if not frames:
        return at("")
    last = frames[-1]
    return at("", "", last.filename.replace("\\", "/").rpartition("/")[2], last.lineno or 0)
