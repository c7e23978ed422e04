"""The page docs/coverage.md from the results of a run of the zoo.

python -m benchmarks.coverage                        # benchmarks/zoo.json -> docs/coverage.md
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "zoo.json", ROOT / "docs" / "coverage.md"
STEPS = ("capture", "interpreter", "cpu", "quant8", "onnx", "qdq", "hls")

Models = Mapping[str, Mapping[str, Any]]
HEAD = """# Coverage

What becomes of models with random weights: written by `python -m benchmarks.coverage` from `benchmarks/zoo.json`, the
results of `python -m benchmarks.zoo`. `interpreter` and `cpu` are max|difference| / max|PyTorch| of the worst output,
at batch sizes 1 and 3 where the batch varies; they fail above 1e-3. `quant8` and `qdq` are signal to noise in dB
against floats, of the worst output, of a CPU library and of an ONNX file in onnxruntime that agree with the
interpreter; `onnx` is onnxruntime against the interpreter. `hls` is a C simulation with every bit of the interpreter.
Accuracy of trained models is another matter.
"""


def page(text: str) -> str:
    """The page for the text of a results file."""
    found = json.loads(text)
    models: Models = found["models"]
    machine = ", ".join(f"{name} {value}" for name, value in sorted(found["machine"].items()))
    dates = sorted({m["date"] for m in models.values()})
    when = f"{dates[0]} to {dates[-1]}" if len(dates) > 1 else dates[0]
    parts = [HEAD, f"{len(models)} models; {when}; {machine}.\n", totals(models), failures(models), table(models)]
    if missing := sorted(set(found["catalogue"]) - models.keys()):
        parts.append(
            f"## Not run\n\n{len(missing)} more models of the catalogue have no results: {', '.join(missing)}.\n"
        )
    return "\n".join(parts)


def totals(models: Models) -> str:
    """How many of those that were asked went through."""
    rows = [
        ("captured", count(models, lambda m: m["capture"]["ok"])),
        ("of these, with a batch that varies", count(captured(models), lambda m: not m["capture"].get("fixed"))),
        ("and run at two sizes of it, interpreter and CPU", count(captured(models), two_sizes)),
        ("interpreter and CPU within 1e-3 of PyTorch", count(models, lambda m: passed(m, "interpreter", "cpu"))),
        ("`quant8,fuse` on the CPU", count(models, lambda m: passed(m, "quant8"))),
        ("ONNX, float, of those that run on the CPU", count(compiled(models), lambda m: passed(m, "onnx"))),
        ("ONNX, QDQ, of those that run on the CPU", count(compiled(models), lambda m: passed(m, "qdq"))),
        ("C simulation of the accelerator, of those asked", count(asked(models, "hls"), lambda m: passed(m, "hls"))),
    ]
    return "\n".join(["| what | models |", "|---|---|", *(f"| {what} | {told} |" for what, told in rows), ""])


def count(models: Models, good: Callable[[Mapping[str, Any]], bool]) -> str:
    """`N of M (p %)`"""
    n, m = sum(bool(good(each)) for each in models.values()), len(models)
    return f"{n} of {m} ({100 * n / m:.1f} %)" if m else "none asked"


def passed(model: Mapping[str, Any], *steps: str) -> bool:
    return all(model.get(step, {}).get("ok") is True for step in steps)


def two_sizes(model: Mapping[str, Any]) -> bool:
    """Whether one graph and one library gave PyTorch's results at both sizes of the batch."""
    return passed(model, "interpreter", "cpu") and all(model[s]["calls"] > 1 for s in ("interpreter", "cpu"))


def captured(models: Models) -> Models:
    return {name: m for name, m in models.items() if passed(m, "capture")}


def compiled(models: Models) -> Models:
    return {name: m for name, m in models.items() if passed(m, "cpu")}


def asked(models: Models, step: str) -> Models:
    return {name: m for name, m in models.items() if m.get(step, {}).get("ok") is not None}


def failures(models: Models) -> str:
    """Everything that did not go through, with the reason."""
    rows = [
        f"| {name} | {step} | {escaped(model[step]['reason'])} |"
        for name, model in models.items()
        for step in STEPS
        if model.get(step, {}).get("ok") is False
    ]
    rows += [
        f"| {name} | batch | {escaped(model['capture']['fixed'])} |"
        for name, model in models.items()
        if model["capture"].get("fixed")
    ]
    head = ["## What fails", "", "| model | step | reason |", "|---|---|---|"]
    return "\n".join([*head, *sorted(rows), ""]) if rows else "Nothing fails.\n"


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def table(models: Models) -> str:
    """All models."""
    head = [
        "## All models",
        "",
        "| model | size | parameters | batch | " + " | ".join(STEPS[1:]) + " |",
        "|" + "---|" * (4 + len(STEPS) - 1),
    ]
    rows = [row(name, model) for name, model in models.items()]
    return "\n".join([*head, *rows, ""])


def row(name: str, model: Mapping[str, Any]) -> str:
    """A model in one line."""
    size = model["note"] or "; ".join(model["inputs"])
    parameters = model["capture"].get("parameters", "")
    batch = "" if not passed(model, "capture") else "fixed" if model["capture"].get("fixed") else "varies"
    cells = [name, size, f"{parameters:,}" if parameters else "", batch, *(cell(model.get(s, {})) for s in STEPS[1:])]
    return "| " + " | ".join(cells) + " |"


def cell(step: Mapping[str, Any]) -> str:
    """A step in one cell."""
    if step.get("ok") is None:
        return ""
    if not step["ok"]:
        return "fails"
    if step.get("db") is not None:
        return f"{step['db']:.0f} dB"
    return f"{step['error']:.0e}" if "error" in step else "yes"


@click.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path), default=RESULTS)
@click.option("--out", type=click.Path(path_type=Path), default=PAGE)
def main(results: Path, out: Path) -> None:
    """Write the page."""
    out.write_text(page(results.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
