"""The digits transformer with weights or tokens left out, to FPGA projects, simulated on the whole test split.

    python -m benchmarks.removed                # a table, and removed.json
    python -m benchmarks.removed --only blocks

Top-1 of the C simulation (without retraining), and whether it has the bits of the interpreter; multiply-accumulates and
cycles as reported, with folding left to the compiler, and with all stages folded alike. All figures but the times are
the same on every machine.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import click

import irc

EXAMPLES = Path(__file__).parent.parent / "examples"
COUNTED = "specialize{batch=1},token-select{kind=threshold threshold=0.01}"
VARIANTS = {
    "dense": "quant8,fuse",
    "pairs": "prune{kind=2:4},quant8,fuse",
    "blocks": "prune{kind=block:4x4 sparsity=0.7},quant8,fuse",
    "topk": "token-select{keep=0.7},quant8,fuse",
    "threshold": f"{COUNTED},quant8,fuse",
    "keep-all": "token-select{keep=1},quant8,fuse",
}


def measure(name: str, folder: Path) -> dict[str, object]:
    """Compile, simulate the test split, and report."""
    start = time.perf_counter()
    artifact = irc.compile(
        EXAMPLES / "digits_vit.pt2",
        passes=VARIANTS[name],
        backend="hls{style=dataflow}",
        calib=EXAMPLES / "digits_calib.npz",
        out=folder / name,
    )
    compiled = time.perf_counter()
    found = artifact.verify(EXAMPLES / "digits_test.npz")
    accuracy = found.accuracy
    assert accuracy is not None
    layers = [row for row in artifact.report["layers"] if "cycles" in row]
    return {
        "variant": name,
        "bit-equal": found.exact,
        "images": accuracy.samples,
        "top-1": round(100 * accuracy.b_right / accuracy.samples, 2),
        "compile s": round(compiled - start, 1),
        "verify s": round(time.perf_counter() - compiled, 1),
        "summary": artifact.report["summary"],
        "cycles times multipliers": sum(row["cycles"] * row["multipliers"] for row in layers),
        "on average": sum(row.get("cycles, average", row["cycles"]) * row["multipliers"] for row in layers),
    }


@click.command()
@click.option("--only", "names", multiple=True, type=click.Choice(list(VARIANTS)), default=tuple(VARIANTS))
@click.option("--out", type=click.Path(path_type=Path), default=Path("removed.json"))
def main(names: tuple[str, ...], out: Path) -> None:
    """Run and print."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            rows.append(measure(name, Path(folder)))
            print(json.dumps(rows[-1]), flush=True)
            out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
