"""Whether samples tell anything about the ranges of activations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from irc.ir.diagnostics import Diagnostic, UsageError
from irc.ir.scalars import Array
from irc.passes.calibrate import LARGEST

MOST = 1e15  # a sum of squares of so large numbers fits f32


def refuse_overflow(samples: Mapping[str, Array], place: str) -> None:
    """Raise UsageError for inputs with numbers that no range can hold.

    Beyond `LARGEST` are the fills of masks, beside which there are others.
    """
    found: list[Diagnostic] = []
    for name, array in samples.items():
        size = np.abs(array, dtype=np.float64) if array.dtype.kind == "f" and array.size else np.zeros(1)
        numbers = size[size < LARGEST]
        reached = float(numbers.max() if numbers.size else size.max())
        if reached > MOST:
            message = f"input '{name}' reaches {reached:.3g}, too large for calibration: sums of products overflow"
            found.append(Diagnostic(message, place=place, hint="scale the samples as those the model was trained with"))
    if found:
        raise UsageError(found)


def says_nothing(samples: Mapping[str, Array], place: str) -> str:
    """What is wrong with samples that do not differ; empty if they do. An input that never varies beside one that does
    is none: a mask, or an empty cache.
    """
    arrays = [array for array in samples.values() if array.size > 1]
    count = max((len(array) for array in samples.values()), default=0)
    if not arrays:
        return ""
    if all(bool((array == array.flat[0]).all()) for array in arrays):
        held = ", ".join(f"'{name}' is {array.flat[0]:.6g}" for name, array in samples.items() if array.size)
        what = f"every value of the samples is the same (input {held})"
    elif count > 1 and all(bool((array == array[:1]).all()) for array in samples.values()):
        what = f"all {count} samples are the same"
    else:
        return ""
    return f"{place}: {what}, so ranges from them are wrong for others; give samples like what the model will see"
