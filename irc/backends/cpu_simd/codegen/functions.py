"""Functions of f32 and f64 lanes without a library: range reduction to a small interval, and a polynomial there.

The polynomials are minimax (Remez, 1934; `python -m tests.cpu_simd.remez` computes them again). NaN, infinities,
denormals come out as NumPy has them; the errors, in units in the last place of the exact value,
are measured by tests/cpu_simd/test_cpu_functions.py and stated in `irc.backends.cpu_simd.tolerance`.

Sources: Muller, Elementary Functions (2016), ch. 11 (reduction by several constants, Cody and Waite); Sun's fdlibm
(log by s = f / (2 + f)); Shepherd and Laframboise, Chebyshev approximation of (1 + 2x) exp(x^2) erfc x (1981), whose
variable (t - k) / (t + k) makes one polynomial serve the whole tail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from irc.backends.cpu_simd.codegen.lanes import Lane

LARGEST_ANGLE = 2.0**45
"""Up to here sin and cos are right; beyond, they are NaN."""


@dataclass(frozen=True)
class Format:
    """A float type: its layout, and the constants and polynomials of its precision, lowest coefficient first."""

    integer: str  # the lanes of its bits
    mantissa: int  # bits
    bias: int
    ln2: tuple[float, float]  # high and low part
    overflow: float  # exp is infinite above
    underflow: float  # and 0 below
    all_minus_one: float  # below, expm1 is -1
    all_one: float  # above, tanh is 1
    no_tail: float  # above, the normal distribution has no tail
    tail_shift: int  # a power of two that makes the smallest tail a normal number
    exp: tuple[float, ...]  # (e^r - 1 - r) / r^2 on +- ln(2)/2
    log: tuple[float, ...]  # (log((1+s)/(1-s)) - 2s) / s^3 of s^2
    erf: tuple[float, ...]  # erf(t)/t - 1 of t^2 up to 1
    erfc_pole: float
    erfc: tuple[float, ...]  # erfc(t) exp(t^2) (t + pole) of (t - pole) / (t + pole)
    sin: tuple[float, ...]  # (sin(r) - r) / r^3 of r^2
    cos: tuple[float, ...]  # (cos(r) - 1 + r^2/2) / r^4 of r^2

    @property
    def magic(self) -> float:
        """Added to a number, it leaves the nearest integer in the low bits of the sum."""
        return 1.5 * 2.0**self.mantissa

    @property
    def magic_bits(self) -> int:
        """The bits of `magic`."""
        return ((self.bias + self.mantissa) << self.mantissa) + (1 << (self.mantissa - 1))


FORMATS = {
    "float": Format(
        integer="i32",
        mantissa=23,
        bias=127,
        ln2=(0.693147182464599609375, -1.904654323148236017e-09),
        overflow=89.0,
        underflow=-104.0,
        all_minus_one=-30.0,
        all_one=10.0,
        no_tail=14.5,
        tail_shift=27,
        exp=(0.49999997, 0.16666542, 0.041667204, 0.008366647, 0.0013882499),
        log=(0.66666776, 0.39977574, 0.29870936),
        erf=(0.12837917, -0.37612626, 0.112835854, -0.026853813, 0.0051883277, -0.00080101937, 7.8538615e-05),
        erfc_pole=2.0,
        erfc=(
            1.0215827,
            -0.6871609,
            0.27947146,
            -0.03643579,
            -0.021501958,
            0.0064348965,
            0.0030397607,
            -0.00072711497,
            -0.00052543246,
            -4.449208e-05,
        ),
        sin=(-0.16666654, 0.008332151, -0.0001951398),
        cos=(0.041666646, -0.0013887304, 2.4431669e-05),
    ),
    "double": Format(
        integer="i64",
        mantissa=52,
        bias=1023,
        ln2=(0.6931471803691238, 1.9082149292705877e-10),  # the high part has 32 bits: integers times it are exact
        overflow=710.0,
        underflow=-746.0,
        all_minus_one=-60.0,
        all_one=20.0,
        no_tail=39.0,
        tail_shift=120,
        exp=(
            0.5,
            0.16666666666666677,
            0.041666666666666505,
            0.008333333333321513,
            0.0013888888888963496,
            0.0001984126988647736,
            2.480158717106011e-05,
            2.755724380412487e-06,
            2.7557403279564673e-07,
            2.5109195138427504e-08,
            2.0875324036477665e-09,
        ),
        log=(
            0.6666666666666734,
            0.39999999999416375,
            0.2857142874201514,
            0.222221986108094,
            0.1818356240426551,
            0.15314098848646096,
            0.14795475096573962,
        ),
        erf=(
            0.1283791670955126,
            -0.37612638903183754,
            0.11283791670955119,
            -0.026866170645129733,
            0.005223977625422086,
            -0.0008548327021853219,
            0.00012055332899358636,
            -1.4925647465135748e-05,
            1.6462043408109757e-06,
            -1.6364614425333263e-07,
            1.4792145784976072e-08,
            -1.2163042095386838e-09,
            8.703790427779373e-11,
            -4.222897054303613e-12,
        ),
        erfc_pole=3.0,
        erfc=(
            1.0740069070883398,
            -0.8833944531698836,
            0.5902283571041016,
            -0.31046726190056256,
            0.11952776128730867,
            -0.02682723462468253,
            -0.0012124166277608084,
            0.003034062004955423,
            -0.0005483096837802172,
            -0.00027677788385146334,
            0.00010756142289881279,
            3.039838745718371e-05,
            -1.7470260395133757e-05,
            -4.750070037323254e-06,
            2.764463665745112e-06,
            1.000945682445595e-06,
            -4.0613565716319475e-07,
            -2.3670605007656352e-07,
            4.368363706938422e-08,
            5.3597914871411165e-08,
            9.99743734410556e-10,
            -9.867925301629755e-09,
            -1.9368462426339517e-09,
            1.0610502960449212e-09,
            3.6881153089563015e-10,
        ),
        sin=(
            -0.16666666666666666,
            0.008333333333333323,
            -0.00019841269841254494,
            2.755731921390465e-06,
            -2.5052104839539728e-08,
            1.6058357701245439e-10,
            -7.578265890154846e-13,
        ),
        cos=(
            0.041666666666666664,
            -0.0013888888888888872,
            2.4801587301570212e-05,
            -2.7557319214853407e-07,
            2.0876754254192823e-09,
            -1.1470281115718192e-11,
            4.7375826850007353e-14,
        ),
    ),
}

HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)
"""Pi / 2 as a sum of doubles."""


def format_of(x: Lane) -> Format:
    return FORMATS[x.kind]


def constant(x: Lane, value: float) -> Lane:
    """A number in every lane of the type of x."""
    return x.f.const(value, x.kind, x.lanes)


LONG = 6
"""Coefficients; longer polynomials are taken in two halves."""


def polynomial(x: Lane, coefficients: Sequence[float]) -> Lane:
    """Horner's rule with one rounding a step; where there are many, on even and odd terms apart: half the latency."""
    if len(coefficients) <= LONG:
        return _horner(x, coefficients)
    square = x * x
    return x.f.fma(x, _horner(square, coefficients[1::2]), _horner(square, coefficients[::2]))


