"""Images at places that the data tell, and images made of windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from irc.frontend.composed.grid import Mode, Outside, grid_sample
from irc.frontend.composed.windows import from_windows
from irc.frontend.onnx.context import Context
from irc.frontend.onnx.table import converts
from irc.ir.graph import Value

OLDER: dict[str, Mode] = {"bilinear": "linear", "bicubic": "cubic"}  # their names up to operator set 19


@converts("GridSample")
def grid_sample_of(
    c: Context,
    x: Value,
    grid: Value,
    *,
    align_corners: int = 0,
    mode: Literal["linear", "nearest", "cubic", "bilinear", "bicubic"] = "linear",
    padding_mode: Outside = "zeros",
) -> Value:
    how = OLDER.get(mode) or cast(Mode, mode)
    return grid_sample(c, x, grid, how, padding_mode, bool(align_corners))


@converts("Col2Im")
def col2im(
    c: Context,
    x: Value,
    image: Value,
    block: Value,
    *,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Value:
    size, kernel = c.ints(image, "the shape of the image"), c.ints(block, "the shape of a block")
    n = len(size)
    dilation, stride = c.default(dilations, 1, n), c.default(strides, 1, n)
    padding = c.default(pads, 0, 2 * n)
    return from_windows(c, x, x.type.shape[:1], size, kernel, dilation, padding, stride)
