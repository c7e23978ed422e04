"""The parameters of a model as files: npz, JSON, C headers, and memories for Verilog and Xilinx tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from irc.backends.folder import write_json, write_npz
from irc.ir.scalars import Array, ScalarType
from irc.tools.params.formulas import NOTATION
from irc.tools.params.gather import Constant, Gathered, Json

SCHEMA = 1
WORDS = 12  # numbers on a line of C
Write = Callable[[str, Gathered, Path], None]


def write_arrays(name: str, found: Gathered, folder: Path) -> None:
    """`params.npz`: constants by name, and `golden/<value>` for what one sample gives."""
    arrays = {c.name: c.array for c in found.constants}
    golden = {f"golden/{key}": array for key, (_, array) in found.golden.items()}
    write_npz(folder / "params.npz", {**arrays, **golden})


def write_description(name: str, found: Gathered, folder: Path) -> None:
    """`params.json`: the ops in order, types and scales of everything, and the arithmetic."""
    write_json(folder / "params.json", description(name, found))


def description(name: str, found: Gathered) -> Json:
    """What the JSON file holds."""
    return {
        "schema": SCHEMA,
        "model": name,
        "notation": list(NOTATION),
        "arithmetic": found.arithmetic,
        "inputs": found.inputs,
        "outputs": found.outputs,
        "constants": {c.name: c.described for c in found.constants},
        "values": found.values,
        "ops": found.ops,
        "arrays": "params.npz: constants by name, golden/<value> for the values of one sample",
    }


# -- C


def write_headers(name: str, found: Gathered, folder: Path) -> None:
    """`params.h`: the constants; `golden.h`: the values of one sample."""
    constants = [(c.name, c.scalar, c.array, _about(c)) for c in found.constants]
    golden = [(f"golden_{key}", kind, array, "") for key, (kind, array) in found.golden.items()]
    for file, arrays in (("params", constants), ("golden", golden)):
        guard = f"IRC_{file.upper()}_H"
        lines = [*_comment(found), f"#ifndef {guard}", f"#define {guard}", "#include <stdint.h>", ""]
        lines += [line for entry in arrays for line in _c_array(*entry)]
        lines += [line for op in found.ops for line in _c_factors(op)] if file == "params" else []
        text = "\n".join([*lines, f"#endif /* {guard} */", ""])
        (folder / f"{file}.h").write_text(text, encoding="ascii", newline="\n")


def _about(c: Constant) -> str:
    scale = c.described.get("scale")
    shown = "" if scale is None else " scale a channel" if isinstance(scale, list) else f" scale {scale!r}"
    return f"{c.scalar}{list(c.array.shape)} {c.layout}{shown}"


def _comment(found: Gathered) -> Iterator[str]:
    yield "/* Parameters of an integer model. The arithmetic:"
    yield from (f" *   {line}" for line in (*NOTATION, *_formula_lines(found.arithmetic)))
    yield " */"


def _formula_lines(arithmetic: Mapping[str, str]) -> Iterator[str]:
    yield from (f"{op}: {formula}" for op, formula in arithmetic.items())


def _c_array(name: str, scalar: ScalarType, array: Array, about: str) -> Iterator[str]:
    flat = array.reshape(-1)
    if about:
        yield f"/* {about} */"
    yield f"#define {name.upper()}_SIZE {flat.size}"
    yield f"static const {c_type(scalar)} {name}[{max(1, flat.size)}] = {{"
    words = [c_number(v, scalar) for v in flat] or ["0"]
    yield from (f"  {', '.join(words[i : i + WORDS])}," for i in range(0, len(words), WORDS))
    yield "};"
    yield ""


def _c_factors(op: Json) -> Iterator[str]:
    """Attributes of an op as macros, those of `requantize` with the zero points."""
    name = op["results"][0].upper()
    for key, value in op["attributes"].items():
        if isinstance(value, int) and not isinstance(value, bool):
            yield f"#define {name}_{key.upper()} {value}"


def c_type(scalar: ScalarType) -> str:
    """The C type that holds a scalar, one element each."""
    if scalar.is_float:
        return "float"
    kind = scalar.dtype
    return "uint8_t" if kind == np.bool_ else f"{kind.name}_t"


def c_number(value: object, scalar: ScalarType) -> str:
    """A number as C source that reads back as the same number."""
    if scalar.is_float:
        number = float(np.asarray(value))
        if not np.isfinite(number):
            return "(0.0f/0.0f)" if np.isnan(number) else f"({'-' if number < 0 else ''}1.0f/0.0f)"
        return f"{number.hex()}f"
    number = int(np.asarray(value))
    return f"(-{2**31 - 1} - 1)" if number == -(2**31) else str(number)


# -- memories


def write_readmemh(name: str, found: Gathered, folder: Path) -> None:
    """`mem/<constant>.mem` for $readmemh: one word a line, hexadecimal, two's complement in its own width."""
    for c in _memories(found, folder / "mem"):
        head = [f"// {line}" for line in _memory_comment(c, found)]
        (folder / "mem" / f"{c.name}.mem").write_text("\n".join([*head, *words(c), ""]), encoding="ascii")


def write_coe(name: str, found: Gathered, folder: Path) -> None:
    """`coe/<constant>.coe`: the same words as a Xilinx memory initialization file."""
    for c in _memories(found, folder / "coe"):
        head = [f"; {line}" for line in _memory_comment(c, found)]
        vector = ",\n".join(words(c))
        body = ["memory_initialization_radix=16;", "memory_initialization_vector=", f"{vector};", ""]
        (folder / "coe" / f"{c.name}.coe").write_text("\n".join([*head, *body]), encoding="ascii")


def _memories(found: Gathered, folder: Path) -> Sequence[Constant]:
    folder.mkdir()
    return [c for c in found.constants if c.array.size]


def _memory_comment(c: Constant, found: Gathered) -> Iterator[str]:
    yield f"{_about(c)}, one element a word of {bits_of(c.scalar)} bits"
    yield from NOTATION
    yield from _formula_lines(found.arithmetic)


def bits_of(scalar: ScalarType) -> int:
    """The width of a word."""
    return scalar.dtype.itemsize * 8 if scalar.is_float else scalar.bits


def words(c: Constant) -> list[str]:
    """The elements as hexadecimal words."""
    bits = bits_of(c.scalar)
    digits, mask = -(-bits // 4), (1 << bits) - 1
    flat = c.array.reshape(-1)
    if c.scalar.is_float:
        pattern = flat.astype(c.scalar.dtype).view(f"u{c.scalar.dtype.itemsize}")
        return [f"{int(v):0{digits}x}" for v in pattern]
    return [f"{int(v) & mask:0{digits}x}" for v in flat]


FILES: dict[str, Write] = {
    "npz": write_arrays,
    "json": write_description,
    "h": write_headers,
    "mem": write_readmemh,
    "coe": write_coe,
}
