"""Lowerings, one file an op family. Importing this package fills the tables."""

from irc.backends.cpu_simd.lower import bytes, linear, math, pool, quant, tensor
from irc.backends.cpu_simd.lower.common import BYTE_STEPS, EPILOGUES, LOWERINGS, STEPS

__all__ = ["BYTE_STEPS", "EPILOGUES", "LOWERINGS", "STEPS", "bytes", "linear", "math", "pool", "quant", "tensor"]
