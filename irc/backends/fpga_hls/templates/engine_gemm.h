// Sums of products: an array of PE x LANES multipliers, fed by tiles of x and of weights.

#ifndef IRC_ENGINE_GEMM_H
#define IRC_ENGINE_GEMM_H

#include "engine_layer.h"
#include "packed.h"

namespace irc {

/// A code of 8 bits minus its zero point.
using Lane = Factor<9>;

/// Reads the words of depth of every row of a tile: the channels under each tap of a window. Outside is the zero point.
///
/// Loops: rows x words, II = 1.
template <class Size>
void load_depth(const Word* port, const Layer& layer, const Tile& tile, Lane (&x)[Size::rows * Size::turns][Size::simd][LANES]) {
#pragma HLS INLINE
    const int first_tap = tile.word / layer.depth_words;
    const int first_word = tile.word - first_tap * layer.depth_words;
    const Tap begin = tap_at(layer, first_tap);
    Place place = place_of(layer, tile.row);
    Tap tap = begin;
    int channel = first_word;
    int row = 0;
    int k = 0;
    for (int n = 0; n < tile.rows * tile.words; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::rows*Size::words
        const Place under = place_under(layer.window, place, tap);
        const bool inside = is_inside(layer.window, under);
        const Word word = port[inside ? row_address(layer.x, tile.batch, under) + channel : layer.x.base];
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const int code = element_of(word, i, 1, layer.x.is_signed != 0);
            // lint: allow partitioned-index: words come one by one, so each of those of a turn has a write enable
            x[row * Size::turns + k / Size::simd][k % Size::simd][i] = Lane(inside ? code - layer.x_zp : 0);
        }
        const bool row_ends = k == tile.words - 1;
        const bool tap_ends = channel == layer.depth_words - 1;
        const bool line_ends = tap_ends && tap.x == layer.window.kernel_w - 1;
        channel = row_ends ? first_word : tap_ends ? 0 : channel + 1;
        tap = row_ends ? begin : Tap{line_ends ? tap.y + 1 : tap.y, line_ends ? 0 : tap_ends ? tap.x + 1 : tap.x};
        place = row_ends ? next_place(layer, place) : place;
        row = row_ends ? row + 1 : row;
        k = row_ends ? 0 : k + 1;
    }
}

/// Code `lane` of part `part` of a word of packed weights.
inline int weight_of(const Word& word, int lane, int part, int bits, bool is_signed) {
#pragma HLS INLINE
    if (bits == 8) {
        return element_of(word, lane, 1, is_signed);
    }
    const uint8_t pair = word.byte[(part * LANES + lane) / 2];
    const int code = lane % 2 == 0 ? pair & 15 : pair >> 4;
    return is_signed ? (code ^ 8) - 8 : code;
}

/// Reads a tile of packed weights: PE columns at a time, the words of depth of each.
///
/// Loops: columns (whole groups of PE) x words x bits / 8, II = 1.
template <class Size>
void load_packed(const Word* port, const Layer& layer, const Tile& tile,
                 Lane (&w)[Size::groups * Size::turns][Size::simd][Size::pe][LANES]) {
#pragma HLS INLINE
    const int columns = tiles_of(tile.columns, Size::pe) * Size::pe;
    const int depth = layer.taps * layer.depth_words;
    const int codes = tile.batch * layer.w.batch + tile.column * depth + columns * tile.word; // words of 8-bit codes
    const int parts = 8 / layer.weight_bits;
    int address = layer.w.base + codes / parts;
    int part = 0;
    Word word = {};
    int column = 0;
    int k = 0;
    for (int n = 0; n < columns * tile.words; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::columns*Size::words
        if (part == 0) {
            word = port[address];
            address++;
        }
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const int code = weight_of(word, i, part, layer.weight_bits, layer.w.is_signed != 0);
            // lint: allow partitioned-index: words come one by one, so each column has a write enable
            w[column / Size::pe * Size::turns + k / Size::simd][k % Size::simd][column % Size::pe][i] =
                Lane(code - layer.w_zp);
        }
        part = part == parts - 1 ? 0 : part + 1;
        column = k == tile.words - 1 ? column + 1 : column;
        k = k == tile.words - 1 ? 0 : k + 1;
    }
}

/// Reads a tile of weights that were computed, one row a column of the result. Lanes past the depth are 0.
///
/// Loops: columns x words, II = 1.
template <class Size>
void load_by_row(const Word* port, const Layer& layer, const Tile& tile,
                 Lane (&w)[Size::groups * Size::turns][Size::simd][Size::pe][LANES]) {
#pragma HLS INLINE
    int column = 0;
    int k = 0;
    for (int n = 0; n < tile.columns * tile.words; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::columns*Size::words
        const Word word = port[row_address(layer.w, tile.batch, {0, tile.column + column}) + tile.word + k];
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const bool inside = (tile.word + k) * LANES + i < layer.depth;
            const int code = element_of(word, i, 1, layer.w.is_signed != 0);
            // lint: allow partitioned-index: words come one by one, so each column has a write enable
            w[column / Size::pe * Size::turns + k / Size::simd][k % Size::simd][column % Size::pe][i] =
                Lane(inside ? code - layer.w_zp : 0);
        }
        column = k == tile.words - 1 ? column + 1 : column;
        k = k == tile.words - 1 ? 0 : k + 1;
    }
}

