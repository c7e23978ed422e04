// Sums of products with masked weights: what a mask makes 0 is neither stored nor multiplied.
//
// linear_blocks, conv_blocks: tiles of PE x SIMD weights that are all 0 are left out; a second ROM says where the others
// belong. linear_nm, conv_nm: of every M input channels each output keeps N; a second ROM says which. The stages are
// those of linear.h but for the products.

#ifndef IRC_SPARSE_H
#define IRC_SPARSE_H

#include "linear.h"

namespace irc {

/// Dot products of each run of RUN packs with the tiles that are kept. Row t of `memory` holds a PE x SIMD tile, and
/// places[t] twice the pack of the run that it meets, plus 1 if it is the last of its PE results. Of every PE results at
/// least one tile is kept.
///
/// Loops:  RUN, then rows x max(TILES, RUN), II = 1: the next run is read while one is worked on.
/// Buffer: two runs, PE accumulators.
template <class Rows, int RUN, class Reader, class Products, class X, int SIMD, class Cell, class Place, int TILES,
          int CELLS, class A, int PE>
void kept_tile_products(int n, stream<Pack<X, SIMD>>& x, const Cell (&memory)[TILES][CELLS], const Place (&places)[TILES][1],
                        stream<Pack<A, PE>>& y) {
    IRC_BUFFER Pack<X, SIMD> runs[2 * RUN];
#pragma HLS AGGREGATE variable=runs
#pragma HLS BIND_STORAGE variable=runs type=ram_s2p
    Pack<A, PE> acc = splat<A, PE>(0);
#pragma HLS ARRAY_PARTITION variable=acc.lane type=complete
    const Reader reader(memory);
    bool first = true;

    for (int i = 0; i < RUN; i++) {
#pragma HLS PIPELINE II=1
        runs[i] = x.read();
    }
    const int rows = Rows::at(n);
    for (int row = 0; row < rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Rows::most
        const int here = row % 2 == 0 ? 0 : RUN;
        for (int t = 0; t < larger(TILES, RUN); t++) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=runs type=inter dependent=false
            if (t < RUN && row < rows - 1) {
                runs[RUN - here + t] = x.read();
            }
            if (t < TILES) {
                const int place = int(places[t][0]);
                multiply_add<Products, PE, SIMD>(runs[here + place / 2], reader.read(memory, t), first, acc);
                first = place % 2 == 1;
                if (first) {
                    y.write(acc);
                }
            }
        }
    }
}

/// linear_blocks: linear without the tiles of weights that are all 0.
///
/// Config:  as linear.
/// Weights: the rows of linear's ROM that are kept; `places` as for kept_tile_products, the packs of a row of x counted
///          from 0.
/// Cycles:  the largest of rows x channels_in, in_tiles + rows x max(TILES, in_tiles), and rows x channels_out.
/// Buffer:  two rows of x.
template <class Config, class Epilogue, class X, class Word, class Place, int TILES, int WORDS, class Y,
          class... Operands>
void linear_blocks(int n, stream<X>& x, const Word (&weights)[TILES][WORDS], const Place (&places)[TILES][1], stream<Y>& y,
                   Operands&... operands) {
#pragma HLS DATAFLOW
#pragma HLS ARRAY_RESHAPE variable=weights type=complete dim=2
    using Shape = LinearShape<Config>;
    stream<Pack<typename Shape::Lane, Config::simd>> runs("linear_blocks.runs");
    stream<Pack<typename Shape::Sum, Config::pe>> sums("linear_blocks.sums");

    pack_runs<RowsOf<Config>, Fixed<Config::channels_in>, Config::x_zp>(n, x, runs);
    kept_tile_products<RowsOf<Config>, Shape::in_tiles, typename Shape::Reader, ProductsOf<Config>>(
        n, runs, weights, places, sums);
    unpack_runs<RowsOf<Config>, 1, Fixed<Config::channels_out>, Epilogue>(n, sums, y, 0, operands...);
}

/// conv_blocks: conv without the tiles of weights that are all 0.
///
/// Config:  as conv.
/// Weights: the rows of conv's ROM that are kept; `places` as for kept_tile_products, the packs of a patch counted from
///          0 in the order group, tap, tile.
/// Cycles:  as conv, with patch + out_h x out_w x max(TILES, patch) for the products, patch = groups x in_tiles.
/// Buffer:  the lines of sliding_window, and two patches.
template <class Config, class Epilogue, class X, class Word, class Place, int TILES, int WORDS, class Y,
          class... Operands>
