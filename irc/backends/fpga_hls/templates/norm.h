// Normalisation along the innermost dimension: int_softmax, int_norm.
//
// Both need whole-row quantities before the first output. Instead of passes over one row, each pass is a process of its
// own, and the elements wait in a FIFO a little longer than a row: while one row is scaled, the next is summed up, so a
// stage takes one cycle an element (or ROW_LATENCY cycles for a row that is shorter).

#ifndef IRC_NORM_H
#define IRC_NORM_H

#include "epilogue.h"

namespace irc {

/// Cycles from the end of a row to its scale: divider, square root, multipliers. FIFOs hold this much beyond a row.
constexpr int ROW_LATENCY = 80;

/// An element of a softmax row.
template <class X> struct Kept {
    X x;
    UInt<1> keep;
};

/// Without a mask everything is kept.
inline bool read_keep() { return true; }

inline bool read_keep(stream<UInt<1>>& mask) {
#pragma HLS INLINE
    return mask.read() != 0;
}

/// First pass: the largest kept code of each row.
///
/// Loops: rows x length, II = 1.
template <class Config, class X, class... Mask>
void find_tops(int n, stream<X>& x, stream<Kept<X>>& held, stream<X>& tops, Mask&... mask) {
    X top = X(0);
    const Sizes<Config> size(n);
    for (int row = 0; row < size.rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::rows
        for (int i = 0; i < size.length; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::length
#pragma HLS PIPELINE II=1
            const X code = x.read();
            const bool keep = read_keep(mask...);
            const X best = i == 0 ? X(Config::x_code::lowest) : top;
            top = keep && best < code ? code : best;
            held.write({code, UInt<1>(keep)});
            if (i == size.length - 1) {
                tops.write(top);
            }
        }
    }
}

/// Second pass: e = table[min(top - x, T - 1)], 0 where masked, and its sum over the row.
///
/// Loops:  rows x length, II = 1.
/// Memory: the table.
template <class Config, class X, class E, class S, class T, int SIZE>
void look_up(int n, stream<Kept<X>>& held, stream<X>& tops, const T (&table)[SIZE], stream<E>& parts, stream<S>& sums) {
    X top = X(0);
    S sum = S(0);
    const Sizes<Config> size(n);
    for (int row = 0; row < size.rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::rows
        for (int i = 0; i < size.length; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::length
#pragma HLS PIPELINE II=1
            if (i == 0) {
                top = tops.read();
            }
            const Kept<X> element = held.read();
            const bool keep = element.keep != 0;
            const int below = keep ? int(top) - int(element.x) : 0;
            const E part = keep ? E(table[minimum(below, SIZE - 1)]) : E(0);
            sum = i == 0 ? S(part) : S(sum + part);
            parts.write(part);
            if (i == size.length - 1) {
                sums.write(sum);
            }
        }
    }
}

/// The scale of a softmax row: y = e * factor / 2^shift.
struct RowFactor {
    UInt<17> factor;
    UInt<4> shift;
};

/// One reciprocal a row: t = max(0, bitlen(S) - 16), r = 2^31 / (S >> t), 0 for an empty row.
///
/// Loops: rows.
template <class Rows, class S> void invert_sums(int n, stream<S>& sums, stream<RowFactor>& factors) {
    const int rows = Rows::at(n);
    for (int row = 0; row < rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Rows::most
        const uint32_t sum = uint32_t(sums.read());
        const int shift = maximum(0, bit_length<32>(sum) - 16);
        const uint32_t factor = sum == 0 ? 0 : reciprocal(sum >> shift);
        factors.write({UInt<17>(factor), UInt<4>(shift)});
    }
}

/// Third pass: y = epilogue(round_shift((e * r) >> t, 31 - frac)).
///
/// Loops:       rows x length, II = 1.
/// Multipliers: e x r, 16 x 17 bits.
template <class Config, class Epilogue, class E, class Y, class... Operands>
void scale_parts(int n, stream<E>& parts, stream<RowFactor>& factors, stream<Y>& y, Operands&... operands) {
    RowFactor row_factor = {};
    const Sizes<Config> size(n);
    for (int row = 0; row < size.rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::rows
        for (int i = 0; i < size.length; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::length
#pragma HLS PIPELINE II=1
            if (i == 0) {
                row_factor = factors.read();
            }
            const uint32_t product = uint32_t(parts.read()) * uint32_t(row_factor.factor);
            const uint32_t scaled = round_shift(product >> int(row_factor.shift), 31 - Config::frac);
            y.write(Epilogue()(int(scaled), row * size.length + i, i, operand(operands)...));
        }
    }
}

/// Sizes that follow from the Config of an int_softmax stage.
template <class Config> struct SoftmaxShape {
    static_assert(Config::x_code::bits <= 16 && Config::length <= 65535, "int_softmax takes 16-bit codes, 65535 a row");
    static constexpr int held_depth = Config::length + 4;           // until the top of the row is known
    static constexpr int part_depth = Config::length + ROW_LATENCY; // until the scale of the row is known
    using Element = Kept<typename Config::x_code::type>;
    using Part = UInt<16>;
    using Sum = UInt<16 + width_of(Config::length)>;
};

/// The passes after the first.
template <class Config, class Epilogue, class X, class T, int SIZE, class Y, class... Operands>
void finish_softmax(int n, stream<Kept<X>>& held, stream<X>& tops, const T (&table)[SIZE], stream<Y>& y,
                    Operands&... operands) {
#pragma HLS DATAFLOW
    using Shape = SoftmaxShape<Config>;
    stream<typename Shape::Part> parts("int_softmax.parts");
#pragma HLS STREAM variable=parts depth=Shape::part_depth
    stream<typename Shape::Sum> sums("int_softmax.sums");
    stream<RowFactor> factors("int_softmax.factors");

    look_up<Config>(n, held, tops, table, parts, sums);
    invert_sums<RowsOf<Config>>(n, sums, factors);
    scale_parts<Config, Epilogue>(n, parts, factors, y, operands...);
}

/// int_softmax: y = epilogue(probability times 2^frac) along rows of `length`, before saturation.
///
/// Config: rows, length, frac, x_code. The table has T entries of at most 2^15, table[0] = 2^15.
/// Cycles: rows x max(length, ROW_LATENCY).
/// Buffer: held_depth x (code + 1 bit), part_depth x 16 bits.
template <class Config, class Epilogue, class X, class T, int SIZE, class Y, class... Operands>
void int_softmax(int n, stream<X>& x, const T (&table)[SIZE], stream<Y>& y, Operands&... operands) {
#pragma HLS DATAFLOW
    using Shape = SoftmaxShape<Config>;
    stream<typename Shape::Element> held("int_softmax.held");
#pragma HLS STREAM variable=held depth=Shape::held_depth
    stream<X> tops("int_softmax.tops");

    find_tops<Config>(n, x, held, tops);
    finish_softmax<Config, Epilogue>(n, held, tops, table, y, operands...);
}

/// int_softmax with a mask: where it is 0 the result is 0, and the element counts for nothing.
///
/// Config, cycles, buffer: as int_softmax.
template <class Config, class Epilogue, class X, class T, int SIZE, class Y, class... Operands>
void masked_int_softmax(int n, stream<X>& x, stream<UInt<1>>& mask, const T (&table)[SIZE], stream<Y>& y,
                        Operands&... operands) {
#pragma HLS DATAFLOW
    using Shape = SoftmaxShape<Config>;
    stream<typename Shape::Element> held("int_softmax.held");
#pragma HLS STREAM variable=held depth=Shape::held_depth
    stream<X> tops("int_softmax.tops");

    find_tops<Config>(n, x, held, tops, mask);
    finish_softmax<Config, Epilogue>(n, held, tops, table, y, operands...);
}

/// Sizes and types that follow from the Config of an int_norm stage. A difference is x - x_zp.
template <class Config> struct NormShape {
    static_assert(Config::x_code::bits <= 16 && Config::length <= 65535, "int_norm takes 16-bit codes, 65535 a row");
    static_assert(1 <= Config::shift && Config::shift <= 24 && Config::eps >= 1, "as the numeric contract says");
    static constexpr int held_depth = Config::length + ROW_LATENCY;
    static constexpr int difference_bits = Config::x_code::bits + 1;
    static constexpr int sum_bits = difference_bits + width_of(Config::length);
    static constexpr int square_bits = 2 * Config::x_code::bits + width_of(Config::length);
    static constexpr int spread_bits =
        smaller(64, 1 + larger(square_bits + width_of(Config::length), width_of(Config::eps)));
    using Difference = Int<difference_bits>;
    using Sum = Int<sum_bits>;
    using Squares = UInt<square_bits>;
    using Spread = UInt<spread_bits>;    // n of the contract
    using Deviation = Int<sum_bits + 1>; // D
};

/// The sums over a row.
template <class Shape> struct Moments {
    typename Shape::Sum sum;         // s1
    typename Shape::Squares squares; // s2
};

/// How to scale a row: z = round_shift((D >> drop) * factor, shift).
template <class Shape> struct RowScale {
    typename Shape::Sum sum; // s1
    UInt<17> factor;         // r
    UInt<5> drop;            // p
    UInt<6> shift;           // 21 + e - p
};

/// First pass: sums of differences and of their squares.
///
/// Loops:       rows x length, II = 1.
/// Multipliers: d x d.
template <class Config, class X, class Shape>
void sum_moments(int n, stream<X>& x, stream<X>& held, stream<Moments<Shape>>& moments) {
    Moments<Shape> total = {};
    const Sizes<Config> size(n);
    for (int row = 0; row < size.rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::rows
        for (int i = 0; i < size.length; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::length
#pragma HLS PIPELINE II=1
            const X code = x.read();
            const typename Shape::Difference d = int(code) - Config::x_zp;
            const int64_t square = int64_t(d) * int64_t(d);
            total.sum = i == 0 ? typename Shape::Sum(d) : typename Shape::Sum(total.sum + d);
            total.squares = i == 0 ? typename Shape::Squares(square) : typename Shape::Squares(total.squares + square);
            held.write(code);
            if (i == size.length - 1) {
                moments.write(total);
            }
        }
    }
}

/// n = C * s2 - s1^2 + eps (center), or C * s2 + eps.
template <class Config, class Shape> typename Shape::Spread spread_of(const Moments<Shape>& moments) {
#pragma HLS INLINE
    using Spread = typename Shape::Spread;
    const Spread size = moments.sum < 0 ? Spread(-moments.sum) : Spread(moments.sum);
    const Spread square = Config::center ? Spread(size * size) : Spread(0);
    return Spread(Spread(Config::length) * moments.squares - square + Spread(Config::eps));
}

/// bitlen(length * n), a product of up to 80 bits.
template <int LENGTH> int product_bits(uint64_t n) {
#pragma HLS INLINE
    const uint64_t low = LENGTH * (n & 0xffffffff);
    const uint64_t high = LENGTH * (n >> 32) + (low >> 32);
    return high != 0 ? 32 + bit_length(high) : bit_length(low);
}

/// One square root and one reciprocal a row:
/// e = (bitlen(n) - 31) // 2, q = isqrt(n / 4^e), r = 2^31 / q, p = max(0, (bitlen(C * n) + 1) // 2 - 14).
///
/// Loops: rows.
template <class Config, class Shape>
void invert_moments(int count, stream<Moments<Shape>>& moments, stream<RowScale<Shape>>& scales) {
    const int rows = RowsOf<Config>::at(count);
    for (int row = 0; row < rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::rows
        const Moments<Shape> total = moments.read();
        const uint64_t n = uint64_t(spread_of<Config>(total));
        const int e = (bit_length<Shape::spread_bits>(n) - 31) >> 1;
        const uint32_t mantissa = uint32_t(e >= 0 ? n >> (2 * e) : n << (-2 * e));
        const int drop = maximum(0, (product_bits<Config::length>(n) + 1) / 2 - 14);
        const uint32_t factor = reciprocal(isqrt(mantissa));
        scales.write({total.sum, UInt<17>(factor), UInt<5>(drop), UInt<6>(21 + e - drop)});
    }
}

/// Second pass: y = epilogue(round_shift(z * gain + offset, shift) + zp), z the deviation in 10 fraction bits.
///
/// Loops:       rows x length, II = 1.
/// Multipliers: C x d (C is constant), D x r (16 x 17 bits), z x gain (16 x 16 bits).
template <class Config, class Epilogue, class X, class Shape, class G, class B, int LENGTH, class Y, class... Operands>
void scale_deviations(int n, stream<X>& held, stream<RowScale<Shape>>& scales, const G (&gain)[LENGTH],
                      const B (&offset)[LENGTH], stream<Y>& y, Operands&... operands) {
    using Deviation = typename Shape::Deviation;
    RowScale<Shape> scale = {};
    const Sizes<Config> size(n);
    for (int row = 0; row < size.rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::rows
        for (int i = 0; i < size.length; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::length
#pragma HLS PIPELINE II=1
            if (i == 0) {
                scale = scales.read();
            }
            const typename Shape::Difference d = int(held.read()) - Config::x_zp;
            const Deviation all = Deviation(Deviation(Config::length) * d);
            const Deviation deviation = Config::center ? Deviation(all - scale.sum) : all;
            const int32_t reduced = int32_t(deviation >> int(scale.drop));
            const int32_t scaled = round_shift(reduced * int32_t(scale.factor), int(scale.shift));
            const int32_t z = clamp<int32_t>(scaled, -32768, 32767);
            const int32_t result = round_shift(z * int32_t(gain[i]) + int32_t(offset[i]), Config::shift) + Config::zp;
            y.write(Epilogue()(result, row * size.length + i, i, operand(operands)...));
        }
    }
}

/// int_norm: layer norm (center) or RMS norm over rows of `length`; y = epilogue(result plus zp, before saturation).
///
/// Config: rows, length, center, eps (int64), shift, zp, x_zp, x_code. `gain` and `offset` are g and b of the contract.
/// Cycles: rows x max(length, ROW_LATENCY).
/// Buffer: held_depth codes.
template <class Config, class Epilogue, class X, class G, class B, int LENGTH, class Y, class... Operands>
void int_norm(int n, stream<X>& x, const G (&gain)[LENGTH], const B (&offset)[LENGTH], stream<Y>& y, Operands&... operands) {
#pragma HLS DATAFLOW
    using Shape = NormShape<Config>;
    static_assert(LENGTH == Config::length, "gain and offset have one entry a column");
    stream<X> held("int_norm.held");
#pragma HLS STREAM variable=held depth=Shape::held_depth
    stream<Moments<Shape>> moments("int_norm.moments");
    stream<RowScale<Shape>> scales("int_norm.scales");

    sum_moments<Config>(n, x, held, moments);
    invert_moments<Config>(n, moments, scales);
    scale_deviations<Config, Epilogue>(n, held, scales, gain, offset, y, operands...);
}

} // namespace irc

#endif
