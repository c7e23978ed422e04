"""`codes.py` of a project: floats of the model to the codes of the ports and back, with NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence

from irc.backends.fpga_hls.testbench import Port
from irc.ir.graph import Value
from irc.ir.ops.quant import group_scales

HEAD = '''\
"""Codes of the ports for ./tb, and what they stand for, with NumPy.

    python3 codes.py encode samples.npz in.bin    # inputs of the model by name, [samples, ...], to codes
    ./tb in.bin out.bin SAMPLES
    python3 codes.py decode out.bin results.npz   # codes to floats, real = scale * (code - zero)
"""

import sys
from math import prod

import numpy as np

# Of each port: name, type, scale (None: numbers are codes), zero, lowest and highest code, shape of a sample, and the
# loops over its elements in C order that give the order of the port, (count, step), outermost first.
'''

TAIL = """

def order(loops):
    return np.array(sum(np.ix_(*(np.arange(count) * step for count, step in loops)))).ravel()


def record(ports):
    return np.dtype([(name, kind, (prod(shape),)) for name, kind, _, _, _, _, shape, _ in ports])


def encode(source, target):
    arrays = np.load(source)
    if missing := [name for name, *_ in INPUTS if name not in arrays]:
        sys.exit(f"{source} has no {', '.join(missing)}: ports of other names than inputs take what the host computes")
    samples = arrays[INPUTS[0][0]].size // prod(INPUTS[0][6])
    found = np.empty(samples, record(INPUTS))
    for name, kind, scale, zero, lowest, highest, shape, loops in INPUTS:
        codes = arrays[name].reshape(samples, *shape)
        if scale is not None:
            inverse = np.float32(1) / np.array(scale, np.float32)
            codes = np.clip(np.rint(codes.astype(np.float32) * inverse) + np.array(zero), lowest, highest)
        found[name] = codes.reshape(samples, -1)[:, order(loops)]
    found.tofile(target)
    print(f"{target}: {samples} samples")


def decode(source, target):
    data, arrays = np.fromfile(source, record(OUTPUTS)), {}
    for name, kind, scale, zero, _, _, shape, loops in OUTPUTS:
        codes = np.empty((len(data), prod(shape)), np.int64)
        codes[:, order(loops)] = data[name]
        codes = codes.reshape(-1, *shape[1:])
        arrays[name] = codes if scale is None else np.array(scale, np.float32) * (codes - zero).astype(np.float32)
    np.savez(target, **arrays)
    print(f"{target}: {len(data)} samples")


if len(sys.argv) != 4 or sys.argv[1] not in ("encode", "decode"):
    sys.exit(__doc__)
{"encode": encode, "decode": decode}[sys.argv[1]](*sys.argv[2:])
"""


def codes_script(inputs: Sequence[Port], outputs: Sequence[Port]) -> str:
    """`codes.py`"""
    return f"{HEAD}INPUTS = {_table(inputs)}\nOUTPUTS = {_table(outputs)}\n{TAIL}"


def _table(ports: Sequence[Port]) -> str:
    return "[\n" + "".join(f"    {_row(port)},\n" for port in ports) + "]"


def _row(port: Port) -> str:
    scale, zero = _meaning(port.value)
    loops = port.layout.loops or ((1, 1),)
    kind, code = port.code.port_dtype.str, port.code
    facts = (port.value.name or port.name, kind, scale, zero, code.lowest, code.highest, port.shape, loops)
    return repr(facts)


def _meaning(value: Value) -> tuple[object, object]:
    """Scale and zero point, as lists that broadcast to the shape of a value where there are several."""
    encoding = value.type.encoding
    if encoding is None or encoding.binary:
        return None, 0
    layout = (encoding.axis, encoding.group, value.type.rank)
    return group_scales(encoding.scales, *layout).tolist(), group_scales(encoding.zps, *layout).tolist()
