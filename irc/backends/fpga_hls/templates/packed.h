// Products that share a factor, several of them by one multiplication: what a DSP is wider than codes for.

#ifndef IRC_PACKED_H
#define IRC_PACKED_H

#include "irc_types.h"

namespace irc {

/// The sum of 2^(i * step) for i < n.
constexpr int64_t spread_ones(int step, int n) {
    int64_t sum = 0;
    for (int i = 0; i < n; i++) {
        sum += int64_t(1) << (i * step);
    }
    return sum;
}

/// N products x * w[i] from one of x by the sum of w[i] * 2^(i * step), where |x| <= X_MOST and |w[i]| <= W_MOST.
///
/// A product is smaller than 2^step, so its lane ends with its sign, over which lies the lowest bit of the next product;
/// but that one is x & w[i + 1] & 1. What a negative sum of lower lanes has borrowed from a lane is given back.
template <int64_t X_MOST, int64_t W_MOST, int N> struct PackedProducts {
    static constexpr int lanes = N;
    static constexpr int step = width_of(X_MOST * W_MOST);
    static constexpr int x_bits = width_of(X_MOST) + 1;
    static constexpr int factor_bits = width_of(W_MOST * spread_ones(step, N)) + 1;
    using Weight = Factor<width_of(W_MOST) + 1>;
    using Wide = Int<factor_bits + x_bits>;
    using Product = Int<step + 1>;

    template <class X> static void multiply(const X& x, const Weight (&w)[N], Product (&products)[N]) {
#pragma HLS INLINE
        Int<factor_bits> factor = 0;
        for (int i = 0; i < N; i++) {
#pragma HLS UNROLL
            factor += Int<factor_bits>(w[i] * (int64_t(1) << (i * step)));
        }
        const Wide wide = Wide(factor) * x;
#pragma HLS BIND_OP variable=wide op=mul impl=dsp
        bool borrowed = false;
        for (int i = 0; i < N - 1; i++) {
#pragma HLS UNROLL
            const int64_t lane = int64_t(wide >> (i * step)) & ((int64_t(1) << step) - 1);
            const bool odd = (int(x) & int(w[i + 1]) & 1) != 0;
            const bool negative = (int64_t(wide >> ((i + 1) * step)) & 1) != int64_t(odd);
            products[i] = Product(lane - (negative ? int64_t(1) << step : 0) + int64_t(borrowed));
            borrowed = negative;
        }
        products[N - 1] = Product(int64_t(wide >> ((N - 1) * step)) + int64_t(borrowed));
    }
};

/// A product on its own: what makes it is left to synthesis.
template <int64_t X_MOST, int64_t W_MOST> struct PackedProducts<X_MOST, W_MOST, 1> {
    static constexpr int lanes = 1;
};

} // namespace irc

#endif