void conv_blocks(stream<X>& x, const Word (&weights)[TILES][WORDS], const Place (&places)[TILES][1], stream<Y>& y,
                 Operands&... operands) {
#pragma HLS DATAFLOW
#pragma HLS ARRAY_RESHAPE variable=weights type=complete dim=2
    using Shape = ConvShape<Config>;
    constexpr int PATCH = Shape::groups * Shape::in_tiles;
    stream<Pack<typename Shape::Lane, Config::simd>> pixels("conv_blocks.pixels");
    stream<Pack<typename Shape::Lane, Config::simd>> patches("conv_blocks.patches");
    stream<Pack<typename Shape::Sum, Config::pe>> sums("conv_blocks.sums");

    pack_runs<typename Shape::Arriving, Fixed<Shape::group_in>, Config::x_zp>(FIXED, x, pixels);
    sliding_window<Config, Config::groups, Shape::pixel_tiles, Config::pad_value - Config::x_zp>(pixels, patches);
    kept_tile_products<typename Shape::Rows, PATCH, typename Shape::Reader, ProductsOf<Config>>(
        FIXED, patches, weights, places, sums);
    unpack_runs<typename Shape::Rows, Config::groups, Fixed<Shape::group_out>, Epilogue>(FIXED, sums, y, 0, operands...);
}

/// Lane `place` of the M lanes of a group: a multiplexer.
template <int M, class X, int SIMD> X lane_at(const Pack<X, SIMD>& x, int group, int place) {
#pragma HLS INLINE
    X chosen = x.lane[group * M];
    for (int i = 1; i < M; i++) {
#pragma HLS UNROLL
        if (place == i) {
            chosen = x.lane[group * M + i];
        }
    }
    return chosen;
}

/// As multiply_add, with N weights for M lanes: acc[p] += sum over k of x[M * (k / N) + place[k]] * w[k], from 0 if
/// `first`, for the KEPT = SIMD / M * N weights and places of each p. PE x KEPT multipliers and multiplexers.
template <int PE, int N, int M, class X, int SIMD, class W, class P, class A>
void multiply_add_kept(const Pack<X, SIMD>& x, const W& w, const P& places, bool first, Pack<A, PE>& acc) {
#pragma HLS INLINE
    constexpr int KEPT = SIMD / M * N;
    for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
        A sum = first ? A(0) : acc.lane[p];
        for (int k = 0; k < KEPT; k++) {
#pragma HLS UNROLL
            sum += lane_at<M>(x, k / N, int(places[p * KEPT + k])) * w[p * KEPT + k];
        }
        acc.lane[p] = sum;
    }
}

/// The readers of the ROMs of weights and of places.
template <class Config> struct NmReaders {
    static_assert(Config::simd % Config::m == 0, "lanes are whole groups");
    static constexpr int lanes = Config::pe * (Config::simd / Config::m * Config::n);
    using Weights = RomReader<typename Config::w_code, Config::w_zp, lanes>;
    using Places = RomReader<typename Config::place_code, 0, lanes>;
};

/// As dot_products, with rows of PE x SIMD / M * N weights and as many places.
///
/// Loops:  rows x groups x out_tiles x in_tiles, II = 1; a run is read during its first output tile and replayed then.
/// Buffer: one run (in_tiles packs), PE accumulators.
template <class Config, class Shape, class X, int SIMD, class Word, class Place, int TILES, int WORDS, int CELLS,
          class A, int PE>
