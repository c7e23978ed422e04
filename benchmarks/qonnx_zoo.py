"""Trained 1- to 3-bit networks of the QONNX model zoo: irc beside the executor of the package qonnx.

    python -m venv /tmp/qonnx && /tmp/qonnx/bin/pip install qonnx 'onnx<1.23'   # runs beside no newer onnx
    python -m benchmarks.qonnx_zoo --qonnx /tmp/qonnx/bin/python --models ../shared/data/qonnx

Integers are what the activations of each layer are rounded to: the interpreter must give the same codes. What floats
follow (batch norm, softmax) may differ in the last bits, as every runtime orders such sums its own way.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import irc
from irc.ir.graph import Module, Value
from irc.ir.ops.quant import Dequantize
from irc.ir.ops.structure import Const
from irc.ir.scalars import Array

# Runs where qonnx is: what every Quant of an activation gives, in order, and the results.
EXECUTOR = """
import sys
import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

model = cleanup_model(ModelWrapper(sys.argv[1]))
stored = {t.name for t in model.graph.initializer}
kinds = ("Quant", "BipolarQuant")
names = [n.output[0] for n in model.graph.node if n.op_type in kinds and n.input[0] not in stored]
names += ["=" + o.name for o in model.graph.output]
samples = np.load(sys.argv[2])
runs = [execute_onnx(model, {model.graph.input[0].name: x}, return_full_exec_context=True) for x in samples]
np.savez(sys.argv[3], **{name: np.stack([r[name.lstrip("=")] for r in runs]) for name in names})
"""


@dataclass(frozen=True)
class Agreement:
    """How many codes of activations there are and how many are the same; the largest difference of the results."""

    codes: int
    same: int
    results: float
    scale: float


def compare(model: Path, python: str, samples: Array) -> Agreement:
    """A network on samples, here and by the executor."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "x.npy", Path(folder) / "y.npz"
        np.save(given, samples)
        subprocess.run([python, "-c", EXECUTOR, model, given, found], check=True, capture_output=True)
        with np.load(found) as archive:
            theirs = dict(archive)
    activations = [array for name, array in theirs.items() if not name.startswith("=")]
    (results,) = [array for name, array in theirs.items() if name.startswith("=")]
    ours, outputs = _ours(read(model), samples)
    assert len(ours) == len(activations), f"{len(ours)} activations, {len(activations)} in qonnx"
    pairs = [(a, b, step) for (a, step), b in zip(ours, activations, strict=True)]
    same = sum(int(np.sum(np.abs(a - b.reshape(a.shape)) < step / 4)) for a, b, step in pairs)
    difference = float(np.abs(outputs - results.reshape(outputs.shape)).max())
    return Agreement(sum(a.size for a, _, _ in pairs), same, difference, float(np.abs(results).max()))


def read(model: Path) -> Module:
    """The network as IR."""
    return irc.compile(str(model), passes="").captured


def _ours(module: Module, samples: Array) -> tuple[list[tuple[Array, float]], Array]:
    """The activations behind each rounding, with the distance between codes, and the results."""
    rounded = [n for n in module.main.nodes if isinstance(n, Dequantize) and not isinstance(n.x.node, Const)]
    seen: dict[Value, list[Array]] = {n.result: [] for n in rounded}

    def note(value: Value, array: Array) -> None:
        if value in seen:
            seen[value].append(array)

    outputs = [irc.interpret(module, [x], observe=note)[0] for x in samples]
    return [(np.stack(seen[n.result]), _step(n)) for n in rounded], np.stack(outputs)


def _step(node: Dequantize) -> float:
    scale = node.scale.node
    assert isinstance(scale, Const)
    return float(np.min(scale.value.array))


def samples_for(model: Path, count: int, seed: int = 0) -> Array:
    """Random inputs of its type [count, ...]: -1 and 1 for the one that takes bits, else normal ones."""
    kind = read(model).main.inputs[0].type
    rng = np.random.default_rng(seed)
    shape = (count, *(d for d in kind.shape if isinstance(d, int)))
    bits = model.name.startswith("unsw")
    return (rng.integers(0, 2, shape) * 2 - 1 if bits else rng.normal(size=shape)).astype(np.float32)


@click.command()
@click.option("--qonnx", "python", required=True, help="A Python in which qonnx is installed.")
@click.option("--models", type=click.Path(path_type=Path, exists=True), required=True, help="A folder of .onnx files.")
@click.option("--samples", default=100, show_default=True)
def main(python: str, models: Path, samples: int) -> None:
    """Compare all networks of a folder."""
    table = Table("network", "codes of activations", "the same", "results differ by", "and reach")
    for model in _networks(models):
        found = compare(model, python, samples_for(model, samples))
        table.add_row(model.stem, str(found.codes), str(found.same), f"{found.results:.3g}", f"{found.scale:.3g}")
    Console().print(table)


def _networks(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("*.onnx"))


if __name__ == "__main__":
    main()
