"""How ops become stages (`ANCHORS`) or statements of an epilogue (`STEPS`), one file a family."""

from __future__ import annotations

from typing import Any

from irc.backends.fpga_hls.epilogue import STEPS
from irc.backends.fpga_hls.lower import bits, linear, math, pool, quant, tensor, token
from irc.backends.fpga_hls.lower.common import ANCHORS
from irc.ir.op import Op

LOWERINGS: dict[type[Op], Any] = {**ANCHORS, **STEPS}

__all__ = ["ANCHORS", "LOWERINGS", "STEPS", "bits", "linear", "math", "pool", "quant", "tensor", "token"]