/// The same, one row a term of the sums: a word holds one lane of 16 columns.
///
/// Loops: terms x packs of columns, II = 1.
template <class Size>
void load_by_column(const Word* port, const Layer& layer, const Tile& tile,
                    Lane (&w)[Size::groups * Size::turns][Size::simd][Size::pe][LANES]) {
#pragma HLS INLINE
    int k = 0;
    int pack = 0;
    for (int n = 0; n < tile.words * LANES * tile.packs; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::columns*Size::words
        const int term = tile.word * LANES + k;
        const bool inside = term < layer.depth;
        const int address = row_address(layer.w, tile.batch, {0, term}) + tile.column / LANES + pack;
        const Word word = port[inside ? address : layer.w.base];
        const int group = pack * LANES / Size::pe;
        const int word_of_depth = k / LANES;
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const int code = element_of(word, i, 1, layer.w.is_signed != 0);
            // lint: allow partitioned-index: a word is one lane of 16 columns, each with a write enable
            w[group * Size::turns + word_of_depth / Size::simd][word_of_depth % Size::simd][pack * LANES % Size::pe + i]
             [k % LANES] =
                Lane(inside ? code - layer.w_zp : 0);
        }
        k = pack == tile.packs - 1 ? k + 1 : k;
        pack = pack == tile.packs - 1 ? 0 : pack + 1;
    }
}

/// Reads the weights of a tile.
template <class Size>
void load_weights(const Word* packed, const Word* computed, const Layer& layer, int t,
                  Lane (&w)[Size::groups * Size::turns][Size::simd][Size::pe][LANES]) {
    const Tile tile = tile_at(layer, t);
    if (layer.kind == GEMM) {
        if (layer.weights == PACKED) {
            load_packed<Size>(packed, layer, tile, w);
        } else if (layer.weights == BY_ROW) {
            load_by_row<Size>(computed, layer, tile, w);
        } else {
            load_by_column<Size>(computed, layer, tile, w);
        }
    }
}

#ifdef IRC_PLAIN

/// sums[p] += x . w[p]
template <int PE> void multiply_add(const Lane (&x)[LANES], const Lane (&w)[PE][LANES], int32_t (&sums)[PE]) {
    for (int p = 0; p < PE; p++) {
        int32_t sum = 0;
        for (int i = 0; i < LANES; i++) {
            sum += int32_t(x[i]) * int32_t(w[p][i]);
        }
        sums[p] += sum;
    }
}

#else

/// Two products by one multiplication.
using Pair = PackedProducts<255, 255, 2>;

/// sums[p] += x . w[p]: neighbouring columns share x.
template <int PE> void multiply_add(const Lane (&x)[LANES], const Lane (&w)[PE][LANES], int32_t (&sums)[PE]) {
#pragma HLS INLINE
    for (int p = 0; p < PE; p += 2) {
#pragma HLS UNROLL
        for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
            const Pair::Weight weights[2] = {w[p][i], w[p + 1][i]};
            Pair::Product products[2];
            Pair::multiply(x[i], weights, products);
            sums[p] += int32_t(products[0]);
            sums[p + 1] += int32_t(products[1]);
        }
    }
}

#endif

/// Multiplies a tile. Sums stay in `partial` until the last tile along depth hands them over.
///
/// Loops:       rows x groups of PE columns x words / simd, II = 1.
/// Multipliers: PE x simd x LANES of 9 x 9 bits.
template <class Size>
void multiply_tile(const Layer& layer, const Tile& tile, const Lane (&x)[Size::rows * Size::turns][Size::simd][LANES],
                   const Lane (&w)[Size::groups * Size::turns][Size::simd][Size::pe][LANES],
                   const int32_t (&bias)[FRONT_PARAMETERS * CHANNEL_PACKS][LANES], int32_t (&partial)[Size::packs][LANES],
                   int32_t (&results)[Size::packs][LANES]) {
#pragma HLS INLINE
    constexpr int PACKS = Size::pe / LANES;
    const int groups = tiles_of(tile.columns, Size::pe);
    const int turns = tiles_of(tile.words, Size::simd);
    int32_t sums[Size::pe] = {};
#pragma HLS ARRAY_PARTITION variable=sums type=complete
    int row = 0;
    int group = 0;
    int k = 0;
    for (int n = 0; n < tile.rows * groups * turns; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::rows*Size::groups*Size::words/Size::simd
#pragma HLS DEPENDENCE variable=partial type=inter dependent=false
        const int pack = row * layer.pitch + group * PACKS;
        if (k == 0) {
            for (int p = 0; p < Size::pe; p++) {
#pragma HLS UNROLL
                const bool biased = layer.front_parameters > 0 && group * Size::pe + p < tile.columns;
                const int32_t begin = biased ? bias[group * PACKS + p / LANES][p % LANES] : 0;
                sums[p] = tile.first ? begin : partial[pack + p / LANES][p % LANES];
            }
        }
        for (int s = 0; s < Size::simd; s++) {
#pragma HLS UNROLL
            if (k * Size::simd + s < tile.words) {
                multiply_add<Size::pe>(x[row * Size::turns + k][s], w[group * Size::turns + k][s], sums);
            }
        }
        const bool sum_ends = k == turns - 1;
        if (sum_ends) {
            for (int p = 0; p < Size::pe; p++) {
#pragma HLS UNROLL
                partial[pack + p / LANES][p % LANES] = sums[p];
                if (tile.last) {
                    results[pack + p / LANES][p % LANES] = sums[p];
                }
            }
        }
        const bool row_ends = sum_ends && group == groups - 1;
        k = sum_ends ? 0 : k + 1;
        group = row_ends ? 0 : sum_ends ? group + 1 : group;
        row = row_ends ? row + 1 : row;
    }
}

} // namespace irc

#endif
