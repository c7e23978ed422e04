"""Lowerings, one file an op family. Importing this package fills the tables."""

from irc.backends.cpu_simd.lower import linear, math, quant, tensor
from irc.backends.cpu_simd.lower.common import EPILOGUES, LOWERINGS, STEPS

__all__ = ["EPILOGUES", "LOWERINGS", "STEPS", "linear", "math", "quant", "tensor"]
