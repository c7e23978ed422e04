// Windows folded channel by channel, one tap a tile: the largest element, the sum, the sum of products.

#ifndef IRC_ENGINE_FOLD_H
#define IRC_ENGINE_FOLD_H

#include "arith.h"
#include "engine_gemm.h"

namespace irc {

/// Folds a tap into `partial`; the last one hands the results over.
///
/// Loops:       rows x packs, II = 1.
/// Multipliers: LANES of 9 x 9 bits (DOT).
template <class Size>
void fold_tap(const Layer& layer, const Tile& tile, const int32_t (&x)[Size::packs][LANES],
              const int32_t (&w)[FRONT_PARAMETERS * CHANNEL_PACKS][LANES], int32_t (&partial)[Size::packs][LANES],
              int32_t (&results)[Size::packs][LANES]) {
#pragma HLS INLINE
    PackWalk walk = {0, 0};
    for (int n = 0; n < tile.rows * tile.packs; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs
#pragma HLS DEPENDENCE variable=partial type=inter dependent=false
        const int place = walk.row * layer.pitch + walk.pack;
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const int32_t code = walk.pack * LANES + i < tile.columns ? x[place][i] : 0;
            const int32_t value = layer.kind == DOT ? int32_t(Lane(code - layer.x_zp)) * int32_t(Lane(w[walk.pack][i])) : code;
            // lint: allow partitioned-index: packs go one by one into the banks of PE columns
            const int32_t before = partial[place][i];
            const int32_t folded = layer.kind == MAX ? maximum(before, value) : before + value;
            const int32_t after = tile.first ? value : folded;
            // lint: allow partitioned-index: packs go one by one into the banks of PE columns
            partial[place][i] = after;
            if (tile.last) {
                // lint: allow partitioned-index: packs go one by one into the banks of PE columns
                results[place][i] = after;
            }
        }
        walk = next_pack(tile, walk);
    }
}

} // namespace irc

#endif
