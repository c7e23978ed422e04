"""ROMs as C++ arrays: plain numbers, and packed weights in the layout of templates/rom.h."""

from __future__ import annotations

import numpy as np

from irc.backends.fpga_hls.emit.writer import WIDTH, Writer, wrapped
from irc.backends.fpga_hls.stage import Rom, Stage
from irc.backends.fpga_hls.types import float_literal, narrowest_builtin
from irc.ir.scalars import Array


def write_roms(writer: Writer, stage: Stage) -> None:
    """Definitions of all constant arrays of a stage."""
    for rom in stage.roms:
        if isinstance(rom.values, np.ndarray):
            _plain(writer, rom.name, rom.values)
        else:
            pe, simd = stage.fold
            _packed(writer, rom, pe, simd)
        writer.line()


def _plain(writer: Writer, name: str, values: Array) -> None:
    kind = "float" if values.dtype.kind == "f" else narrowest_builtin(values)
    text = [float_literal(float(v)) for v in values.flat] if kind == "float" else list(map(str, values.flat))
    extents = "".join(f"[{n}]" for n in values.shape)
    writer.line(f"const {kind} {name}{extents} = {{")
    if values.ndim == 1:
        writer.raw(wrapped(text))
    else:
        columns = values.shape[1]
        for row in range(len(values)):
            writer.raw("    {\n" + wrapped(text[row * columns : (row + 1) * columns], "        ") + "    },\n")
    writer.line("};")


def _packed(writer: Writer, rom: Rom, pe: int, simd: int) -> None:
    assert not isinstance(rom.values, np.ndarray)
    code = rom.values.code
    tiles = rom.values.tiles(pe, simd)
    words = pack(tiles, code.bits)
    writer.comment(f"{code.cpp}, {tiles.shape[1]} codes a row, the first in the lowest bits")
    writer.line(f"const uint{words.dtype.itemsize * 8}_t {rom.name}[{words.shape[0]}][{words.shape[1]}] = {{")
    writer.raw(hex_rows(words))
    writer.line("};")


def pack(tiles: Array, bits: int) -> Array:
    """Codes [rows, lanes] as words [rows, words], without gaps, lane 0 lowest; words are as narrow as a row allows."""
    rows, lanes = tiles.shape
    width = next((w for w in (8, 16, 32) if lanes * bits <= w), 64)
    codes = tiles.astype(np.int64).view(np.uint64) & np.uint64((1 << bits) - 1)
    words = np.zeros((rows, -(-lanes * bits // width)), np.uint64)
    for lane in range(lanes):
        word, shift = divmod(lane * bits, width)
        words[:, word] |= codes[:, lane] << np.uint64(shift)
        if shift + bits > width:
            words[:, word + 1] |= codes[:, lane] >> np.uint64(width - shift)
    return (words & np.uint64((1 << width) - 1)).astype(f"<u{width // 8}")


_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def hex_rows(words: Array) -> str:
    """Rows of an initialiser, `{0x12, 0x34},`, several to a line or a row over several lines.

    All rows have equal length as text, so that the digits of all words are written at once.
    """
    rows, columns = words.shape
    digits = words.dtype.itemsize * 2
    size = words.dtype.itemsize
    octets = words.astype(words.dtype.newbyteorder(">")).view(np.uint8).reshape(rows, columns, size)
    figures = np.stack([_DIGITS[octets >> 4], _DIGITS[octets & 15]], axis=-1).reshape(rows, columns, digits)
    per_line = max(1, (WIDTH - 8) // (digits + 4))
    blank = "0x" + "?" * digits
    groups = [", ".join([blank] * len(range(columns)[i : i + per_line])) for i in range(0, columns, per_line)]
    pattern = "{" + ",\n     ".join(groups) + "},"
    row = np.frombuffer(pattern.encode(), np.uint8)
    text = np.tile(row, (rows, 1))
    text[:, row == ord("?")] = figures.reshape(rows, -1)
    beside = max(1, (WIDTH - 4) // (len(pattern) + 1)) if "\n" not in pattern else 1
    lead = [b"    " if i % beside == 0 else b" " for i in range(beside)]
    whole = rows // beside * beside
    parts: list[bytes] = []
    if whole:
        columns_of_text: list[Array] = []
        chunk = text[:whole].reshape(-1, beside, len(row))
        for i in range(beside):
            columns_of_text.append(np.broadcast_to(np.frombuffer(lead[i], np.uint8), (len(chunk), len(lead[i]))))
            columns_of_text.append(chunk[:, i])
        columns_of_text.append(np.full((len(chunk), 1), ord("\n"), np.uint8))
        parts.append(np.concatenate(columns_of_text, axis=1).tobytes())
    if whole < rows:
        parts.append(b"    " + b" ".join(r.tobytes() for r in text[whole:]) + b"\n")
    return b"".join(parts).decode("ascii")