void kept_lane_products(int n, stream<Pack<X, SIMD>>& x, const Word (&memory)[TILES][WORDS],
                        const Place (&places)[TILES][CELLS], stream<Pack<A, PE>>& y) {
    static_assert(TILES == Shape::groups * Shape::out_tiles * Shape::in_tiles, "the memories have one row a tile");
    IRC_BUFFER Pack<X, SIMD> run[Shape::in_tiles];
#pragma HLS AGGREGATE variable=run
    Pack<A, PE> acc = splat<A, PE>(0);
#pragma HLS ARRAY_PARTITION variable=acc.lane type=complete
    const typename NmReaders<Config>::Weights weight_reader(memory);
    const typename NmReaders<Config>::Places place_reader(places);

    const int rows = Shape::Rows::at(n);
    for (int row = 0; row < rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Shape::rows
        for (int group = 0; group < Shape::groups; group++) {
            for (int out = 0; out < Shape::out_tiles; out++) {
                for (int in = 0; in < Shape::in_tiles; in++) {
#pragma HLS PIPELINE II=1
                    const Pack<X, SIMD> pack = out == 0 ? x.read() : run[in];
                    if (out == 0) {
                        run[in] = pack;
                    }
                    const int tile = (group * Shape::out_tiles + out) * Shape::in_tiles + in;
                    multiply_add_kept<PE, Config::n, Config::m>(pack, weight_reader.read(memory, tile),
                                                                place_reader.read(places, tile), in == 0, acc);
                    if (in == Shape::in_tiles - 1) {
                        y.write(acc);
                    }
                }
            }
        }
    }
}

/// linear_nm: linear with N of every M input channels of each output.
///
/// Config:  as linear without packing, since lanes of x differ; simd a multiple of m; n, m, place_code.
/// Weights: ROM rows as linear's, with N lanes in the place of M: lane p * KEPT + k, KEPT = simd / m * n, holds a weight
///          of group k / n of the tile, and the same lane of `places` which of the M channels it belongs to.
/// Cycles:  as linear.
/// Buffer:  two rows of x.
template <class Config, class Epilogue, class X, class Word, class Place, int TILES, int WORDS, int CELLS, class Y,
          class... Operands>
void linear_nm(int n, stream<X>& x, const Word (&weights)[TILES][WORDS], const Place (&places)[TILES][CELLS], stream<Y>& y,
               Operands&... operands) {
#pragma HLS DATAFLOW
#pragma HLS ARRAY_RESHAPE variable=weights type=complete dim=2
#pragma HLS ARRAY_RESHAPE variable=places type=complete dim=2
    using Shape = LinearShape<Config>;
    stream<Pack<typename Shape::Lane, Config::simd>> runs("linear_nm.runs");
#pragma HLS STREAM variable=runs depth=Shape::run_depth
    stream<Pack<typename Shape::Sum, Config::pe>> sums("linear_nm.sums");

    pack_runs<RowsOf<Config>, Fixed<Config::channels_in>, Config::x_zp>(n, x, runs);
    kept_lane_products<Config, Shape>(n, runs, weights, places, sums);
    unpack_runs<RowsOf<Config>, 1, Fixed<Config::channels_out>, Epilogue>(n, sums, y, 0, operands...);
}

/// conv_nm: conv with N of every M input channels of each output, for each tap.
///
/// Config:  as conv without packing, simd a multiple of m; n, m, place_code.
/// Weights: ROM rows as conv's, with N lanes in the place of M, as for linear_nm.
/// Cycles:  as conv.
/// Buffer:  the lines of sliding_window, and two patches.
template <class Config, class Epilogue, class X, class Word, class Place, int TILES, int WORDS, int CELLS, class Y,
          class... Operands>
void conv_nm(stream<X>& x, const Word (&weights)[TILES][WORDS], const Place (&places)[TILES][CELLS], stream<Y>& y,
             Operands&... operands) {
#pragma HLS DATAFLOW
#pragma HLS ARRAY_RESHAPE variable=weights type=complete dim=2
#pragma HLS ARRAY_RESHAPE variable=places type=complete dim=2
    using Shape = ConvShape<Config>;
    stream<Pack<typename Shape::Lane, Config::simd>> pixels("conv_nm.pixels");
    stream<Pack<typename Shape::Lane, Config::simd>> patches("conv_nm.patches");
#pragma HLS STREAM variable=patches depth=Shape::run_depth
    stream<Pack<typename Shape::Sum, Config::pe>> sums("conv_nm.sums");

    pack_runs<typename Shape::Arriving, Fixed<Shape::group_in>, Config::x_zp>(FIXED, x, pixels);
    sliding_window<Config, Config::groups, Shape::pixel_tiles, Config::pad_value - Config::x_zp>(pixels, patches);
    kept_lane_products<Config, Shape>(FIXED, patches, weights, places, sums);
    unpack_runs<typename Shape::Rows, Config::groups, Fixed<Shape::group_out>, Epilogue>(FIXED, sums, y, 0, operands...);
}

} // namespace irc

#endif
