"""Innermost loops for processors that are not at hand, by LLVM's models of them: products a cycle.

    apt install llvm                                # llvm-mca; the newest one is taken
    python -m benchmarks.elsewhere                  # the units of benchmarks.products
    python -m benchmarks.elsewhere linear --json elsewhere.json

A model knows the units of a processor and how long instructions take, but no caches and no guesses at branches: what it
says is a bound of the loop, and good for comparing two loops. It takes no time of this machine.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.products import UNITS, layers_of, module_of
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.inspect import Loop, loops, spills
from irc.backends.cpu_simd.isa import ISAS, Isa
from irc.backends.cpu_simd.library import assembly_of
from irc.ir.diagnostics import ToolError

PROCESSORS = {
    "avx512-vnni": ("icelake-server",),
    "aarch64": ("cortex-a53", "cortex-a72"),
    "aarch64+dotprod": ("cortex-a55", "neoverse-n1", "neoverse-n2"),
    "aarch64+i8mm": ("neoverse-n2",),
}
PRODUCTS = {
    r"vpdpbusd": 16,
    r"vfmadd\d+ps": 4,
    r"(sdot|usdot|sudot) ": 16,
    r"usmmla ": 32,
    r"(smull|smlal)2? v\d+\.8h": 8,
    r"(mla|fmla) v\d+\.4s": 4,
}
"""Products of an instruction, for each 128 bits of it."""
WIDER = {"%zmm": 4, "%ymm": 2}
JUMP = re.compile(r"(j|b\.|cbn?z)")
ROUNDS = 100


def products(line: str) -> int:
    """What an instruction multiplies."""
    width = next((times for register, times in WIDER.items() if register in line), 1)
    return next((width * count for pattern, count in PRODUCTS.items() if re.match(pattern, line)), 0)


def cycles(loop: Loop, isa: Isa, processor: str) -> float:
    """Of one round. Raises ToolError if there is no llvm-mca, or if it knows an instruction not."""
    newest = (*(f"llvm-mca-{version}" for version in range(40, 13, -1)), "llvm-mca")
    found = next(filter(None, map(shutil.which, newest)), None)
    if found is None:
        raise ToolError("there is no llvm-mca", hint="apt install llvm")
    body = "\n".join(line for line in loop.lines if not JUMP.match(line))
    features = "+dotprod,+i8mm" if isa.arch == "aarch64" else ""
    command = [found, f"-mtriple={isa.triple}", f"-mcpu={processor}", f"-mattr={features}", f"-iterations={ROUNDS}"]
    result = subprocess.run(command, input=body, capture_output=True, text=True, check=False)
    total = re.search(r"Total Cycles:\s+(\d+)", result.stdout)
    if total is None:
        raise ToolError(f"llvm-mca has no figures for {processor}: {result.stderr.splitlines()[0]}")
    return int(total[1]) / ROUNDS


def measure(unit: str, target: str, bits: int) -> list[dict[str, object]]:
    """The loop of a unit with the most products, on each processor of a target."""
    module, isa = module_of(layers_of(UNITS[unit], 1, bits), bits, False), ISAS[target]
    text = assembly_of(compile_graph(module.main, isa).program, module.main, isa)
    inner = max((loop for loop in loops(text) if loop.innermost), key=lambda loop: sum(map(products, loop.lines)))
    count = sum(map(products, inner.lines))
    shared = {"unit": unit, "bits": bits, "target": target, "spills": len(spills(text, isa.arch))}
    return [{**shared, "processor": p, "products a cycle": count / cycles(inner, isa, p)} for p in PROCESSORS[target]]


@click.command()
@click.argument("words", nargs=-1)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the records too.")
def main(words: Sequence[str], path: Path | None) -> None:
    """Print; WORDS choose rows whose name contains one."""
    table = Table("unit", "bits", "target", "processor", "products a cycle", "spills")
    records = [
        record
        for unit in UNITS
        if not words or any(word in unit for word in words)
        for target in PROCESSORS
        for bits in (8, 32)
        for record in measure(unit, target, bits)
    ]
    for r in records:
        shown = (r["unit"], r["bits"], r["target"], r["processor"], f"{r['products a cycle']:.1f}", r["spills"])
        table.add_row(*map(str, shown))
    Console(width=150).print(table)
    if path is not None:
        path.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
