// Normalisation along the rows of a tile, LANES elements at a time: the arithmetic of norm.h with sizes known at run time.

#ifndef IRC_ENGINE_ROWS_H
#define IRC_ENGINE_ROWS_H

#include "arith.h"
#include "engine_layer.h"

namespace irc {

/// Whether lane i of a pack belongs to the row.
inline bool in_row(const Layer& layer, int pack, int i) {
#pragma HLS INLINE
    return pack * LANES + i < layer.columns;
}

/// The largest kept code of each row.
///
/// Loops: rows x packs, II = 1.
template <class Size>
void find_tops(const Layer& layer, const Tile& tile, const int32_t (&x)[Size::packs][LANES],
               const UInt<1> (&mask)[Size::packs][LANES], int32_t (&tops)[Size::rows]) {
#pragma HLS INLINE
    int32_t top = INT32_MIN;
    PackWalk walk = {0, 0};
    for (int n = 0; n < tile.rows * tile.packs; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs
        const int place = walk.row * layer.pitch + walk.pack;
        top = walk.pack == 0 ? INT32_MIN : top;
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const bool keep = in_row(layer, walk.pack, i) && (layer.has_mask == 0 || mask[place][i] != 0);
            top = keep ? maximum(top, x[place][i]) : top;
        }
        tops[walk.row] = top;
        walk = next_pack(tile, walk);
    }
}

/// e = table[min(top - x, entries - 1)], 0 where masked, and its sum over each row.
///
/// Loops: rows x packs, II = 1.
template <class Size>
void look_up_rows(const Layer& layer, const Tile& tile, const int32_t (&x)[Size::packs][LANES],
                  const UInt<1> (&mask)[Size::packs][LANES], const int32_t (&table)[TABLE][LANES],
                  const int32_t (&tops)[Size::rows], UInt<16> (&parts)[Size::packs][LANES],
                  uint32_t (&sums)[Size::rows]) {
#pragma HLS INLINE
    uint32_t sum = 0;
    PackWalk walk = {0, 0};
    for (int n = 0; n < tile.rows * tile.packs; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs
        const int place = walk.row * layer.pitch + walk.pack;
        sum = walk.pack == 0 ? 0 : sum;
        const int32_t top = tops[walk.row];
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const bool keep = in_row(layer, walk.pack, i) && (layer.has_mask == 0 || mask[place][i] != 0);
            const int below = keep ? minimum(top - x[place][i], layer.front_table - 1) : 0;
            const UInt<16> part = keep ? UInt<16>(table[below][i]) : UInt<16>(0);
            parts[place][i] = part;
            sum += uint32_t(part);
        }
        sums[walk.row] = sum;
        walk = next_pack(tile, walk);
    }
}

/// int_softmax: probabilities times 2^shift, before saturation.
///
/// Loops:       rows x packs three times and rows once, II = 1; one reciprocal a row.
/// Multipliers: LANES of 16 x 17 bits.
template <class Size>
void softmax_rows(const Layer& layer, const Tile& tile, const int32_t (&x)[Size::packs][LANES],
                  const UInt<1> (&mask)[Size::packs][LANES], const int32_t (&table)[TABLE][LANES],
                  int32_t (&results)[Size::packs][LANES]) {
#pragma HLS INLINE
    IRC_BUFFER int32_t tops[Size::rows];
    IRC_BUFFER uint32_t sums[Size::rows];
    IRC_BUFFER UInt<16> parts[Size::packs][LANES];
#pragma HLS ARRAY_PARTITION variable=parts dim=2 type=complete
    find_tops<Size>(layer, tile, x, mask, tops);
    look_up_rows<Size>(layer, tile, x, mask, table, tops, parts, sums);
    IRC_BUFFER uint32_t factors[Size::rows];
    IRC_BUFFER int32_t drops[Size::rows];
    for (int row = 0; row < tile.rows; row++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::rows
        const uint32_t sum = sums[row];
        const int drop = maximum(0, bit_length<32>(sum) - 16);
        factors[row] = sum == 0 ? 0 : reciprocal(sum >> drop);
        drops[row] = drop;
    }
    PackWalk walk = {0, 0};
    for (int n = 0; n < tile.rows * tile.packs; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs
        const int place = walk.row * layer.pitch + walk.pack;
        const uint32_t factor = factors[walk.row];
        const int32_t drop = drops[walk.row];
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const uint32_t product = uint32_t(parts[place][i]) * factor;
            // lint: allow partitioned-index: packs go one by one into the banks of PE columns
            results[place][i] = int32_t(round_shift(product >> drop, 31 - layer.shift));
        }
        walk = next_pack(tile, walk);
    }
}

