// Scalar integer arithmetic of the numeric contract (docs/numerics.md).
//
// Arguments are builtin integers, to which codes and accumulators of either mode convert; synthesis trims them to the
// width of what is passed. Everything is combinational except reciprocal(), a 32-bit divider.

#ifndef IRC_ARITH_H
#define IRC_ARITH_H

#include "irc_types.h"

namespace irc {

/// v / 2^shift, half towards +infinity; 0 <= shift. The sum v + 2^(shift-1) must fit the type of v.
template <class T> T round_shift(T v, int shift) {
#pragma HLS INLINE
    return shift == 0 ? v : T((v + (T(1) << (shift == 0 ? 0 : shift - 1))) >> shift);
}

/// v limited to lo .. hi.
template <class T> T clamp(T v, T lo, T hi) {
#pragma HLS INLINE
    return v < lo ? lo : v > hi ? hi : v;
}

template <class T> T maximum(T a, T b) {
#pragma HLS INLINE
    return a < b ? b : a;
}

template <class T> T minimum(T a, T b) {
#pragma HLS INLINE
    return b < a ? b : a;
}

/// x * 2^by, to be cut to BITS bits; 0 if all of them leave, as they do if `by` is negative.
template <int BITS> int64_t shift_left(int32_t x, int32_t by) {
#pragma HLS INLINE
    return 0 <= by && by < BITS ? int64_t(uint64_t(int64_t(x)) << by) : 0;
}

/// x / 2^by towards minus infinity; the sign alone if all of BITS bits leave, as they do if `by` is negative.
template <int BITS> int32_t shift_right(int32_t x, int32_t by) {
#pragma HLS INLINE
    return x >> (0 <= by && by < BITS ? by : 31);
}

/// v limited to the range of code type C.
template <class C> typename C::type saturate(int64_t v) {
#pragma HLS INLINE
    return typename C::type(clamp<int64_t>(v, C::lowest, C::highest));
}

/// requantize {mode=fixed}: saturate((((acc - x_zp) * m + 2^(SHIFT-1)) >> SHIFT) + zp), one multiplier.
template <class C, int SHIFT> typename C::type requantize(int32_t acc, int32_t m, int32_t zp = 0, int32_t x_zp = 0) {
#pragma HLS INLINE
    static_assert(1 <= SHIFT && SHIFT <= 62, "requantize shifts by 1 to 62 bits");
    const int64_t product = (int64_t(acc) - x_zp) * m;
    return saturate<C>(round_shift(product, SHIFT) + zp);
}

/// table[x - lowest code]: any unary function of a code of at most 8 bits.
template <class C, class T, int N> T lut(typename C::type x, const T (&table)[N]) {
#pragma HLS INLINE
    static_assert(N == (1 << C::bits) && C::bits <= 8, "a table has one entry a code");
    return table[int(x) - int(C::lowest)];
}

/// Number of bits of n; 0 for n = 0. A priority encoder.
template <int BITS = 64> int bit_length(uint64_t n) {
#pragma HLS INLINE
    int length = 0;
    for (int i = 0; i < BITS; i++) {
#pragma HLS UNROLL
        if ((n >> i) & 1) {
            length = i + 1;
        }
    }
    return length;
}

/// floor(sqrt(n)), one result bit a step from the top: 16 steps, each a compare and subtract.
inline uint32_t isqrt(uint32_t n) {
#pragma HLS INLINE
    uint32_t rest = n;
    uint32_t root = 0;
    for (int i = 15; i >= 0; i--) {
#pragma HLS UNROLL
        const uint32_t trial = (root << 1 | uint32_t(1) << i) << i; // (root + 2^i)^2 - root^2
        if (trial <= rest) {
            rest -= trial;
            root |= uint32_t(1) << i;
        }
    }
    return root;
}

/// 2^31 / d rounded down, d >= 1.
inline uint32_t reciprocal(uint32_t d) {
#pragma HLS INLINE
    return (uint32_t(1) << 31) / d;
}

} // namespace irc

#endif
