"""Lowerings, one file an op family. Importing this package fills the tables."""

from irc.backends.cpu_simd.lower import attention, bits, bytes, linear, math, norm, pool, quant, tensor, token
from irc.backends.cpu_simd.lower.common import BYTE_STEPS, EPILOGUES, LOWERINGS, STEPS

__all__ = [
    "BYTE_STEPS",
    "EPILOGUES",
    "LOWERINGS",
    "STEPS",
    "attention",
    "bits",
    "bytes",
    "linear",
    "math",
    "norm",
    "pool",
    "quant",
    "tensor",
    "token",
]
