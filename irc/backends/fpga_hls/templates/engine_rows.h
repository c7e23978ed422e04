// Normalisation along the rows of a tile, LANES elements at a time: the arithmetic of norm.h with sizes known at run time.

#ifndef IRC_ENGINE_ROWS_H
#define IRC_ENGINE_ROWS_H

#include "engine_memory.h"

namespace irc {

/// Whether lane i of a pack belongs to the row.
inline bool in_row(const Layer& layer, int pack, int i) {
#pragma HLS INLINE
    return pack * LANES + i < layer.columns;
}

/// What is known of a row when all of it has been read: the largest kept code for softmax, the moments for norm.
struct RowTotal {
    int32_t top;
    int64_t sum;
    uint64_t squares;
};

/// Adds the elements of a word to what is known of its row, and says which of them count: those of the row that no mask
/// takes away.
template <int PACKS>
RowTotal with_word(const Layer& layer, const RowTotal& before, const Word& word, const Walk& walk,
                   const UInt<1> (&mask)[PACKS][LANES], UInt<1> (&kept)[PACKS][LANES], int place) {
#pragma HLS INLINE
    RowTotal total = before;
    const int count = WORD_BYTES / layer.x.bytes;
    for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
        if (i / count == walk.part) {
            const int32_t code = element_of(word, i % count, layer.x.bytes, layer.x.is_signed != 0);
            const bool inside = in_row(layer, walk.pack, i);
            const bool keep = inside && (layer.has_mask == 0 || mask[place][i] != 0);
            const int64_t d = inside ? int64_t(code) - layer.x_zp : 0;
            total.top = keep ? maximum(total.top, code) : total.top;
            total.sum += d;
            total.squares += uint64_t(d * d);
            kept[place][i] = UInt<1>(keep);
        }
    }
    return total;
}

/// Reads the rows of a tile, and what is to be known of each before the front begins.
///
/// Loops: rows x packs x bytes of an element, II = 1; before them the same for a mask.
template <class Size>
void load_totals(const Word* port, const Layer& layer, const Tile& tile, int32_t (&elements)[Size::packs][LANES],
                 UInt<1> (&kept)[Size::packs][LANES], RowTotal (&totals)[Size::rows]) {
#pragma HLS INLINE
    IRC_BUFFER UInt<1> mask[Size::packs][LANES];
#pragma HLS ARRAY_PARTITION variable=mask dim=2 type=complete
    if (layer.has_mask != 0) {
        load_rows<Size>(port, layer, tile, layer.w, mask);
    }
    Walk walk = first_word(layer, tile);
    RowTotal total = {INT32_MIN, 0, 0};
    for (int n = 0; n < tile.rows * tile.packs * layer.x.bytes; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs*2
        const int place = walk.row * layer.pitch + walk.pack;
        const Word word = port[word_address(layer.x, tile, walk.place, walk)];
        put_elements(word, walk.part, layer.x, elements, place);
        const bool begins = walk.pack == 0 && walk.part == 0;
        total = with_word(layer, begins ? RowTotal{INT32_MIN, 0, 0} : total, word, walk, mask, kept, place);
        totals[walk.row] = total;
        walk = next_word(layer, tile, walk, layer.x.bytes);
    }
}

/// e = table[min(top - x, entries - 1)], 0 where masked, and its sum over each row.
///
/// Loops: rows x packs, II = 1.
template <class Size>
void look_up_rows(const Layer& layer, const Tile& tile, const int32_t (&x)[Size::packs][LANES],
                  const UInt<1> (&kept)[Size::packs][LANES], const int32_t (&table)[TABLE][LANES],
                  const RowTotal (&totals)[Size::rows], UInt<16> (&parts)[Size::packs][LANES],
                  uint32_t (&sums)[Size::rows]) {
#pragma HLS INLINE
    uint32_t sum = 0;
    PackWalk walk = {0, 0};
    for (int n = 0; n < tile.rows * tile.packs; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs
        const int place = walk.row * layer.pitch + walk.pack;
        sum = walk.pack == 0 ? 0 : sum;
        const int32_t top = totals[walk.row].top;
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const bool keep = kept[place][i] != 0;
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
/// Loops:       rows x packs twice and rows once, II = 1; one reciprocal a row.
/// Multipliers: LANES of 16 x 17 bits.
template <class Size>
void softmax_rows(const Layer& layer, const Tile& tile, const int32_t (&x)[Size::packs][LANES],
                  const UInt<1> (&kept)[Size::packs][LANES], const int32_t (&table)[TABLE][LANES],
                  const RowTotal (&totals)[Size::rows], int32_t (&results)[Size::packs][LANES]) {
#pragma HLS INLINE
    IRC_BUFFER uint32_t sums[Size::rows];
    IRC_BUFFER UInt<16> parts[Size::packs][LANES];
#pragma HLS ARRAY_PARTITION variable=parts dim=2 type=complete
    look_up_rows<Size>(layer, tile, x, kept, table, totals, parts, sums);
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
/// Loops:       rows x packs and rows, II = 1; one square root and one reciprocal a row.
/// Multipliers: LANES of C x d, D x r and z x gain.
template <class Size>
void norm_rows(const Layer& layer, const Tile& tile, const int32_t (&x)[Size::packs][LANES],
               const int32_t (&parameters)[FRONT_PARAMETERS * CHANNEL_PACKS][LANES],
               const RowTotal (&totals)[Size::rows], int32_t (&results)[Size::packs][LANES]) {
#pragma HLS INLINE
    IRC_BUFFER RowNorm scales[Size::rows];
    for (int row = 0; row < tile.rows; row++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::rows
        scales[row] = scale_of(layer, totals[row].sum, totals[row].squares);
    }
    PackWalk walk = {0, 0};
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
