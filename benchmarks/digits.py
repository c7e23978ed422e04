"""Both digits examples through every preset to an FPGA project, simulated on the whole test split.

    python -m benchmarks.digits                 # a table, and digits.json

Top-1 of the float model, of the C simulation, and whether the simulation has the bits of the interpreter; then what
the project needs on the default part. All figures but the times are the same on every machine.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

import irc

EXAMPLES = Path(__file__).parent.parent / "examples"
PRESETS = ("quant8", "quant4", "quant4a4")
COLUMNS = ("model", "preset", "bit-equal", "float top-1", "compiled top-1", "flips", "compile s", "verify s")


def measure(model: str, preset: str, folder: Path) -> dict[str, object]:
    """Compile, simulate the test split, and report."""
    start = time.perf_counter()
    artifact = irc.compile(
        EXAMPLES / f"{model}.pt2",
        passes=f"{preset},fuse",
        backend="hls",
        calib=EXAMPLES / "digits_calib.npz",
        out=folder / f"{model}-{preset}",
    )
    compiled = time.perf_counter()
    found = artifact.verify(EXAMPLES / "digits_test.npz")
    accuracy = found.accuracy
    assert accuracy is not None
    return {
        "model": model,
        "preset": preset,
        "bit-equal": found.exact,
        "float top-1": round(100 * accuracy.a_right / accuracy.samples, 2),
        "compiled top-1": round(100 * accuracy.b_right / accuracy.samples, 2),
        "flips": accuracy.changed,
        "compile s": round(compiled - start, 1),
        "verify s": round(time.perf_counter() - compiled, 1),
        "summary": artifact.report["summary"],
    }


@click.command()
@click.option("--model", "models", multiple=True, default=("digits_vit", "digits_cnn"))
@click.option("--out", type=click.Path(path_type=Path), default=Path("digits.json"))
def main(models: tuple[str, ...], out: Path) -> None:
    """Run and print."""
    table = Table(*COLUMNS)
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            for preset in PRESETS:
                rows.append(measure(model, preset, Path(folder)))
                table.add_row(*(str(rows[-1][c]) for c in COLUMNS))
                print(rows[-1], flush=True)
    Console().print(table)
    out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
