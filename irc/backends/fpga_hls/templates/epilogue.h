// The epilogue of a stage: a functor, generated for the stage, that turns each result into an output element.
//
//     struct ProjEpilogue {
//         Int<8> operator()(int acc, int index, int channel, const int32_t (&bias)[64], Int<8> skip) const;
//     };
//     linear<ProjConfig, ProjEpilogue>(x, proj_weights, y, proj_bias, skip);
//
// It gets the result, the position of the element in the output stream of this sample, its channel (the position along
// the innermost dimension), and the operands given to the stage after `y`: of a stream the next element, anything else
// (tables, per-channel parameters) as it is. Generated functors name their constants instead. Functors have no state.

#ifndef IRC_EPILOGUE_H
#define IRC_EPILOGUE_H

#include "arith.h"
#include "pack.h"

namespace irc {

/// What an epilogue gets of a stream operand: its next element.
template <class T> T operand(stream<T>& x) {
#pragma HLS INLINE
    return x.read();
}

/// What an epilogue gets of any other operand: the operand.
template <class T> const T& operand(const T& constant) {
#pragma HLS INLINE
    return constant;
}

/// The epilogue that changes nothing.
struct Identity {
    template <class T> T operator()(const T& value, int, int) const {
#pragma HLS INLINE
        return value;
    }
};

/// The epilogue that limits a result to the range of code type C.
template <class C> struct Saturate {
    typename C::type operator()(int64_t value, int, int) const {
#pragma HLS INLINE
        return saturate<C>(value);
    }
};

/// Hands the values of rows x GROUPS runs of ceil(length / LANES) packs to the epilogue, one by one. Channels count
/// through the GROUPS runs of a row; indices go on from one `block` of runs to the next.
///
/// Loops:  rows x GROUPS x length, II = 1 (if the epilogue has it).
/// Buffer: one pack.
template <class Rows, int GROUPS, class Length, class Epilogue, class T, int LANES, class Y, class... Operands>
void unpack_runs(int n, stream<Pack<T, LANES>>& x, stream<Y>& y, int block, Operands&... operands) {
    Pack<T, LANES> pack = splat<T, LANES>(0);
#pragma HLS ARRAY_PARTITION variable=pack.lane type=complete
    const int rows = Rows::at(n);
    const int length = Length::at(n);
    int index = block * (rows * GROUPS * length);
    int lane = 0;
    for (int row = 0; row < rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Rows::most
        for (int group = 0; group < GROUPS; group++) {
            for (int i = 0; i < length; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Length::most
#pragma HLS PIPELINE II=1
                if (lane == 0) {
                    pack = x.read();
                }
                // lint: allow partitioned-index: the sums of a pack leave one by one, through a multiplexer
                y.write(Epilogue()(pack.lane[lane], index, group * length + i, operand(operands)...));
                lane = lane == LANES - 1 || i == length - 1 ? 0 : lane + 1;
                index++;
            }
        }
    }
}

} // namespace irc

#endif
