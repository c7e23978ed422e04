// requantize {mode=float}, for designs that ask for it. The only floating point of the library.

#ifndef IRC_ARITH_FLOAT_H
#define IRC_ARITH_FLOAT_H

#include "arith.h"

#ifdef __SYNTHESIS__
#include <hls_math.h>
#else
#include <cmath>
#endif

namespace irc {

/// The nearest integer, half to even, limited to the range of int32.
inline int32_t round_to_int32(float v) {
#pragma HLS INLINE
#ifdef __SYNTHESIS__
    const float rounded = hls::rint(v);
#else
    const float rounded = std::rint(v);
#endif
    const float bound = 2147483648.0f;
    return rounded >= bound ? INT32_MAX : rounded < -bound ? INT32_MIN : int32_t(rounded);
}

/// requantize {mode=float}: saturate(rint(f32(acc - x_zp) * m) + zp), one float multiply and no fused add.
template <class C> typename C::type requantize_float(int32_t acc, float m, int32_t zp = 0, int32_t x_zp = 0) {
#pragma HLS INLINE
    const float product = float(int64_t(acc) - x_zp) * m;
    return saturate<C>(int64_t(round_to_int32(product)) + zp);
}

} // namespace irc

#endif
