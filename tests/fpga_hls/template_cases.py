"""Test cases for the HLS templates: C++ calls, inputs, and what docs/numerics.md says must come out.

Every case is a piece of C++ (configuration, ROMs, epilogue, one call) with random inputs, and a NumPy result computed
from the formulas alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Streams = list[tuple[str, list[Ints]]]
"""The element type and the elements, sample by sample, of each stream of a case."""

SAMPLES = 2


@dataclass(frozen=True)
class Code:
    """The type of a quantized code."""

    bits: int
    signed: bool

    @property
    def lowest(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        return (1 << (self.bits - 1 if self.signed else self.bits)) - 1

    @property
    def cpp(self) -> str:
        return f"irc::{'Signed' if self.signed else 'Unsigned'}<{self.bits}>"

    @property
    def type(self) -> str:
        return f"irc::{'Int' if self.signed else 'UInt'}<{self.bits}>"

    def saturate(self, values: Ints) -> Ints:
        return np.clip(values, self.lowest, self.highest)

    def random(self, rng: np.random.Generator, shape: Sequence[int]) -> Ints:
        """Random codes, the two extreme ones more often than the others."""
        values = rng.integers(self.lowest, self.highest, shape, endpoint=True)
        extreme = np.where(rng.random(shape) < 0.5, self.lowest, self.highest)
        return np.where(rng.random(shape) < 0.1, extreme, values).astype(np.int64)


I8 = Code(8, signed=True)
U8 = Code(8, signed=False)
I16 = Code(16, signed=True)
I32 = Code(32, signed=True)
BOOL = Code(1, signed=False)


@dataclass
class Case:
    """One call of one template; inputs and outputs are per sample, in the order of the streams."""

    name: str
    header: str
    declarations: str
    call: str
    inputs: Streams = field(default_factory=Streams)
    outputs: Streams = field(default_factory=Streams)

    def cpp(self) -> str:
        """The namespace of this case; `run` does all samples."""
        lines = [f"namespace {self.name} {{", self.declarations, "void run(Tape& tape) {"]
        lines.append(f"for (int sample = 0; sample < {SAMPLES}; sample++) {{")
        for i, (cpp_type, samples) in enumerate(self.inputs):
            lines.append(f'irc::stream<{cpp_type}> x{i}("x{i}"); feed(x{i}, tape, {samples[0].size});')
        for i, (cpp_type, _) in enumerate(self.outputs):
            lines.append(f'irc::stream<{cpp_type}> y{i}("y{i}");')
        lines.append(self.call)
        lines += [f"tape.put(int64_t(x{i}.size()));" for i in range(len(self.inputs))]
        lines += [f"collect(y{i}, tape);" for i in range(len(self.outputs))]
        lines.append(f"}} }} }} // namespace {self.name}")
        return "\n".join(lines)

    def input_tape(self) -> Ints:
        values = [x[s].ravel() for s in range(SAMPLES) for _, x in self.inputs]
        return np.concatenate(values) if values else np.zeros(0, np.int64)

    def expected_tape(self) -> Ints:
        """Per sample: a 0 for every input (nothing left), then length and elements of every output."""
        parts: list[Ints] = []
        for s in range(SAMPLES):
            parts.append(np.zeros(len(self.inputs), np.int64))
            for _, y in self.outputs:
                parts += [np.array([y[s].size]), y[s].ravel()]
        return np.concatenate(parts)


# -- C++ text


def config(**fields: int | bool | str) -> str:
    """A Config struct: integers are constants, strings are types."""
    lines = ["struct Config {"]
    for name, value in fields.items():
        if isinstance(value, str):
            lines.append(f"using {name} = {value};")
        elif isinstance(value, bool):
            lines.append(f"static constexpr bool {name} = {str(value).lower()};")
        else:
            lines.append(f"static constexpr {'int' if abs(value) < 2**31 else 'int64_t'} {name} = {value};")
    return "\n".join([*lines, "};"])


def rom(cpp_type: str, name: str, values: Ints) -> str:
    def literal(v: NDArray[np.int64]) -> str:
        if v.ndim == 1:
            return "{" + ", ".join(str(int(i)) for i in v) + "}"
        return "{" + ",\n".join(literal(row) for row in v) + "}"

    extents = "".join(f"[{n}]" for n in values.shape)
    return f"const {cpp_type} {name}{extents} = {literal(values)};"


def packed_rom(name: str, code: Code, word_bits: int, tiles: Ints) -> str:
    """A ROM with one row a tile; the codes of a tile follow one another from the lowest bit of the first word."""
    mask = (1 << code.bits) - 1
    rows: list[str] = []
    for tile in tiles:
        bits = sum((int(v) & mask) << (i * code.bits) for i, v in enumerate(tile))
        count = -(-len(tile) * code.bits // word_bits)
        words = [(bits >> (i * word_bits)) & ((1 << word_bits) - 1) for i in range(count)]
        rows.append("{" + ", ".join(f"{w:#x}u" for w in words) + "}")
    count = rows[0].count(",") + 1
    return f"const uint{word_bits}_t {name}[{len(rows)}][{count}] = {{" + ",\n".join(rows) + "};"


def tiles_of(length: int, lanes: int) -> int:
    return -(-length // lanes)


def tile_weights(w: Ints, pe: int, simd: int, fill: int) -> Ints:
    """[co, ci] to [co tile * ci tile, pe * simd], lanes outside the matrix hold `fill`."""
    rows, columns = w.shape
    padded = np.full((tiles_of(rows, pe) * pe, tiles_of(columns, simd) * simd), fill, np.int64)
    padded[:rows, :columns] = w
    split = padded.reshape(-1, pe, padded.shape[1] // simd, simd)
    return split.transpose(0, 2, 1, 3).reshape(-1, pe * simd)


def random_packing(rng: np.random.Generator, x: tuple[Code, int], w: tuple[Code, int]) -> int:
    """How many products one multiplication of a factor of at most 27 bits makes; operands are codes and zero points."""
    x_most, w_most = (max(code.highest - zp, zp - code.lowest) for code, zp in (x, w))
    step = (x_most * w_most).bit_length()
    fitting = [n for n in range(2, 6) if (w_most << (n - 1) * step).bit_length() + 2 <= 27]
    return int(rng.choice([1, *fitting]))


def bits_of(bound: int) -> int:
    """The width of the narrowest signed integer that holds -bound .. bound."""
    return max(1, bound).bit_length() + 1


# -- the formulas of docs/numerics.md


def round_shift(v: Ints, shift: int) -> Ints:
    return v if shift == 0 else (v + (1 << (shift - 1))) >> shift


def requantize(acc: Ints, m: Ints | int, shift: int, zp: int, code: Code, x_zp: int = 0) -> Ints:
    return code.saturate(round_shift((acc - x_zp) * m, shift) + zp)


def int_softmax(x: Ints, table: Ints, mask: Ints, frac: int) -> Ints:
    out = np.zeros_like(x)
    for row in range(x.shape[0]):
        kept = np.flatnonzero(mask[row])
        if kept.size == 0:
            continue
        e = np.zeros(x.shape[1], np.int64)
        top = x[row, kept].max()
        e[kept] = table[np.minimum(top - x[row, kept], len(table) - 1)]
        total = int(e.sum())
        t = max(0, total.bit_length() - 16)
        r = 2**31 // (total >> t)
        out[row] = round_shift((e * r) >> t, 31 - frac)
    return out


def int_norm(x: Ints, g: Ints, b: Ints, eps: int, shift: int, zp: int, center: bool, x_zp: int) -> Ints:
    length = x.shape[1]
    out = np.zeros_like(x)
    for row in range(x.shape[0]):
        d = [int(v) - x_zp for v in x[row]]
        s1, s2 = sum(d), sum(v * v for v in d)
        n = length * s2 + eps - (s1 * s1 if center else 0)
        e = (n.bit_length() - 31) // 2
        q = math.isqrt(n >> 2 * e if e >= 0 else n << -2 * e)
        r = 2**31 // q
        p = max(0, ((length * n).bit_length() + 1) // 2 - 14)
        deviation = length * np.array(d) - (s1 if center else 0)
        z = np.clip(round_shift((deviation >> p) * r, 21 + e - p), -(2**15), 2**15 - 1)
        out[row] = round_shift(z * g + b, shift) + zp
    return out


def conv(x: Ints, w: Ints, geometry: Geometry, groups: int, pad_value: int) -> Ints:
    """[h, w, ci] with w[co, ci / groups, ky, kx] to [oh, ow, co], sums of products of centered operands."""
    taps = geometry.patches(x, pad_value)  # [oh, ow, ky, kx, ci]
    oh, ow, kh, kw, _ = taps.shape
    taps = taps.reshape(oh, ow, kh, kw, groups, -1)
    w = w.reshape(groups, -1, *w.shape[1:])
    return np.einsum("hwyxgi,goiyx->hwgo", taps, w).reshape(oh, ow, -1)


@dataclass(frozen=True)
class Geometry:
    """A sliding window over an image."""

    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right

    def fields(self) -> dict[str, int]:
        top, left, bottom, right = self.padding
        return {
            "height": self.height,
            "width": self.width,
            "kernel_h": self.kernel[0],
            "kernel_w": self.kernel[1],
            "stride_h": self.stride[0],
            "stride_w": self.stride[1],
            "dilation_h": self.dilation[0],
            "dilation_w": self.dilation[1],
            "pad_top": top,
            "pad_left": left,
            "pad_bottom": bottom,
            "pad_right": right,
        }

    def patches(self, x: Ints, pad_value: int) -> Ints:
        """[h, w, c] to [oh, ow, ky, kx, c]."""
        top, left, bottom, right = self.padding
        x = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=pad_value)
        spans = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        windows = np.lib.stride_tricks.sliding_window_view(x, spans, axis=(0, 1))  # [oh, ow, c, y, x]
        strided = windows[:: self.stride[0], :: self.stride[1], :, :: self.dilation[0], :: self.dilation[1]]
        return strided.transpose(0, 1, 3, 4, 2)


def random_geometry(rng: np.random.Generator) -> Geometry:
    while True:
        kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        dilation = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        top, left, bottom, right = (int(p) for p in rng.integers(0, 3, 4))
        height, width = (int(n) for n in rng.integers(2, 9, 2))
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        if spans[0] <= top + height + bottom and spans[1] <= left + width + right:
            return Geometry(height, width, kernel, stride, dilation, (top, left, bottom, right))


# -- epilogues


@dataclass
class Epilogue:
    """C++ of an epilogue, and what it does; `apply` gets results shaped [rows, channels] and the operand streams."""

    declarations: str
    operands: str
    streams: Streams
    type: str
    apply: Callable[[Ints, int], Ints]


def identity(acc_bits: int) -> Epilogue:
    return Epilogue("using Epilogue = irc::Identity;", "", [], f"irc::Acc<{acc_bits}>", lambda acc, _: acc)


def per_channel(rng: np.random.Generator, channels: int, bound: int) -> Epilogue:
    """Bias, then requantize with a multiplier a channel."""
    code = Code(int(rng.integers(2, 9)), bool(rng.integers(2)))
    bias = rng.integers(-bound - 1, bound + 1, channels)
    shift = int(rng.integers(20, 36))
    top = 2**shift * (code.highest - code.lowest) / (2 * bound + 2)
    m = np.clip(rng.uniform(0.2, 1.5, channels) * top, 1, 2**31 - 1).astype(np.int64)
    zp = int(rng.integers(code.lowest, code.highest + 1))
    declarations = f"""
        {rom("int32_t", "bias", bias)}
        {rom("int32_t", "multiplier", m)}
        struct Epilogue {{
            {code.type} operator()(int32_t acc, int, int channel, const int32_t (&b)[{channels}],
                                   const int32_t (&m)[{channels}]) const {{
                return irc::requantize<{code.cpp}, {shift}>(acc + b[channel], m[channel], {zp});
            }}
        }};"""
    return Epilogue(
        declarations,
        ", bias, multiplier",
        [],
        code.type,
        lambda acc, _: requantize(acc + bias, m, shift, zp, code),
    )


def residual(rng: np.random.Generator, rows: int, channels: int, bound: int) -> Epilogue:
    """Requantize, add a skip stream, add a constant tensor, saturate."""
    skip = [I8.random(rng, (rows, channels)) for _ in range(SAMPLES)]
    constant = I8.random(rng, (rows * channels,))
    shift = 30
    m = min(2**31 - 1, int(2**shift * 100 / (bound + 1)) + 1)
    declarations = f"""
        {rom("int8_t", "constant", constant)}
        struct Epilogue {{
            irc::Int<8> operator()(int32_t acc, int index, int, irc::Int<8> skip,
                                   const int8_t (&c)[{rows * channels}]) const {{
                const int sum = irc::requantize<irc::Signed<8>, {shift}>(acc, {m});
                return irc::saturate<irc::Signed<8>>(sum + int(skip) + c[index]);
            }}
        }};"""

    def apply(acc: Ints, sample: int) -> Ints:
        scaled = requantize(acc, m, shift, 0, I8)
        return I8.saturate(scaled + skip[sample] + constant.reshape(rows, channels))

    return Epilogue(declarations, ", skip, constant", [(I8.type, skip)], I8.type, apply)


def random_epilogue(rng: np.random.Generator, rows: int, channels: int, bound: int) -> Epilogue:
    """`bound` is the largest magnitude of a result."""
    match int(rng.integers(3)):
        case 0:
            return identity(bits_of(bound))
        case 1:
            return per_channel(rng, channels, bound)
        case _:
            return residual(rng, rows, channels, bound)


def finish(
    name: str,
    header: str,
    declarations: str,
    call: str,
    inputs: Streams,
    epilogue: Epilogue,
    results: list[Ints],
) -> Case:
    """A case of a stage with an epilogue; `call` has the gaps {y} (the output) and {operands}."""
    first = len(inputs)
    skips = "".join(f"auto& skip = x{first + i};" for i in range(len(epilogue.streams)))
    outputs = [epilogue.apply(acc.reshape(-1, acc.shape[-1]), s) for s, acc in enumerate(results)]
    return Case(
        name,
        header,
        declarations + epilogue.declarations,
        skips + call.format(operands=epilogue.operands),
        inputs + epilogue.streams,
        [(epilogue.type, outputs)],
    )


def random_code(rng: np.random.Generator, top: int = 8) -> Code:
    return Code(int(rng.integers(1, top + 1)), bool(rng.integers(2)))


def random_zp(rng: np.random.Generator, code: Code) -> int:
    return 0 if rng.random() < 0.4 else int(rng.integers(code.lowest, code.highest + 1))


def random_word(rng: np.random.Generator) -> int:
    return int(rng.choice([8, 16, 32, 64]))


# -- sums of products


def linear_case(seed: int) -> Case:
    rng = np.random.default_rng([1, seed])
    rows, ci, co = int(rng.integers(1, 8)), int(rng.integers(1, 40)), int(rng.integers(1, 30))
    pe, simd = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    x_code, w_code = (random_code(rng, 16) if seed % 4 == 0 else random_code(rng)), random_code(rng)
    x_zp, w_zp = random_zp(rng, x_code), random_zp(rng, w_code)
    x = [x_code.random(rng, (rows, ci)) for _ in range(SAMPLES)]
    w = w_code.random(rng, (co, ci))
    bound = int(np.abs(w - w_zp).sum(1).max()) * max(x_code.highest - x_zp, x_zp - x_code.lowest)
    declarations = packed_rom("weights", w_code, random_word(rng), tile_weights(w, pe, simd, w_zp))
    declarations += config(
        rows=rows,
        channels_in=ci,
        channels_out=co,
        pe=pe,
        simd=simd,
        packing=random_packing(rng, (x_code, x_zp), (w_code, w_zp)),
        acc_bits=bits_of(bound),
        x_code=x_code.cpp,
        w_code=w_code.cpp,
        x_zp=x_zp,
        w_zp=w_zp,
    )
    results = [(v - x_zp) @ (w - w_zp).T for v in x]
    call = "irc::linear<Config, Epilogue>(irc::FIXED, x0, weights, y0{operands});"
    epilogue = random_epilogue(rng, rows, co, bound)
    return finish(f"linear_{seed}", "linear.h", declarations, call, [(x_code.type, x)], epilogue, results)


def conv_case(name: str, seed: int, geometry: Geometry | None = None) -> Case:
    rng = np.random.default_rng([2, seed])
    g = geometry or random_geometry(rng)
    groups = int(rng.choice([1, 1, 2, 3]))
    ci, co = groups * int(rng.integers(1, 6)), groups * int(rng.integers(1, 6))
    pe, simd = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    x_code, w_code = random_code(rng), random_code(rng)
    x_zp, w_zp = random_zp(rng, x_code), random_zp(rng, w_code)
    folded = rng.random() < 0.3  # the zero point is in the bias, and only the padding shows it
    pad_value, x_zp = x_zp, 0 if folded else x_zp
    x = [x_code.random(rng, (g.height, g.width, ci)) for _ in range(SAMPLES)]
    w = w_code.random(rng, (co, ci // groups, *g.kernel))
    bound = int(np.abs(w - w_zp).sum((1, 2, 3)).max()) * max(x_code.highest - x_zp, x_zp - x_code.lowest)
    by_group = w.reshape(groups, co // groups, ci // groups, *g.kernel)
    tiles: list[Ints] = []
    for group in by_group:
        taps = [tile_weights(group[:, :, ky, kx], pe, simd, w_zp) for ky, kx in np.ndindex(g.kernel)]
        split = [t.reshape(tiles_of(co // groups, pe), -1, pe * simd) for t in taps]
        tiles.append(np.concatenate(split, axis=1).reshape(-1, pe * simd))
    declarations = packed_rom("weights", w_code, random_word(rng), np.concatenate(tiles))
    declarations += config(
        **g.fields(),
        channels_in=ci,
        channels_out=co,
        groups=groups,
        pe=pe,
        simd=simd,
        packing=random_packing(rng, (x_code, x_zp), (w_code, w_zp)),
        acc_bits=bits_of(bound),
        x_code=x_code.cpp,
        w_code=w_code.cpp,
        x_zp=x_zp,
        w_zp=w_zp,
        pad_value=pad_value,
    )
    results = [conv(v - x_zp, w - w_zp, g, groups, pad_value - x_zp) for v in x]
    epilogue = random_epilogue(rng, results[0].size // co, co, bound)
    call = "irc::conv<Config, Epilogue>(x0, weights, y0{operands});"
    return finish(name, "linear.h", declarations, call, [(x_code.type, x)], epilogue, results)


def kept_tiles(tiles: Ints, kept: Ints, results: int) -> tuple[Ints, Ints]:
    """The rows of [results x run, lanes] that hold something of `kept`, the first of each result if none does; and
    their places."""
    used = kept.reshape(results, -1, kept.shape[1]).any(axis=2)
    used[:, 0] |= ~used.any(axis=1)
    result, pack = np.nonzero(used)
    last = np.append(result[1:] != result[:-1], True)
    return tiles[used.reshape(-1)], 2 * pack + last


def linear_blocks_case(seed: int) -> Case:
    rng = np.random.default_rng([21, seed])
    rows, ci, co = int(rng.integers(1, 8)), int(rng.integers(1, 40)), int(rng.integers(1, 30))
    pe, simd = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    x_code, w_code = random_code(rng), random_code(rng)
    x_zp, w_zp = random_zp(rng, x_code), random_zp(rng, w_code)
    x = [x_code.random(rng, (rows, ci)) for _ in range(SAMPLES)]
    block = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    bits = rng.random((tiles_of(co, block[0]), tiles_of(ci, block[1]))) < rng.choice([0.0, 0.2, 0.6])
    kept = bits.repeat(block[0], 0).repeat(block[1], 1)[:co, :ci]
    w = np.where(kept, w_code.random(rng, (co, ci)), w_zp)
    bound = int(np.abs(w - w_zp).sum(1).max()) * max(x_code.highest - x_zp, x_zp - x_code.lowest)
    flags = tile_weights(kept.astype(np.int64), pe, simd, 0)
    tiles, places = kept_tiles(tile_weights(w, pe, simd, w_zp), flags, tiles_of(co, pe))
    declarations = packed_rom("weights", w_code, random_word(rng), tiles)
    declarations += rom("uint16_t", "places", places[:, None])
    declarations += config(
        rows=rows,
        channels_in=ci,
        channels_out=co,
        pe=pe,
        simd=simd,
        packing=random_packing(rng, (x_code, x_zp), (w_code, w_zp)),
        acc_bits=bits_of(bound),
        x_code=x_code.cpp,
        w_code=w_code.cpp,
        x_zp=x_zp,
        w_zp=w_zp,
    )
    results = [(v - x_zp) @ (w - w_zp).T for v in x]
    call = "irc::linear_blocks<Config, Epilogue>(irc::FIXED, x0, weights, places, y0{operands});"
    epilogue = random_epilogue(rng, rows, co, bound)
    return finish(f"linear_blocks_{seed}", "sparse.h", declarations, call, [(x_code.type, x)], epilogue, results)


def few_of(rng: np.random.Generator, shape: tuple[int, int], n: int, m: int) -> NDArray[np.bool_]:
    """Random masks [rows, columns] with at most n of m consecutive columns."""
    groups = tiles_of(shape[1], m)
    order = rng.random((shape[0], groups, m)).argsort(axis=2)
    return (order < rng.integers(0, n + 1, (shape[0], groups, 1))).reshape(shape[0], -1)[:, : shape[1]]


def lanes_of_groups(w: Ints, kept: NDArray[np.bool_], n: int, m: int, fill: int) -> tuple[Ints, Ints]:
    """[rows, columns] to the n weights of each m columns, and their places: those kept, then any that are not."""
    rows, columns = w.shape
    values = np.full((rows, tiles_of(columns, m) * n), fill, np.int64)
    places = np.zeros_like(values)
    for row in range(rows):
        for group in range(tiles_of(columns, m)):
            here = [i for i in range(m) if group * m + i < columns and kept[row, group * m + i]]
            others = [i for i in range(m) if i not in here]
            for k, i in enumerate([*here, *others][:n]):
                places[row, group * n + k] = i
                if i in here:
                    values[row, group * n + k] = w[row, group * m + i]
    return values, places


def linear_nm_case(seed: int) -> Case:
    rng = np.random.default_rng([22, seed])
    n, m = [(2, 4), (1, 2), (1, 4), (3, 5), (1, 1)][seed % 5]
    rows, ci, co = int(rng.integers(1, 8)), int(rng.integers(1, 40)), int(rng.integers(1, 30))
    pe, groups = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    x_code, w_code = random_code(rng), random_code(rng)
    x_zp, w_zp = random_zp(rng, x_code), random_zp(rng, w_code)
    x = [x_code.random(rng, (rows, ci)) for _ in range(SAMPLES)]
    kept = few_of(rng, (co, ci), n, m)
    w = np.where(kept, w_code.random(rng, (co, ci)), w_zp)
    bound = int(np.abs(w - w_zp).sum(1).max()) * max(x_code.highest - x_zp, x_zp - x_code.lowest)
    values, places = lanes_of_groups(w, kept, n, m, w_zp)
    place_code = Code(max(1, (m - 1).bit_length()), signed=False)
    declarations = packed_rom("weights", w_code, random_word(rng), tile_weights(values, pe, groups * n, w_zp))
    declarations += packed_rom("places", place_code, random_word(rng), tile_weights(places, pe, groups * n, 0))
    declarations += config(
        rows=rows,
        channels_in=ci,
        channels_out=co,
        pe=pe,
        simd=groups * m,
        acc_bits=bits_of(bound),
        x_code=x_code.cpp,
        w_code=w_code.cpp,
        x_zp=x_zp,
        w_zp=w_zp,
        n=n,
        m=m,
        place_code=place_code.cpp,
    )
    results = [(v - x_zp) @ (w - w_zp).T for v in x]
    call = "irc::linear_nm<Config, Epilogue>(irc::FIXED, x0, weights, places, y0{operands});"
    epilogue = random_epilogue(rng, rows, co, bound)
    return finish(f"linear_nm_{seed}", "sparse.h", declarations, call, [(x_code.type, x)], epilogue, results)


def depthwise_case(seed: int) -> Case:
    rng = np.random.default_rng([3, seed])
    g = random_geometry(rng)
    channels, pe = int(rng.integers(1, 10)), int(rng.integers(1, 5))
    x_code, w_code = random_code(rng), random_code(rng)
    x_zp, w_zp = random_zp(rng, x_code), random_zp(rng, w_code)
    x = [x_code.random(rng, (g.height, g.width, channels)) for _ in range(SAMPLES)]
    w = w_code.random(rng, (channels, 1, *g.kernel))
    bound = int(np.abs(w - w_zp).sum((1, 2, 3)).max()) * max(x_code.highest - x_zp, x_zp - x_code.lowest)
    count = tiles_of(channels, pe)
    padded = np.full((count * pe, *g.kernel), w_zp)
    padded[:channels] = w[:, 0]
    tiles = padded.reshape(count, pe, -1).transpose(0, 2, 1).reshape(-1, pe)
    declarations = packed_rom("weights", w_code, random_word(rng), tiles)
    declarations += config(
        **g.fields(),
        channels=channels,
        pe=pe,
        acc_bits=bits_of(bound),
        x_code=x_code.cpp,
        w_code=w_code.cpp,
        x_zp=x_zp,
        w_zp=w_zp,
        pad_value=x_zp,
    )
    results = [conv(v - x_zp, w - w_zp, g, channels, 0) for v in x]
    epilogue = random_epilogue(rng, results[0].size // channels, channels, bound)
    call = "irc::depthwise_conv<Config, Epilogue>(x0, weights, y0{operands});"
    name = f"depthwise_conv_{seed}"
    return finish(name, "linear.h", declarations, call, [(x_code.type, x)], epilogue, results)


ORDERS = ["bfd", "bdf", "fbd", "fdb", "dbf", "dfb"]


def matmul_case(seed: int) -> Case:
    rng = np.random.default_rng([4, seed])
    blocks, batch = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    rows, depth, columns = (int(n) for n in rng.integers(1, 14, 3))
    pe, simd = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    x_code, w_code = random_code(rng), random_code(rng)
    x_zp, w_zp = random_zp(rng, x_code), random_zp(rng, w_code)
    rows_first = bool(rng.integers(2))
    in_order = "fbd" if rows_first else "bfd"
    x_order = in_order if seed % 3 == 0 else ORDERS[int(rng.integers(6))]
    w_order = ORDERS[int(rng.integers(6))]
    x = [x_code.random(rng, (blocks, batch, rows, depth)) for _ in range(SAMPLES)]
    w = [w_code.random(rng, (blocks, batch, columns, depth)) for _ in range(SAMPLES)]
    bound = depth * max(x_code.highest - x_zp, x_zp - x_code.lowest) * max(w_code.highest - w_zp, w_zp - w_code.lowest)

    def travel(v: Ints, order: str) -> Ints:
        return v.transpose(0, *("bfd".index(d) + 1 for d in order))

    def cpp_order(order: str) -> str:
        names = {"b": "irc::BATCH", "f": "irc::FREE", "d": "irc::DEPTH"}
        return f"irc::Order<{', '.join(names[d] for d in order)}>"

    declarations = config(
        blocks=blocks,
        batch=batch,
        rows=rows,
        depth=depth,
        columns=columns,
        pe=pe,
        simd=simd,
        packing=random_packing(rng, (x_code, x_zp), (w_code, w_zp)),
        buffers=int(rng.integers(1, 3)),
        acc_bits=bits_of(bound),
        x_code=x_code.cpp,
        w_code=w_code.cpp,
        x_zp=x_zp,
        w_zp=w_zp,
        x_order=cpp_order(x_order),
        w_order=cpp_order(w_order),
        rows_first=rows_first,
    )
    results = [travel((a - x_zp) @ (b - w_zp).swapaxes(-1, -2), in_order) for a, b in zip(x, w, strict=True)]
    inputs = [(x_code.type, [travel(v, x_order) for v in x]), (w_code.type, [travel(v, w_order) for v in w])]
    epilogue = random_epilogue(rng, blocks * batch * rows, columns, bound)
    call = "irc::matmul<Config, Epilogue>(irc::FIXED, x0, x1, y0{operands});"
    return finish(f"matmul_{seed}", "linear.h", declarations, call, inputs, epilogue, results)


# -- pooling


def pool_case(name: str, kind: str, seed: int, geometry: Geometry | None = None) -> Case:
    rng = np.random.default_rng([5, seed])
    g = geometry or random_geometry(rng)
    channels, pe = int(rng.integers(1, 8)), int(rng.integers(1, 5))
    x_code = random_code(rng)
    x = [x_code.random(rng, (g.height, g.width, channels)) for _ in range(SAMPLES)]
    pad_value = x_code.lowest if kind == "max" else random_zp(rng, x_code)
    patches = [g.patches(v, pad_value) for v in x]
    results = [p.max((2, 3)) if kind == "max" else p.sum((2, 3)) for p in patches]
    bound = max(x_code.highest, -x_code.lowest) * (g.kernel[0] * g.kernel[1] if kind == "sum" else 1)
    fields: dict[str, int | str] = {"channels": channels, "pe": pe, "x_code": x_code.cpp}
    if kind == "sum":
        fields |= {"pad_value": pad_value, "acc_bits": bits_of(bound)}
    epilogue = random_epilogue(rng, results[0].size // channels, channels, bound)
    call = f"irc::{kind}_pool<Config, Epilogue>(x0, y0{{operands}});"
    declarations = config(**g.fields(), **fields)
    return finish(name, "pool.h", declarations, call, [(x_code.type, x)], epilogue, results)


def reduce_case(seed: int) -> Case:
    rng = np.random.default_rng([6, seed])
    outer, extent, inner = (int(n) for n in rng.integers(1, 8, 3))
    x_code = random_code(rng, 16)
    x = [x_code.random(rng, (outer, extent, inner)) for _ in range(SAMPLES)]
    bound = extent * max(x_code.highest, -x_code.lowest)
    declarations = config(outer=outer, extent=extent, inner=inner, acc_bits=bits_of(bound))
    epilogue = random_epilogue(rng, outer, inner, bound)
    call = "irc::reduce_sum<Config, Epilogue>(irc::FIXED, x0, y0{operands});"
    results = [v.sum(1) for v in x]
    return finish(f"reduce_sum_{seed}", "pool.h", declarations, call, [(x_code.type, x)], epilogue, results)


# -- normalisation


def softmax_case(seed: int, masked: bool) -> Case:
    rng = np.random.default_rng([7, seed])
    rows, length, size = int(rng.integers(1, 6)), int(rng.integers(1, 70)), int(rng.integers(1, 200))
    x_code = random_code(rng, 16)
    frac = int(rng.integers(4, 17))
    y_code = Code(int(rng.integers(4, 17)), signed=False)
    table = np.rint(np.exp(-np.arange(size) * rng.uniform(0.005, 0.3)) * 2**15).astype(np.int64)
    x = [x_code.random(rng, (rows, length)) for _ in range(SAMPLES)]
    mask = [(rng.random((rows, length)) < 0.6).astype(np.int64) for _ in range(SAMPLES)]
    mask[0][0] = 0  # a row with nothing kept
    if not masked:
        mask = [np.ones_like(m) for m in mask]
    declarations = config(rows=rows, length=length, frac=frac, x_code=x_code.cpp)
    declarations += rom("uint16_t", "table", table)
    declarations += f"using Epilogue = irc::Saturate<{y_code.cpp}>;"
    y = [y_code.saturate(int_softmax(v, table, m, frac)) for v, m in zip(x, mask, strict=True)]
    inputs = [(x_code.type, x), (BOOL.type, mask)] if masked else [(x_code.type, x)]
    function, streams = ("masked_int_softmax", "irc::FIXED, x0, x1") if masked else ("int_softmax", "irc::FIXED, x0")
    call = f"irc::{function}<Config, Epilogue>({streams}, table, y0);"
    return Case(f"{function}_{seed}", "norm.h", declarations, call, inputs, [(y_code.type, y)])


def norm_case(seed: int) -> Case:
    rng = np.random.default_rng([8, seed])
    rows, length = int(rng.integers(1, 6)), int(rng.integers(1, 80))
    x_code = I16 if seed % 3 == 0 else random_code(rng)
    x_zp = random_zp(rng, x_code)
    center = bool(seed % 2)
    eps = int(rng.choice([1, 7, 10**4, 10**9, 2**40]))
    shift, zp = int(rng.integers(1, 25)), int(rng.integers(-50, 50))
    spread = 2 ** (shift + 10) // 50 + 1
    g = np.clip(rng.integers(-spread, spread, length), -32767, 32767)
    b = np.clip(rng.integers(-(2**shift) * 30, 2**shift * 30, length), -(2**29), 2**29)
    x = [x_code.random(rng, (rows, length)) for _ in range(SAMPLES)]
    x[0][0] = x_code.highest  # a row without spread
    declarations = config(
        rows=rows, length=length, center=center, eps=eps, shift=shift, zp=zp, x_zp=x_zp, x_code=x_code.cpp
    )
    declarations += rom("int16_t", "gain", g) + rom("int32_t", "offset", b)
    declarations += "using Epilogue = irc::Saturate<irc::Signed<8>>;"
    y = [I8.saturate(int_norm(v, g, b, eps, shift, zp, center, x_zp)) for v in x]
    call = "irc::int_norm<Config, Epilogue>(irc::FIXED, x0, gain, offset, y0);"
    return Case(f"int_norm_{seed}", "norm.h", declarations, call, [(x_code.type, x)], [(I8.type, y)])


def special_norm_case(name: str, x: list[Ints], x_code: Code, x_zp: int, g: int, b: int, shift: int) -> Case:
    """A layer norm with one gain and offset, and 16-bit results."""
    rows, length = x[0].shape
    gain, offset = np.full(length, g), np.full(length, b)
    declarations = config(rows=rows, length=length, center=True, eps=1, shift=shift, zp=0, x_zp=x_zp, x_code=x_code.cpp)
    declarations += rom("int16_t", "gain", gain) + rom("int32_t", "offset", offset)
    declarations += "using Epilogue = irc::Saturate<irc::Signed<16>>;"
    y = [I16.saturate(int_norm(v, gain, offset, 1, shift, 0, True, x_zp)) for v in x]
    call = "irc::int_norm<Config, Epilogue>(irc::FIXED, x0, gain, offset, y0);"
    return Case(name, "norm.h", declarations, call, [(x_code.type, x)], [(I16.type, y)])


def special_norm_cases() -> list[Case]:
    rng = np.random.default_rng(9)
    nibble = Code(4, signed=True)
    small = [nibble.random(rng, (60, 16)) for _ in range(SAMPLES)]  # n of every length below 31 bits
    wide = [np.where(rng.random((3, 3000)) < 0.5, -32768, 32767) for _ in range(SAMPLES)]  # n of 64 bits
    wide[0][0] = -32768
    wide[0][0, 7] = 32767  # one deviation beyond 32 standard deviations
    wide[1][1] = 32767  # and no deviation at all
    return [
        special_norm_case("int_norm_small", small, nibble, 0, 1024, 0, 10),
        special_norm_case("int_norm_widest", wide, I16, -32768, 32767, -(2**29), 20),
    ]


# -- elementwise and scalar arithmetic


def map_case(name: str, x_type: str, y_type: str, body: str, x: Ints, y: Ints, declarations: str = "") -> Case:
    """A unary function given as C++ of `x` and `channel` over [rows, channels]."""
    channels = x.shape[-1]
    declarations += config(count=x.size, channels=channels)
    declarations += f"""
        struct Epilogue {{
            {y_type} operator()({x_type} x, int, int channel) const {{ static_cast<void>(channel); {body} }}
        }};"""
    call = "irc::elementwise<Config, Epilogue>(irc::FIXED, x0, y0);"
    return Case(name, "elementwise.h", declarations, call, [(x_type, [x] * SAMPLES)], [(y_type, [y] * SAMPLES)])


def requantize_case(seed: int, mode: str) -> Case:
    rng = np.random.default_rng([10, seed])
    channels = 50
    code = random_code(rng, 16) if seed else I32
    zp = int(rng.integers(code.lowest, code.highest + 1)) if seed else 0
    x_zp = int(rng.integers(-100, 100)) if seed % 2 else 0
    acc = rng.integers(-(2**31), 2**31, (6, channels)) >> rng.integers(0, 28, (6, channels))
    acc[0, :4] = [-(2**31), 2**31 - 1, 0, 1]
    if x_zp:
        acc //= 2
    if mode == "fixed":
        shift = int(rng.integers(1, 63))
        m = rng.integers(1, 2**31, channels) >> rng.integers(0, 31, channels)
        m = np.maximum(m, 1)
        # The 64-bit sum of product and half has to fit; only shifts near 62 come close.
        acc = np.clip(acc, -(2**30), 2**30) if shift > 60 else acc
        declarations = rom("int32_t", "multiplier", m)
        body = f"return irc::requantize<{code.cpp}, {shift}>(x, multiplier[channel], {zp}, {x_zp});"
        y = requantize(acc, m, shift, zp, code, x_zp)
        header = ""
    else:
        m32 = np.exp(rng.uniform(-20, 1, channels)).astype(np.float32)
        m32[:4] = [0.5, 1, 1, 1]  # ties, and 2^31
        values = ", ".join(f"{float(v)!r}f" for v in m32)
        declarations = f"const float multiplier[{channels}] = {{{values}}};"
        body = f"return irc::requantize_float<{code.cpp}>(x, multiplier[channel], {zp}, {x_zp});"
        rounded = np.rint((acc - x_zp).astype(np.float32) * m32).astype(np.float64)
        y = code.saturate(np.clip(rounded, -(2.0**31), 2.0**31 - 1).astype(np.int64) + zp)
        header = '#include "arith_float.h"\n'
    case = map_case(f"requantize_{mode}_{seed}", "irc::Int<32>", code.type, body, acc, y, declarations)
    case.header = "elementwise.h" if not header else "arith_float.h"
    return case


def scalar_cases() -> list[Case]:
    rng = np.random.default_rng(11)
    edges = [0, 1, 2, 3, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1]
    squares = [i * i + d for i in (2, 255, 256, 46341, 65535) for d in (-1, 0, 1)]
    n = np.array([edges + squares + list(rng.integers(0, 2**32, 75) >> rng.integers(0, 32, 75))], np.int64)
    root = np.array([[math.isqrt(int(v)) for v in n[0]]], np.int64)
    length = np.array([[int(v).bit_length() for v in n[0]]], np.int64)
    codes = np.arange(-128, 128).reshape(1, -1)
    nibbles = np.arange(16).reshape(1, -1)
    table8, table4 = I8.random(rng, (256,)), I16.random(rng, (16,))
    signed = rng.integers(-(2**30), 2**30, (1, 100))
    shifted, far = rng.integers(-256, 256, (1, 20)), np.arange(20) - 5
    distance = np.arange(16) - 5
    within = (distance >= 0) & (distance < 12)
    return [
        map_case("isqrt", "irc::UInt<32>", "irc::UInt<32>", "return irc::isqrt(uint32_t(x));", n, root),
        map_case("bit_length", "irc::UInt<32>", "irc::UInt<8>", "return irc::bit_length(uint32_t(x));", n, length),
        map_case(
            "reciprocal",
            "irc::UInt<32>",
            "irc::UInt<32>",
            "return irc::reciprocal(uint32_t(x));",
            np.maximum(n, 1),
            2**31 // np.maximum(n, 1),
        ),
        map_case(
            "lut_signed",
            "irc::Int<8>",
            "irc::Int<8>",
            f"return irc::lut<{I8.cpp}>(x, table);",
            codes,
            table8[codes + 128],
            rom("int8_t", "table", table8),
        ),
        map_case(
            "lut_unsigned",
            "irc::UInt<4>",
            "irc::Int<16>",
            "return irc::lut<irc::Unsigned<4>>(x, table);",
            nibbles,
            table4[nibbles],
            rom("int16_t", "table", table4),
        ),
        map_case(
            "round_shift_7",
            "irc::Int<32>",
            "irc::Int<32>",
            "return irc::round_shift(int(x), 7) + irc::round_shift(int(x), 0);",
            signed // 2,
            round_shift(signed // 2, 7) + signed // 2,
        ),
        map_case(
            "shift_left",
            "irc::Int<12>",
            "irc::Int<32>",
            "return irc::shift_left<12>(x, channel - 5) + irc::shift_left<12>(x, 3);",
            nibbles * 128 - 1024,
            (nibbles * 128 - 1024) * (np.where(within, 2 ** np.where(within, distance, 0), 0) + 8),
        ),
        map_case(
            "shift_right",
            "irc::Int<32>",
            "irc::Int<32>",
            "return irc::shift_right<9>(x, channel - 5);",
            shifted,
            np.where((far >= 0) & (far < 9), shifted >> np.clip(far, 0, 8), -(shifted < 0).astype(np.int64)),
        ),
        map_case(
            "clamp",
            "irc::Int<32>",
            "irc::Int<32>",
            "return irc::maximum(irc::clamp(int(x), -1000, 2000), irc::minimum(int(x), -7));",
            signed,
            np.maximum(np.clip(signed, -1000, 2000), np.minimum(signed, -7)),
        ),
    ]


def elementwise_cases() -> list[Case]:
    rng = np.random.default_rng(12)
    rows, channels = 5, 7
    x = [I8.random(rng, (rows, channels)) for _ in range(SAMPLES)]
    z = [U8.random(rng, (rows, channels)) for _ in range(SAMPLES)]
    both = list(zip(x, z, strict=True))
    two = Case(
        "two_streams",
        "elementwise.h",
        config(count=rows * channels, channels=channels)
        + """
        struct Epilogue {
            irc::Int<32> operator()(irc::Int<8> x, int index, int channel, irc::UInt<8> z) const {
                return int(x) * int(z) + index * 100000 + channel;
            }
        };""",
        "irc::elementwise<Config, Epilogue>(irc::FIXED, x0, y0, x1);",
        [(I8.type, x), (U8.type, z)],
        [(I32.type, [a * b + np.arange(a.size).reshape(a.shape) * 100000 + np.arange(channels) for a, b in both])],
    )
    constant = I16.random(rng, (rows,))
    broadcast = Case(
        "constant_operand",
        "elementwise.h",
        config(outer=3, extent=rows, inner=4, channels=2)
        + rom("int16_t", "constant", constant)
        + """
        struct Epilogue {
            irc::Int<32> operator()(irc::Int<8> x, int index, int channel, int c) const {
                return int(x) + c + 100000 * (2 * index + channel);
            }
        };""",
        "irc::elementwise_rom<Config, Epilogue>(x0, constant, y0);",
    )
    t = [I8.random(rng, (3, rows, 4)) for _ in range(SAMPLES)]
    position = np.arange(3 * rows * 4).reshape(3, rows, 4)
    broadcast.inputs = [(I8.type, t)]
    broadcast.outputs = [(I32.type, [v + constant[:, None] + 100000 * (2 * position + position % 2) for v in t])]
    return [two, broadcast]


# -- data movement


def tensor_cases() -> list[Case]:
    rng = np.random.default_rng(13)

    def case(name: str, call: str, inputs: list[list[Ints]], outputs: list[list[Ints]], declarations: str = "") -> Case:
        return Case(
            name, "tensor.h", declarations, call, [(I8.type, x) for x in inputs], [(I8.type, y) for y in outputs]
        )

    def random(*shape: int) -> list[Ints]:
        return [I8.random(rng, shape) for _ in range(SAMPLES)]

    x, a, b, c = random(4, 5, 3), random(4, 2, 3), random(4, 1, 3), random(4, 5, 3)
    cases = [
        case("fork_two", "irc::fork<irc::Fixed<60>>(irc::FIXED, x0, y0, y1);", [x], [x, x]),
        case("fork_three", "irc::fork<irc::Fixed<60>>(irc::FIXED, x0, y0, y1, y2);", [x], [x, x, x]),
        case(
            "concat_three",
            "irc::concat<4, 6, 3, 15>(y0, x0, x1, x2);",
            [a, b, c],
            [[np.concatenate(parts, axis=1) for parts in zip(a, b, c, strict=True)]],
        ),
        case(
            "split_three",
            "irc::split<irc::Fixed<4>, 6, 3, 6>(irc::FIXED, x0, y0, y1, y2);",
            [x],
            [[v[:, :2] for v in x], [v[:, 2:3] for v in x], [v[:, 3:] for v in x]],
        ),
        case(
            "pad_middle",
            "irc::pad<Config>(x0, y0);",
            [x],
            [[np.pad(v, ((0, 0), (2, 1), (0, 0)), constant_values=-7) for v in x]],
            config(outer=4, extent=5, inner=3, before=2, after=1, value=-7),
        ),
        case(
            "replay_middle",
            "irc::replay<Config>(x0, y0);",
            [x],
            [[np.repeat(v.reshape(4, 1, 15), 3, axis=1) for v in x]],
            config(outer=4, repeat=3, inner=15),
        ),
        case(
            "rom_source",
            "irc::rom_source(constant, y0);",
            [],
            [[x[0].ravel()] * SAMPLES],
            rom("int8_t", "constant", x[0].ravel()),
        ),
    ]
    for i, (begin, end, step) in enumerate([(0, 5, 1), (1, 4, 1), (0, 5, 2), (1, 5, 3), (4, 5, 1), (0, 1, 1)]):
        declarations = config(outer=4, extent=5, inner=3, begin=begin, end=end, step=step)
        y = [[v[:, begin:end:step] for v in x]]
        cases.append(case(f"slice_{i}", "irc::slice<Config>(irc::FIXED, x0, y0);", [x], y, declarations))
    permutations = [(2, 1, 0), (0, 2, 1), (1, 0, 2), (0, 1, 2)]
    for i, (order, buffers) in enumerate(product(permutations, (1, 2))):
        extents, strides = [(4, 5, 3)[d] for d in order], [(15, 3, 1)[d] for d in order]
        declarations = config(
            blocks=2,
            count=60,
            buffers=buffers,
            extents=f"irc::Dims<{', '.join(map(str, extents))}>",
            strides=f"irc::Dims<{', '.join(map(str, strides))}>",
        )
        blocks = random(2, 4, 5, 3)
        y = [[v.transpose(0, *(d + 1 for d in order)) for v in blocks]]
        cases.append(case(f"reorder_{i}", "irc::reorder<Config>(x0, y0);", [blocks], y, declarations))
    table = I8.random(rng, (9, 4))
    index = [rng.integers(0, 9, 6) for _ in range(SAMPLES)]
    gather = case("gather_rows", "irc::gather_rows<6>(x0, table, y0);", [index], [], rom("int8_t", "table", table))
    gather.outputs = [(I8.type, [table[i] for i in index])]
    return [*cases, gather]


# -- selection


def select_case(seed: int) -> Case:
    """Few different scores, so that most of them are equal to others."""
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(1, 12)), int(rng.integers(1, 6))
    kept = int(rng.integers(1, rows, endpoint=True))
    pinned = int(rng.integers(0, kept, endpoint=True))
    code = Code(int(rng.integers(2, 20)), signed=bool(rng.integers(2)))
    levels = code.random(rng, (3,))
    scores = [levels[rng.integers(0, 3, rows)] for _ in range(SAMPLES)]
    x = [I8.random(rng, (rows, columns)) for _ in range(SAMPLES)]
    y = [v[[*range(pinned), *sorted(best_of(s, pinned)[: kept - pinned])]] for s, v in zip(scores, x, strict=True)]
    fields = config(rows=rows, columns=columns, kept=kept, pinned=pinned)
    inputs = [(code.type, scores), (I8.type, x)]
    return Case(f"select_{seed}", "token.h", fields, "irc::select_rows<Config>(x0, x1, y0);", inputs, [(I8.type, y)])


def best_of(scores: Ints, pinned: int) -> list[int]:
    """The rows behind the pinned ones by falling score, those of equal scores by place."""
    return sorted(range(pinned, len(scores)), key=lambda row: (-scores[row], row))


def all_cases() -> list[Case]:
    """Every case, in a fixed order."""
    image = (7, 6)
    special_windows = {
        "square": Geometry(*image, (3, 3), padding=(1, 1, 1, 1)),
        "whole_image": Geometry(*image, image),
        "one_by_one_strided": Geometry(*image, (1, 1), (3, 2)),
        "sequence_down": Geometry(11, 1, (3, 1), (2, 1), (2, 1), (2, 0, 1, 0)),
        "sequence_across": Geometry(1, 11, (1, 3), (1, 2), (1, 2), (0, 2, 0, 1)),
        "mostly_padding": Geometry(2, 2, (2, 2), (1, 2), (1, 1), (4, 3, 3, 4)),
    }
    blocks = {
        "blocks": Geometry(6, 6, (2, 2), (2, 2)),
        "ragged_blocks": Geometry(7, 8, (2, 3), (2, 3)),
        "tall_blocks": Geometry(7, 6, (3, 2), (1, 2)),
        "overlapping": Geometry(7, 7, (3, 3), (2, 2), padding=(1, 1, 0, 1)),
    }
    cases = [linear_case(seed) for seed in range(10)]
    cases += [conv_case(f"conv_{seed}", seed) for seed in range(8)]
    cases += [conv_case(f"conv_{name}", 100 + i, g) for i, (name, g) in enumerate(special_windows.items())]
    cases += [linear_blocks_case(seed) for seed in range(8)]
    cases += [linear_nm_case(seed) for seed in range(8)]
    cases += [depthwise_case(seed) for seed in range(4)]
    cases += [matmul_case(seed) for seed in range(10)]
    cases += [
        pool_case(f"{kind}_pool_{name}", kind, 100 + i, g)
        for i, (name, g) in enumerate(blocks.items())
        for kind in ("max", "sum")
    ]
    cases += [pool_case(f"{kind}_pool_{seed}", kind, seed) for seed in range(3) for kind in ("max", "sum")]
    cases += [reduce_case(seed) for seed in range(4)]
    cases += [softmax_case(seed, masked) for seed in range(4) for masked in (False, True)]
    cases += [norm_case(seed) for seed in range(8)]
    cases += [select_case(seed) for seed in range(8)]
    cases += special_norm_cases()
    cases += [requantize_case(seed, "fixed") for seed in range(6)]
    cases += [requantize_case(seed, "float") for seed in range(3)]
    return [*cases, *scalar_cases(), *elementwise_cases(), *tensor_cases()]
