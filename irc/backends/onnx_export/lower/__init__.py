"""Lowerings, one file an op family. Importing this package fills the table."""

from irc.backends.onnx_export.lower import attention, bits, linear, math, norm, pool, quant, structure, tensor, token
from irc.backends.onnx_export.lower.common import LOWERINGS

__all__ = ["LOWERINGS", "attention", "bits", "linear", "math", "norm", "pool", "quant", "structure", "tensor", "token"]