def _horner(x: Lane, coefficients: Sequence[float]) -> Lane:
    total = constant(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = x.f.fma(total, x, coefficient)
    return total


def at_most(x: Lane, high: float) -> Lane:
    """min(x, high); NaN stays."""
    return x.f.select(x.compare("ogt", high), constant(x, high), x)


def at_least(x: Lane, low: float) -> Lane:
    """max(x, low); NaN stays."""
    return x.f.select(x.compare("olt", low), constant(x, low), x)


def magnitude(x: Lane) -> Lane:
    return x.f.intrinsic("fabs", x)


def with_sign(x: Lane, sign: Lane) -> Lane:
    """The magnitude of x with the sign of another."""
    return x.f.intrinsic("copysign", x, sign)


def bits_of(x: Lane) -> Lane:
    return x.f.bitcast(x, format_of(x).integer, x.lanes)


def float_of(bits: Lane, kind: str) -> Lane:
    return bits.f.bitcast(bits, kind, bits.lanes)


@dataclass(frozen=True)
class Reduced:
    """x = n * ln(2) + r with |r| <= ln(2)/2. `place` holds n in its low bits; `grown` is e^r - 1."""

    place: Lane
    grown: Lane

    @property
    def power(self) -> Lane:
        """e^r"""
        return self.grown + 1.0

    def scale(self, shift: int = 0) -> Lane:
        """2^(n + shift), as long as that is a normal number or 2^-bias, which counts as 0."""
        return self._two_to(bits_of(self.place), shift)

    def scales(self) -> tuple[Lane, Lane]:
        """Two factors of 2^n, so that denormals and infinities come out right."""
        n = bits_of(self.place)
        half = n >> 1
        return self._two_to(half), self._two_to(n - half)

    def _two_to(self, n: Lane, shift: int = 0) -> Lane:
        """2^(n + shift) of the low bits of n; the higher ones are shifted out."""
        form = format_of(self.grown)
        return float_of((n + (form.bias + shift)) << form.mantissa, self.grown.kind)


def reduced(x: Lane, low: Lane | None = None) -> Reduced:
    """The reduction of x + low to powers of two; x must be bounded or NaN, `low` small beside it."""
    f, form = x.f, format_of(x)
    place = f.fma(x, math.log2(math.e), form.magic)
    n = place - form.magic
    r = f.fma(n, -form.ln2[1], f.fma(n, -form.ln2[0], x))
    r = r if low is None else r + low
    return Reduced(place, f.fma(r * r, polynomial(r, form.exp), r))


def exp(x: Lane) -> Lane:
    form = format_of(x)
    return _scaled_exp(reduced(at_least(at_most(x, form.overflow), form.underflow)))


def _scaled_exp(parts: Reduced) -> Lane:
    first, second = parts.scales()
    return parts.power * first * second


def exp_below_one(x: Lane) -> Lane:
    """e^x of what is not above 0, with 0 for results below the normal numbers: the exp of a softmax."""
    form = format_of(x)
    parts = reduced(at_least(x, -(form.bias + 0.49) * math.log(2)))
    return parts.power * parts.scale()


def expm1(x: Lane) -> Lane:
    """e^x - 1 of what is below 88."""
    f, form = x.f, format_of(x)
    parts = reduced(at_least(x, form.all_minus_one))
    scale = parts.scale()
    return with_sign(f.fma(parts.grown, scale, scale - 1.0), x)


@dataclass(frozen=True)
class Logarithm:
    """x = 2^e (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); s = f / (2 + f); series = (log(1 + f) - 2s) / s."""

    e: Lane
    f: Lane
    s: Lane
    series: Lane


def _logarithm(x: Lane) -> Logarithm:
    """Of a positive number."""
    f, form = x.f, format_of(x)
    small = x.compare("olt", 2.0 ** (1 - form.bias))
    normal = f.select(small, x * 2.0**form.mantissa, x)
    start = _bits_of_sqrt_half(form)
    places = bits_of(normal) - start
    kept = (places & ((1 << form.mantissa) - 1)) + start
    e = f.convert("sitofp", places >> form.mantissa, x.kind)
    e = f.select(small, e - float(form.mantissa), e)
    fraction = float_of(kept, x.kind) - 1.0
    s = fraction / (fraction + 2.0)
    z = s * s
    return Logarithm(e, fraction, s, z * polynomial(z, form.log))


def _bits_of_sqrt_half(form: Format) -> int:
    return ((form.bias - 1) << form.mantissa) + int((math.sqrt(2) - 1) * 2**form.mantissa)


def log(x: Lane) -> Lane:
    f, form = x.f, format_of(x)
    parts = _logarithm(x)
    square = parts.f * parts.f * 0.5
    rest = f.fma(parts.e, form.ln2[1], parts.s * (square + parts.series))
    return _log_of_special(x, f.fma(parts.e, form.ln2[0], parts.f - (square - rest)))


def _log_of_special(x: Lane, y: Lane) -> Lane:
    f = x.f
    y = f.select(x.compare("oeq", math.inf), x, y)
    y = f.select(x.compare("oeq", 0.0), constant(x, -math.inf), y)
    return f.select(x.compare("ult", 0.0), constant(x, math.nan), y)


def _split_log(x: Lane) -> tuple[Lane, Lane]:
    """The logarithm of a finite positive double as a sum of two, for powers (Dekker, 1971)."""
    f, form = x.f, format_of(x)
    parts = _logarithm(x)
    divisor = parts.f + 2.0
    lost = parts.f - (divisor - 2.0)
    s_low = (f.fma(f.neg(parts.s), divisor, parts.f) - parts.s * lost) / divisor
    whole, twice = parts.e * form.ln2[0], parts.s * 2.0
    high = whole + twice
    low = (twice - (high - whole)) + f.fma(parts.s, parts.series, f.fma(parts.e, form.ln2[1], s_low * 2.0))
    total = high + low
    return total, low - (total - high)


def log1p(x: Lane) -> Lane:
    """log(1 + x), with what the sum loses put back."""
    f = x.f
    total = x + 1.0
    small = magnitude(x).compare("olt", 1.0)
    lost = f.select(small, x - (total - 1.0), (x - total) + 1.0)
    y = log(total) + lost / total
    return f.select(x.compare("oeq", math.inf), x, f.select(x.compare("oeq", -1.0), constant(x, -math.inf), y))


def tanh(x: Lane) -> Lane:
    """expm1(2|x|) / (expm1(2|x|) + 2) with the sign of x."""
    twice = at_most(magnitude(x), format_of(x).all_one) * 2.0
    grown = expm1(twice)
    return with_sign(grown / (grown + 2.0), x)


def sigmoid(x: Lane) -> Lane:
    """1 / (1 + e^-|x|), or e^-|x| of that below 0."""
    f = x.f
    small = exp(f.neg(magnitude(x)))
    return f.select(x.compare("oge", 0.0), constant(x, 1.0), small) / (small + 1.0)


def _erfc_scaled(x: Lane, factor: float) -> tuple[Lane, Lane]:
    """Two factors of erfc(t) exp(t^2), where t = x * factor is not negative; the second is known much earlier."""
    f, form = x.f, format_of(x)
    inverse = constant(x, 1.0) / f.fma(x, factor, form.erfc_pole)
    return polynomial(f.fma(inverse, -2.0 * form.erfc_pole, 1.0), form.erfc), inverse


def _minus_product(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """-(a * b) as a sum of two."""
    f, product = a.f, a * b
    high = f.neg(product)
    return high, f.neg(f.fma(a, b, high))


def erf(x: Lane) -> Lane:
    f, form = x.f, format_of(x)
    t = magnitude(x)
    near = f.fma(x, polynomial(x * x, form.erf), x)
    parts = reduced(*_minus_product(*[at_most(t, form.no_tail / math.sqrt(2))] * 2))
    first, second = parts.scales()
    series, inverse = _erfc_scaled(t, 1.0)
    far = f.fma(series * (inverse * parts.power * first), f.neg(second), 1.0)
    return f.select(t.compare("olt", 1.0), near, with_sign(far, x))


def gelu(x: Lane) -> Lane:
    """max(x, 0) - |x| Phi(-|x|), with the tail of the normal distribution Phi(-t) = erfc(t / sqrt 2) / 2.

    The tail is kept times a power of two, so that it has all its bits where x brings it back to the normal numbers.
    """
    f, form = x.f, format_of(x)
    below = f.neg(magnitude(x))
    bounded = at_least(below, -form.no_tail)
    parts = reduced(*_minus_product(bounded * 0.5, bounded))
    series, inverse = _erfc_scaled(below, -math.sqrt(0.5))
    tail = series * (inverse * (parts.power * parts.scale(form.tail_shift - 1)))
    weight = f.select(x.compare("olt", bounded), x, bounded)  # -|x|, but bounded where x > 0: infinity * 0 is no number
    positive = f.select(x.compare("ult", 0.0), constant(x, -0.0), x)
    return f.fma(weight * tail, 2.0**-form.tail_shift, positive)


def gelu_tanh(x: Lane) -> Lane:
    """x / (1 + exp(-2u)) with u = sqrt(2/pi) (x + 0.044715 x^3); u in f64, as its error is that of an exponent."""
    f = x.f
    wide = f.convert("fpext", x, "double")
    twice = wide * f.fma(wide * wide, 2 * math.sqrt(2 / math.pi) * 0.044715, 2 * math.sqrt(2 / math.pi))
    high = f.convert("fptrunc", twice, x.kind)
    low = f.convert("fptrunc", twice - f.convert("fpext", high, "double"), x.kind)
    form = format_of(x)
    far = magnitude(high).compare("ogt", -form.underflow)
    bounded = at_most(magnitude(high), -form.underflow)
    rest = f.select(far, constant(x, 0.0), with_sign(low, f.neg(low * high)))
    small = _scaled_exp(reduced(f.neg(bounded), rest))
    positive = x.compare("oge", 0.0)
    return x * (f.select(positive, constant(x, 1.0), small) / (small + 1.0))


def sin(x: Lane) -> Lane:
    return _circular(x, 0)


def cos(x: Lane) -> Lane:
    return _circular(x, 1)


def _circular(x: Lane, quarter: int) -> Lane:
    """The sine of x + quarter * pi/2, for |x| up to LARGEST_ANGLE; the reduction is in f64."""
    f, form, wide = x.f, format_of(x), FORMATS["double"]
    angle = f.convert("fpext", x, "double")
    place = f.fma(angle, 2 / math.pi, wide.magic)
    n = place - wide.magic
    r = angle
    for part in HALF_PI[: 2 if x.kind == "float" else 3]:
        r = f.fma(n, -part, r)
    r = f.convert("fptrunc", r, x.kind)
    turns = f.convert("trunc", bits_of(place), form.integer) + quarter
    z = r * r
    sine = f.fma(r * z, polynomial(z, form.sin), r)
    cosine = f.fma(z * z, polynomial(z, form.cos), f.fma(z, -0.5, 1.0))
    y = f.select((turns & 1).compare("ne", 0), cosine, sine)
    y = f.select((turns & 2).compare("ne", 0), f.neg(y), y)
    return f.select(magnitude(x).compare("ole", LARGEST_ANGLE), y, constant(x, math.nan))


def power(x: Lane, exponent: float) -> Lane:
    """x to a constant exponent (of the precision of x), with the special cases of NumPy's power."""
    if exponent in _SIMPLE_POWERS:
        return _SIMPLE_POWERS[exponent](x)
    if math.isinf(exponent):
        return _infinite_power(x, exponent)
    return _signed_power(x, _positive_power(magnitude(x), exponent), exponent)


def _inverse_root(x: Lane) -> Lane:
    """x ^ -0.5, which differs from the inverse of the square root at -0 and -inf."""
    inverse = constant(x, 1.0) / (x.f.intrinsic("sqrt", x) + 0.0)
    return x.f.select(x.compare("oeq", -math.inf), constant(x, 0.0), inverse)


_SIMPLE_POWERS: dict[float, Callable[[Lane], Lane]] = {
    0.0: lambda x: constant(x, 1.0),
    0.5: lambda x: x.f.intrinsic("sqrt", x),  # which is what NumPy takes
    1.0: lambda x: x,
    2.0: lambda x: x * x,
    3.0: lambda x: x * x * x,
    -0.5: _inverse_root,
    -1.0: lambda x: constant(x, 1.0) / x,
}


def _infinite_power(x: Lane, exponent: float) -> Lane:
    f, t = x.f, magnitude(x)
    above, below = (math.inf, 0.0) if exponent > 0 else (0.0, math.inf)
    y = f.select(t.compare("ogt", 1.0), constant(x, above), constant(x, below))
    y = f.select(t.compare("oeq", 1.0), constant(x, 1.0), y)
    return f.select(x.compare("uno", x), x, y)


def _positive_power(t: Lane, exponent: float) -> Lane:
    """exp(exponent * log t) of what is not negative, in f64."""
    f, wide = t.f, FORMATS["double"]
    base = f.convert("fpext", t, "double")
    high, low = (log(base), None) if t.kind == "float" else _split_log(base)
    product = high * exponent
    bounded = at_least(at_most(product, wide.overflow), wide.underflow)
    if low is None:
        return f.convert("fptrunc", _scaled_exp(reduced(bounded)), t.kind)
    rest = f.fma(low, exponent, f.fma(high, exponent, f.neg(product)))
    y = _scaled_exp(reduced(bounded, f.select(bounded.compare("oeq", product), rest, constant(rest, 0.0))))
    at_zero, at_infinity = (0.0, math.inf) if exponent > 0 else (math.inf, 0.0)
    y = f.select(t.compare("oeq", 0.0), constant(t, at_zero), y)
    y = f.select(t.compare("oeq", math.inf), constant(t, at_infinity), y)
    return f.select(t.compare("uno", t), t, y)


def _signed_power(x: Lane, y: Lane, exponent: float) -> Lane:
    """The power of x from that of its magnitude."""
    f = x.f
    if exponent % 2 == 1:
        return with_sign(y, x)
    if exponent % 1 == 0:
        return y
    impossible = f.select(x.compare("ogt", -math.inf), x.compare("olt", 0.0), x.compare("uno", x))
    return f.select(impossible, constant(x, math.nan), y)