/// How to scale a row of int_norm: z = round_shift((D >> drop) * factor, shift).
struct RowNorm {
    int64_t sum;
    int32_t factor;
    int32_t drop;
    int32_t shift;
};

/// bitlen(length * n), a product of up to 80 bits.
inline int product_length(uint64_t length, uint64_t n) {
#pragma HLS INLINE
    const uint64_t low = length * (n & 0xffffffff);
    const uint64_t high = length * (n >> 32) + (low >> 32);
    return high != 0 ? 32 + bit_length(high) : bit_length(low);
}

/// The scale of a row from its moments, as in norm.h.
inline RowNorm scale_of(const Layer& layer, int64_t sum, uint64_t squares) {
#pragma HLS INLINE
    const uint64_t length = uint64_t(layer.columns);
    const uint64_t size = uint64_t(sum < 0 ? -sum : sum);
    const uint64_t n = length * squares - (layer.center != 0 ? size * size : 0) + uint64_t(layer.eps);
    const int e = (bit_length(n) - 31) >> 1;
    const uint32_t mantissa = uint32_t(e >= 0 ? n >> (2 * e) : n << (-2 * e));
    const int drop = maximum(0, (product_length(length, n) + 1) / 2 - 14);
    return {layer.center != 0 ? sum : 0, int32_t(reciprocal(isqrt(mantissa))), drop, 21 + e - drop};
}

/// int_norm: layer norm or RMS norm, with the zero point of the result and before saturation.
///
/// Loops:       rows x packs twice and rows once, II = 1; one square root and one reciprocal a row.
/// Multipliers: LANES of d x d, C x d, D x r and z x gain.
template <class Size>
void norm_rows(const Layer& layer, const Tile& tile, const int32_t (&x)[Size::packs][LANES],
               const int32_t (&parameters)[FRONT_PARAMETERS * CHANNEL_PACKS][LANES],
               int32_t (&results)[Size::packs][LANES]) {
#pragma HLS INLINE
    IRC_BUFFER int64_t sums[Size::rows];
    IRC_BUFFER uint64_t squares[Size::rows];
    int64_t sum = 0;
    uint64_t square = 0;
    PackWalk walk = {0, 0};
    for (int n = 0; n < tile.rows * tile.packs; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs
        const int place = walk.row * layer.pitch + walk.pack;
        sum = walk.pack == 0 ? 0 : sum;
        square = walk.pack == 0 ? 0 : square;
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const int64_t d = in_row(layer, walk.pack, i) ? int64_t(x[place][i]) - layer.x_zp : 0;
            sum += d;
            square += uint64_t(d * d);
        }
        sums[walk.row] = sum;
        squares[walk.row] = square;
        walk = next_pack(tile, walk);
    }
    IRC_BUFFER RowNorm scales[Size::rows];
    for (int row = 0; row < tile.rows; row++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::rows
        scales[row] = scale_of(layer, sums[row], squares[row]);
    }
    walk = {0, 0};
    for (int n = 0; n < tile.rows * tile.packs; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs
        const int place = walk.row * layer.pitch + walk.pack;
        const RowNorm scale = scales[walk.row];
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const bool inside = in_row(layer, walk.pack, i);
            const int64_t d = inside ? int64_t(x[place][i]) - layer.x_zp : 0;
            const int32_t gain = inside ? parameters[walk.pack][i] : 0;
            const int32_t offset = inside ? parameters[CHANNEL_PACKS + walk.pack][i] : 0;
            const int32_t reduced = int32_t((layer.columns * d - scale.sum) >> scale.drop);
            const int32_t scaled = round_shift(int32_t(uint32_t(reduced) * uint32_t(scale.factor)), scale.shift);
            const int32_t z = clamp<int32_t>(scaled, -32768, 32767);
            // lint: allow partitioned-index: packs go one by one into the banks of PE columns
            results[place][i] = round_shift(z * gain + offset, layer.shift) + layer.zp;
        }
        walk = next_pack(tile, walk);
    }
}

} // namespace irc

#endif
