// Packs: the values that enter an unrolled loop in one cycle, and the adapters between scalar streams and packs.

#ifndef IRC_PACK_H
#define IRC_PACK_H

#include "count.h"

namespace irc {

/// LANES values that travel together.
template <class T, int LANES> struct Pack {
    T lane[LANES];
    const T& operator[](int i) const { return lane[i]; }
};

/// A pack with every lane `value`.
template <class T, int LANES> Pack<T, LANES> splat(int value) {
#pragma HLS INLINE
    Pack<T, LANES> pack;
    for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
        pack.lane[i] = T(value);
    }
    return pack;
}

/// Gathers every run of `Length` scalars into ceil(length / LANES) packs of x - ZP; lanes past the end of a run are 0.
///
/// Loops:  runs x length, II = 1.
/// Buffer: one pack.
template <class Runs, class Length, int ZP, class X, class T, int LANES>
void pack_runs(int n, stream<X>& x, stream<Pack<T, LANES>>& y) {
    Pack<T, LANES> pack = splat<T, LANES>(0);
#pragma HLS ARRAY_PARTITION variable=pack.lane type=complete
    const int runs = Runs::at(n);
    const int length = Length::at(n);
    int lane = 0;
    for (int run = 0; run < runs; run++) {
#pragma HLS LOOP_TRIPCOUNT max=Runs::most
        for (int i = 0; i < length; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Length::most
#pragma HLS PIPELINE II=1
            // lint: allow partitioned-index: scalars come one by one, so each lane has a write enable
            pack.lane[lane] = T(int(x.read()) - ZP);
            lane++;
            if (lane == LANES || i == length - 1) {
                y.write(pack);
                pack = splat<T, LANES>(0);
                lane = 0;
            }
        }
    }
}

} // namespace irc

#endif
