"""How much of a zoo of models with random weights goes all the way: captured, run, quantized, exported, simulated.

    pip install -e '.[zoo,vision]'
    python -m benchmarks.zoo --out zoo.json              # what is not in zoo.json yet
    python -m benchmarks.zoo --out zoo.json --only 'swin' --again
    python -m benchmarks.zoo --out zoo.json --failed     # what failed, once more

Each model runs in a process of its own, with limits of time and memory; results are written after every model, and a
run that was stopped goes on where it was. `benchmarks/zoo_trial.py` says what is asked of a model, the models are in
`benchmarks/specimens`. Small shapes, so that a model takes about a minute: `note` says what is smaller than the name.
"""

from __future__ import annotations

import datetime
import itertools
import json
import multiprocessing
import os
import re
import resource
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import click
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.coverage import cell
from benchmarks.machine import facts
from benchmarks.specimens import OWN, PACKAGES, SPECIMENS, Specimen, load, missing
from benchmarks.zoo_trial import STEPS, attempts

GIGABYTES = 12
PATIENCE = 10  # times the limit of processor time, on a busy machine
FORK = multiprocessing.get_context("fork")  # the packages of all models are imported once
MODELS = ("convolutions", "tokens", "papers", *PACKAGES)  # `functions` are single functions and modes, for the tests


def measure(specimen: Specimen, steps: Sequence[str], limit: float) -> dict[str, Any]:
    """One model in a process of its own; steps that it does not live to finish say why."""
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=child, args=(sender, specimen, steps, limit))
    process.start()
    sender.close()
    found: dict[str, Any] = {}
    deadline = time.monotonic() + PATIENCE * limit
    why = ""
    while not why:
        if not receiver.poll(max(0.0, deadline - time.monotonic())):
            why = f"not done after {PATIENCE * limit:.0f} s"
            break
        try:
            step, told = receiver.recv()
        except EOFError:
            process.join()
            slow = process.exitcode == -signal.SIGXCPU
            died = f"not done after {limit:.0f} s of processor time" if slow else f"it died ({process.exitcode})"
            why = died if process.exitcode else ""
            break
        found[step] = told
    process.kill()
    process.join()
    asked = [step for step in STEPS if step != "hls" or specimen.hardware]
    for step in asked:
        if why and step not in found and step in ("capture", *steps):
            found[step] = {"ok": False, "reason": why}
            why = "an earlier step did not end"
    return {"group": specimen.group, "inputs": list(specimen.inputs), "note": specimen.note, **found}


def child(sender: Connection, specimen: Specimen, steps: Sequence[str], seconds: float) -> None:
    """Send each step as it is done."""
    torch.set_num_threads(1)
    used = sum(os.times()[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (round(used + seconds), round(used + 2 * seconds)))
    resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES * 2**30, GIGABYTES * 2**30))
    try:
        for step, told in attempts(specimen, steps):
            sender.send((step, told))
    except Exception as error:  # building the model
        sender.send(("capture", {"ok": False, "reason": f"PyTorch cannot build it: {error}"}))


def warm_up(steps: Sequence[str]) -> None:
    """Go through all steps once here, so that the processes to come start with everything imported."""
    tiny = Specimen("tiny", lambda: torch.nn.Linear(4, 2), ("f32[1, 4]",), 2, None, 0, "tiny")
    assert all(told["ok"] is not False for _, told in attempts(tiny, steps))


def failed(found: dict[str, Any]) -> bool:
    """Whether any step failed."""
    return any(found.get(step, {}).get("ok") is False for step in STEPS)


def chosen(found: dict[str, Any], only: str, again: bool, retry: bool) -> list[Specimen]:
    """The specimens to run, of all groups in turn: a run that is stopped has seen every kind."""
    groups: dict[str, list[Specimen]] = {}
    for name, specimen in SPECIMENS.items():
        if re.search(only, name):
            groups.setdefault(specimen.group, []).append(specimen)
    wanted = [s for turn in itertools.zip_longest(*groups.values()) for s in turn if s is not None]
    if again:
        return wanted
    return [s for s in wanted if s.name not in found or (retry and failed(found[s.name]))]


def write(path: Path, found: dict[str, Any]) -> None:
    """Write the results, sorted, replacing the file in one step."""
    packages = [
        p
        for p in ("torch", "timm", "torchvision", "transformers", "numpy", "onnxruntime")
        if p not in missing().values()
    ]
    text = json.dumps(
        {"machine": facts(*packages), "catalogue": sorted(SPECIMENS), "models": dict(sorted(found.items()))},
        indent=1,
        sort_keys=True,
    )
    draft = path.with_suffix(".draft")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("zoo.json"), help="Results; what is there is kept."
)
@click.option("--only", default="", help="A regular expression that names must match.")
@click.option("--group", "groups", multiple=True, type=click.Choice([*OWN, *PACKAGES]), default=MODELS)
@click.option("--step", "steps", multiple=True, type=click.Choice(STEPS), default=STEPS)
@click.option("--again", is_flag=True, help="Also what has results.")
@click.option("--failed", "retry", is_flag=True, help="Also what has results, where a step failed.")
@click.option("--limit", default=900.0, help="Seconds of processor time for a model.")
def main(
    out: Path, only: str, groups: tuple[str, ...], steps: tuple[str, ...], again: bool, retry: bool, limit: float
) -> None:
    """Run, write and print."""
    absent = missing()
    for group in groups:
        if group in absent:
            print(f"{group} is left out: the package {absent[group]} is not installed")
    load(*(g for g in groups if g not in absent))
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))["models"] if out.exists() else {}
    warm_up(steps)
    for specimen in chosen(found, only, again, retry):
        start = time.monotonic()
        result = measure(specimen, steps, limit)
        result["seconds"] = round(time.monotonic() - start, 1)
        result["date"] = datetime.date.today().isoformat()
        found[specimen.name] = {**found.get(specimen.name, {}), **result}
        write(out, found)
        print(f"{specimen.name}: {line(result)} ({result['seconds']} s)", flush=True)
    show(found)


def line(result: dict[str, Any]) -> str:
    """One result in one line."""
    told = [
        f"{s} {'ok' if result[s]['ok'] else result[s]['reason']}"
        for s in STEPS
        if result.get(s, {}).get("ok") is not None
    ]
    return "; ".join(told)


def show(found: dict[str, Any]) -> None:
    """A table of all results."""
    table = Table("model", "captured", "batch varies", *STEPS[1:])
    for name, result in found.items():
        cells = [cell(result.get(step, {})) for step in STEPS]
        table.add_row(name, cells[0], "no" if result["capture"].get("fixed") else "yes", *cells[1:])
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
