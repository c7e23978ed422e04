// Sums of products: linear, conv, depthwise_conv, matmul.
//
// All four are the same pipeline: scalars are packed into SIMD lanes, PE x SIMD multipliers run over tiles, and the
// sums are unpacked into the epilogue, which also adds the bias. The processes run concurrently (DATAFLOW), so a stage
// takes as many cycles as its slowest process. pe and simd need not divide anything.

#ifndef IRC_LINEAR_H
#define IRC_LINEAR_H

#include "epilogue.h"
#include "packed.h"
#include "rom.h"
#include "window.h"

namespace irc {

#ifdef IRC_PLAIN
constexpr bool PACKS = false; // compilers vectorise products of builtin integers that are made one by one
#else
constexpr bool PACKS = true;
#endif

/// How a stage makes its products: `packing` of those that share x by one multiplication, or each on its own.
template <class Config>
using ProductsOf = PackedProducts<Centered<typename Config::x_code, Config::x_zp>::most,
                                  Centered<typename Config::w_code, Config::w_zp>::most, PACKS ? Config::packing : 1>;

/// acc[p] += sum over s of x[s] * w[p * SIMD + s], from 0 if `first`. PE x SIMD multipliers, one adder tree a PE.
template <class Products, int PE, int SIMD, class X, class W, class A>
std::enable_if_t<Products::lanes == 1> multiply_add(const Pack<X, SIMD>& x, const W& w, bool first, Pack<A, PE>& acc) {
#pragma HLS INLINE
    for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
        A sum = first ? A(0) : acc.lane[p];
        for (int s = 0; s < SIMD; s++) {
#pragma HLS UNROLL
            sum += x.lane[s] * w[p * SIMD + s];
        }
        acc.lane[p] = sum;
    }
}

/// The same with ceil(PE / lanes) x SIMD multiplications: neighbouring p share x.
template <class Products, int PE, int SIMD, class X, class W, class A>
std::enable_if_t<(Products::lanes > 1)> multiply_add(const Pack<X, SIMD>& x, const W& w, bool first, Pack<A, PE>& acc) {
#pragma HLS INLINE
    for (int p = 0; p < PE; p += Products::lanes) {
#pragma HLS UNROLL
        for (int i = 0; i < smaller(Products::lanes, PE - p); i++) {
#pragma HLS UNROLL
            acc.lane[p + i] = first ? A(0) : acc.lane[p + i];
        }
        for (int s = 0; s < SIMD; s++) {
#pragma HLS UNROLL
            typename Products::Weight shared[Products::lanes];
            typename Products::Product products[Products::lanes];
            for (int i = 0; i < Products::lanes; i++) {
#pragma HLS UNROLL
                shared[i] = p + i < PE ? typename Products::Weight(w[(p + i) * SIMD + s]) : typename Products::Weight(0);
            }
            Products::multiply(x.lane[s], shared, products);
            for (int i = 0; i < smaller(Products::lanes, PE - p); i++) {
#pragma HLS UNROLL
                acc.lane[p + i] += products[i];
            }
        }
    }
}

/// Dot products of each run of in_tiles packs with out_tiles x PE rows of weights. There are rows x groups runs, and
/// each group has its own weights: row (group * out_tiles + out) * in_tiles + in of `memory` holds a PE x SIMD tile.
/// With groups_first all rows of group 0 come first, otherwise all groups of row 0.
///
/// Loops:  rows x groups x out_tiles x in_tiles, II = 1; a run is read during its first output tile and replayed then.
/// Buffer: one run (in_tiles packs), PE accumulators.
template <class Shape, class Products, class X, int SIMD, class Cell, int TILES, int CELLS, class A, int PE>
void dot_products(int n, stream<Pack<X, SIMD>>& x, const Cell (&memory)[TILES][CELLS], stream<Pack<A, PE>>& y) {
    static_assert(TILES == Shape::groups * Shape::out_tiles * Shape::in_tiles, "the memory has one row a tile");
    IRC_BUFFER Pack<X, SIMD> run[Shape::in_tiles];
#pragma HLS AGGREGATE variable=run
    Pack<A, PE> acc = splat<A, PE>(0);
#pragma HLS ARRAY_PARTITION variable=acc.lane type=complete
    const typename Shape::Reader reader(memory);

    const int rows = Shape::Rows::at(n);
    const int out_tiles = Shape::OutTiles::at(n);
    const int in_tiles = Shape::InTiles::at(n);
    for (int i = 0; i < (Shape::groups_first ? Shape::groups : rows); i++) {
#pragma HLS LOOP_TRIPCOUNT max=Shape::outer
        for (int j = 0; j < (Shape::groups_first ? rows : Shape::groups); j++) {
#pragma HLS LOOP_TRIPCOUNT max=Shape::inner
            for (int out = 0; out < out_tiles; out++) {
#pragma HLS LOOP_TRIPCOUNT max=Shape::out_tiles
                for (int in = 0; in < in_tiles; in++) {
#pragma HLS LOOP_TRIPCOUNT max=Shape::in_tiles
#pragma HLS PIPELINE II=1
                    const Pack<X, SIMD> pack = out == 0 ? x.read() : run[in];
                    if (out == 0) {
                        run[in] = pack;
                    }
                    const int group = Shape::groups_first ? i : j;
                    const auto& w = reader.read(memory, (group * Shape::out_tiles + out) * Shape::in_tiles + in);
                    multiply_add<Products, PE, SIMD>(pack, w, in == 0, acc);
                    if (in == in_tiles - 1) {
                        y.write(acc);
                    }
                }
            }
        }
    }
}

/// Sizes and types that follow from the Config of a linear stage.
template <class Config> struct LinearShape {
    using Rows = RowsOf<Config>;
    using OutTiles = Fixed<tiles_of(Config::channels_out, Config::pe)>;
    using InTiles = Fixed<tiles_of(Config::channels_in, Config::simd)>;
    static constexpr int rows = Config::rows;
    static constexpr int groups = 1;
    static constexpr bool groups_first = false;
    static constexpr int outer = rows;
    static constexpr int inner = groups;
    static constexpr int in_tiles = tiles_of(Config::channels_in, Config::simd);
    static constexpr int out_tiles = tiles_of(Config::channels_out, Config::pe);
    static constexpr int run_depth = in_tiles + 1; // the next row arrives while this one is replayed
    using Lane = typename Centered<typename Config::x_code, Config::x_zp>::type;
    using Sum = Acc<Config::acc_bits>;
    using Reader = RomReader<typename Config::w_code, Config::w_zp, Config::pe * Config::simd>;
};

/// linear: y[row][co] = epilogue(sum over ci of (x[row][ci] - x_zp) * (w[co][ci] - w_zp)).
///
/// Config:  rows, channels_in, channels_out, pe, simd, packing, acc_bits, x_code, w_code, x_zp, w_zp.
/// Weights: ROM row out * in_tiles + in holds w[out * pe + p][in * simd + s] in lane p * simd + s (see rom.h); lanes
///          outside the matrix hold w_zp.
/// Cycles:  rows x max(channels_in, out_tiles x in_tiles, channels_out).
/// Buffer:  two rows of x.
template <class Config, class Epilogue, class X, class Word, int TILES, int WORDS, class Y, class... Operands>
void linear(int n, stream<X>& x, const Word (&weights)[TILES][WORDS], stream<Y>& y, Operands&... operands) {
#pragma HLS DATAFLOW
#pragma HLS ARRAY_RESHAPE variable=weights type=complete dim=2
    using Shape = LinearShape<Config>;
    stream<Pack<typename Shape::Lane, Config::simd>> runs("linear.runs");
#pragma HLS STREAM variable=runs depth=Shape::run_depth
    stream<Pack<typename Shape::Sum, Config::pe>> sums("linear.sums");

    pack_runs<RowsOf<Config>, Fixed<Config::channels_in>, Config::x_zp>(n, x, runs);
    dot_products<Shape, ProductsOf<Config>>(n, runs, weights, sums);
    unpack_runs<RowsOf<Config>, 1, Fixed<Config::channels_out>, Epilogue>(n, sums, y, 0, operands...);
}

/// Sizes and types that follow from the Config of a conv stage.
template <class Config> struct ConvShape : WindowShape<Config> {
    using Window = WindowShape<Config>;
    static_assert(Config::channels_in % Config::groups == 0, "groups divide the input channels");
    static_assert(Config::channels_out % Config::groups == 0, "groups divide the output channels");
    static constexpr int rows = Window::out_h * Window::out_w;
    static constexpr int groups = Config::groups;
    static constexpr bool groups_first = false;
    static constexpr int outer = rows;
    static constexpr int inner = groups;
    static constexpr int group_in = Config::channels_in / Config::groups;
    static constexpr int group_out = Config::channels_out / Config::groups;
    static constexpr int pixel_tiles = tiles_of(group_in, Config::simd);
    static constexpr int in_tiles = Window::taps * pixel_tiles;
    static constexpr int out_tiles = tiles_of(group_out, Config::pe);
    using Arriving = Fixed<Config::height * Config::width * Config::groups>;
    using Rows = Fixed<rows>;
    using OutTiles = Fixed<out_tiles>;
    using InTiles = Fixed<in_tiles>;
    static constexpr int run_depth = in_tiles + 1; // the next patch arrives while this one is replayed
    using Lane = typename Centered<typename Config::x_code, Config::x_zp>::type;
    using Sum = Acc<Config::acc_bits>;
    using Reader = RomReader<typename Config::w_code, Config::w_zp, Config::pe * Config::simd>;
};

/// conv: convolution over an image that travels by height, width, channel; grouped, strided, dilated, padded.
///
/// Config:  as linear without rows, and groups, pad_value (the code outside the image), and the fields of window.h.
///          pad_value is x_zp, unless x_zp = 0 here because the bias already accounts for the zero point.
/// Weights: ROM row ((group * out_tiles + out) * taps + ky * kernel_w + kx) * pixel_tiles + tile holds
///          w[group][out * pe + p][tile * simd + s][ky][kx] in lane p * simd + s; lanes outside the matrix hold w_zp.
/// Cycles:  the largest of height x width x channels_in, the cycles of sliding_window (LINE = width x groups x
///          pixel_tiles), out_h x out_w x groups x out_tiles x in_tiles, and out_h x out_w x channels_out.
/// Buffer:  the lines of sliding_window, and two patches.
///
/// A 1x1 convolution with stride 1 is better a linear with rows = height x width: it needs no lines.
template <class Config, class Epilogue, class X, class Word, int TILES, int WORDS, class Y, class... Operands>
void conv(stream<X>& x, const Word (&weights)[TILES][WORDS], stream<Y>& y, Operands&... operands) {
#pragma HLS DATAFLOW
#pragma HLS ARRAY_RESHAPE variable=weights type=complete dim=2
    using Shape = ConvShape<Config>;
    stream<Pack<typename Shape::Lane, Config::simd>> pixels("conv.pixels");
    stream<Pack<typename Shape::Lane, Config::simd>> patches("conv.patches");
#pragma HLS STREAM variable=patches depth=Shape::run_depth
    stream<Pack<typename Shape::Sum, Config::pe>> sums("conv.sums");

    pack_runs<typename Shape::Arriving, Fixed<Shape::group_in>, Config::x_zp>(FIXED, x, pixels);
    sliding_window<Config, Config::groups, Shape::pixel_tiles, Config::pad_value - Config::x_zp>(pixels, patches);
    dot_products<Shape, ProductsOf<Config>>(FIXED, patches, weights, sums);
    unpack_runs<typename Shape::Rows, Config::groups, Fixed<Shape::group_out>, Epilogue>(FIXED, sums, y, 0, operands...);
}

/// acc[p] += x[p] * w[p] over the taps of each patch; the PE channels of a pack stay apart. PE multipliers.
///
/// Loops:  rows x channel_tiles x taps, II = 1.
/// Buffer: PE accumulators.
template <class Shape, class X, int PE, class Word, int TILES, int WORDS, class A>
void channel_products(stream<Pack<X, PE>>& x, const Word (&rom)[TILES][WORDS], stream<Pack<A, PE>>& y) {
    static_assert(TILES == Shape::channel_tiles * Shape::taps, "the ROM has one row a tile");
    Pack<A, PE> acc = splat<A, PE>(0);
#pragma HLS ARRAY_PARTITION variable=acc.lane type=complete
    const typename Shape::Reader reader(rom);

    for (int row = 0; row < Shape::rows; row++) {
        for (int tile = 0; tile < Shape::channel_tiles; tile++) {
            for (int tap = 0; tap < Shape::taps; tap++) {
#pragma HLS PIPELINE II=1
                const Pack<X, PE> pack = x.read();
                const auto& w = reader.read(rom, tile * Shape::taps + tap);
                for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
                    const A sum = tap == 0 ? A(0) : acc.lane[p];
                    acc.lane[p] = sum + pack.lane[p] * w[p];
                }
                if (tap == Shape::taps - 1) {
                    y.write(acc);
                }
            }
        }
    }
}

/// Sizes and types that follow from the Config of a depthwise_conv stage.
template <class Config> struct DepthwiseShape : WindowShape<Config> {
    using Window = WindowShape<Config>;
    static constexpr int rows = Window::out_h * Window::out_w;
    static constexpr int channel_tiles = tiles_of(Config::channels, Config::pe);
    using Lane = typename Centered<typename Config::x_code, Config::x_zp>::type;
    using Sum = Acc<Config::acc_bits>;
    using Reader = RomReader<typename Config::w_code, Config::w_zp, Config::pe>;
};

/// depthwise_conv: convolution with one filter a channel. (With several, use conv with groups = channels_in.)
///
/// Config:  channels, pe, acc_bits, x_code, w_code, x_zp, w_zp, pad_value as in conv, and the fields of window.h.
/// Weights: ROM row tile * taps + ky * kernel_w + kx holds w[tile * pe + p][ky][kx] in lane p.
/// Cycles:  the largest of height x width x channels, the cycles of sliding_window (LINE = width x channel_tiles),
///          out_h x out_w x channel_tiles x taps, and out_h x out_w x channels.
/// Buffer:  the lines of sliding_window.
template <class Config, class Epilogue, class X, class Word, int TILES, int WORDS, class Y, class... Operands>
void depthwise_conv(stream<X>& x, const Word (&weights)[TILES][WORDS], stream<Y>& y, Operands&... operands) {
#pragma HLS DATAFLOW
#pragma HLS ARRAY_RESHAPE variable=weights type=complete dim=2
    using Shape = DepthwiseShape<Config>;
    stream<Pack<typename Shape::Lane, Config::pe>> pixels("depthwise_conv.pixels");
    stream<Pack<typename Shape::Lane, Config::pe>> patches("depthwise_conv.patches");
    stream<Pack<typename Shape::Sum, Config::pe>> sums("depthwise_conv.sums");

    pack_runs<Fixed<Config::height * Config::width>, Fixed<Config::channels>, Config::x_zp>(FIXED, x, pixels);
    sliding_window<Config, Shape::channel_tiles, 1, Config::pad_value - Config::x_zp>(pixels, patches);
    channel_products<Shape>(patches, weights, sums);
    unpack_runs<Fixed<Shape::rows>, 1, Fixed<Config::channels>, Epilogue>(FIXED, sums, y, 0, operands...);
}

/// The dimensions of a matmul operand: heads and the like; the row of x or column of w; the dimension summed over.
enum MatmulDim { BATCH, FREE, DEPTH };

/// The order in which the dimensions of an operand travel, outermost first.
template <MatmulDim OUTER, MatmulDim MIDDLE, MatmulDim INNER> struct Order {
    static_assert((1 << OUTER | 1 << MIDDLE | 1 << INNER) == 7, "an order names every dimension once");
    static constexpr MatmulDim outer = OUTER;
    static constexpr MatmulDim middle = MIDDLE;
    static constexpr MatmulDim inner = INNER;
};

/// A position along one dimension, as tile and lane.
struct TiledIndex {
    int at = 0;
    int tile = 0;
    int lane = 0;

    /// Goes one on if `step`; true if that wraps around.
    bool advance(bool step, int extent, int lanes) {
#pragma HLS INLINE
        const bool wraps = step && at == extent - 1;
        const bool next_tile = lane == lanes - 1;
        if (step) {
            at = wraps ? 0 : at + 1;
            tile = wraps ? 0 : tile + int(next_tile);
            lane = wraps || next_tile ? 0 : lane + 1;
        }
        return wraps;
    }
};

/// Sizes of a matmul operand in tiles of FREE_LANES x DEPTH_LANES. Row (batch * free_tiles + free) * depth_tiles +
/// depth of its buffer holds one tile, in lane free_lane * DEPTH_LANES + depth_lane.
template <class ORDER, int BATCHES, class Frees, class Depths, int FREE_LANES, int DEPTH_LANES> struct OperandShape {
    using order = ORDER;
    static constexpr int free_tiles = tiles_of(Frees::most, FREE_LANES);
    static constexpr int depth_tiles = tiles_of(Depths::most, DEPTH_LANES);
    static constexpr int tiles = BATCHES * free_tiles * depth_tiles;
    static constexpr int lanes = FREE_LANES * DEPTH_LANES;
    using Count = Nested<Fixed<BATCHES>, Nested<Frees, Depths>>;

    static int extent(MatmulDim dim, int n) { return dim == BATCH ? BATCHES : dim == FREE ? Frees::at(n) : Depths::at(n); }
    static constexpr int split(MatmulDim dim) { return dim == BATCH ? 1 : dim == FREE ? FREE_LANES : DEPTH_LANES; }
};

/// Fills the buffer of an operand with x - ZP, whatever the order of the stream. Lanes outside the operand keep what
/// they had.
///
/// Loops: one over all elements, II = 1.
template <class Shape, int ZP, class X, class T>
void load_operand(int n, stream<X>& x, T (&tiles)[Shape::tiles][Shape::lanes]) {
    using Order = typename Shape::order;
    TiledIndex index[3];
#pragma HLS ARRAY_PARTITION variable=index type=complete
    const int inner = Shape::extent(Order::inner, n);
    const int middle = Shape::extent(Order::middle, n);
    const int outer = Shape::extent(Order::outer, n);
    const int count = Shape::Count::at(n);
    for (int i = 0; i < count; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Shape::Count::most
#pragma HLS PIPELINE II=1
        const TiledIndex& free = index[FREE];
        const TiledIndex& depth = index[DEPTH];
        const int row = (index[BATCH].at * Shape::free_tiles + free.tile) * Shape::depth_tiles + depth.tile;
        // lint: allow partitioned-index: scalars come one by one, so each memory has a write enable
        tiles[row][free.lane * Shape::split(DEPTH) + depth.lane] = T(int(x.read()) - ZP);

        bool step = index[Order::inner].advance(true, inner, Shape::split(Order::inner));
        step = index[Order::middle].advance(step, middle, Shape::split(Order::middle));
        index[Order::outer].advance(step, outer, Shape::split(Order::outer));
    }
}

/// Sends the rows of a buffered x: batch by batch, or (rows_first) each row of all batches. Lanes past the depth are 0.
///
/// Loops: batches x rows x depth tiles, II = 1.
template <class Shape, class T, int TILES, int SIMD>
void send_rows(int n, const T (&tiles)[TILES][SIMD], stream<Pack<T, SIMD>>& y) {
    const int rows = Shape::Rows::at(n);
    const int depth = Shape::Depths::at(n);
    const int in_tiles = Shape::InTiles::at(n);
    for (int i = 0; i < (Shape::groups_first ? Shape::groups : rows); i++) {
#pragma HLS LOOP_TRIPCOUNT max=Shape::outer
        for (int j = 0; j < (Shape::groups_first ? rows : Shape::groups); j++) {
#pragma HLS LOOP_TRIPCOUNT max=Shape::inner
            for (int tile = 0; tile < in_tiles; tile++) {
#pragma HLS LOOP_TRIPCOUNT max=Shape::in_tiles
#pragma HLS PIPELINE II=1
                const int batch = Shape::groups_first ? i : j;
                const int row = Shape::groups_first ? j : i;
                Pack<T, SIMD> pack;
                for (int s = 0; s < SIMD; s++) {
#pragma HLS UNROLL
                    const T value = tiles[(batch * Shape::rows + row) * Shape::in_tiles + tile][s];
                    pack.lane[s] = tile * SIMD + s < depth ? value : T(0);
                }
                y.write(pack);
            }
        }
    }
}

/// Reads tiles of a matmul operand from its buffer.
struct BufferReader {
    template <class T, int TILES, int LANES> explicit BufferReader(const T (&)[TILES][LANES]) {}

    template <class T, int TILES, int LANES> const T (&read(const T (&tiles)[TILES][LANES], int tile) const)[LANES] {
#pragma HLS INLINE
        return tiles[tile];
    }
};

/// Sizes and types that follow from the Config of a matmul stage. The batches are the groups of dot_products.
template <class Config> struct MatmulShape {
    struct Columns {
        static constexpr int most = Config::columns;
        static int at(int n) { return Sizes<Config>(n).columns; }
    };
    struct Depths {
        static constexpr int most = Config::depth;
        static int at(int n) { return Sizes<Config>(n).depth; }
    };
    using Rows = RowsOf<Config>;
    using Runs = Nested<Fixed<Config::batch>, Rows>;
    using OutTiles = TilesOf<Columns, Config::pe>;
    using InTiles = TilesOf<Depths, Config::simd>;
    using XShape = OperandShape<typename Config::x_order, Config::batch, Rows, Depths, 1, Config::simd>;
    using WShape = OperandShape<typename Config::w_order, Config::batch, Columns, Depths, Config::pe, Config::simd>;
    static constexpr int rows = Config::rows;
    static constexpr int groups = Config::batch;
    static constexpr bool groups_first = !Config::rows_first;
    static constexpr int outer = groups_first ? groups : rows;
    static constexpr int inner = groups_first ? rows : groups;
    static constexpr int in_tiles = WShape::depth_tiles;
    static constexpr int out_tiles = WShape::free_tiles;
    using XLane = typename Centered<typename Config::x_code, Config::x_zp>::type;
    using WLane = typename Centered<typename Config::w_code, Config::w_zp>::type;
    using Sum = Acc<Config::acc_bits>;
    using Reader = BufferReader;

    /// x travels in the order in which it is needed, so it is not buffered.
    using NeededOrder = std::conditional_t<Config::rows_first, Order<FREE, BATCH, DEPTH>, Order<BATCH, FREE, DEPTH>>;
    static constexpr bool x_in_order = std::is_same<typename Config::x_order, NeededOrder>::value;
    static constexpr int run_depth = in_tiles + 1;
};

/// Feeds x to the multipliers as it comes.
template <class Config, class X, class T, int SIMD>
std::enable_if_t<MatmulShape<Config>::x_in_order> feed_rows(int n, stream<X>& x, stream<Pack<T, SIMD>>& runs) {
    using Shape = MatmulShape<Config>;
    pack_runs<typename Shape::Runs, typename Shape::Depths, Config::x_zp>(n, x, runs);
}

/// Feeds x to the multipliers through a buffer of the whole operand.
template <class Config, class X, class T, int SIMD>
std::enable_if_t<!MatmulShape<Config>::x_in_order> feed_rows(int n, stream<X>& x, stream<Pack<T, SIMD>>& runs) {
#pragma HLS DATAFLOW
    using Shape = MatmulShape<Config>;
    using XShape = typename Shape::XShape;
    IRC_BUFFER T tiles[XShape::tiles][XShape::lanes];
#pragma HLS ARRAY_PARTITION variable=tiles type=complete dim=2
#pragma HLS STREAM variable=tiles type=pipo depth=Config::buffers
    load_operand<XShape, Config::x_zp>(n, x, tiles);
    send_rows<Shape>(n, tiles, runs);
}

/// The processes of one block of a matmul, for the DATAFLOW region that calls it.
template <class Config, class Epilogue, class X, class W, class Y, class... Operands>
void multiply_block(int n, stream<X>& x, stream<W>& w, stream<Y>& y, int block, Operands&... operands) {
#pragma HLS INLINE
    using Shape = MatmulShape<Config>;
    using WShape = typename Shape::WShape;
    stream<Pack<typename Shape::XLane, Config::simd>> runs("matmul.runs");
#pragma HLS STREAM variable=runs depth=Shape::run_depth
    stream<Pack<typename Shape::Sum, Config::pe>> sums("matmul.sums");
    IRC_BUFFER typename Shape::WLane w_tiles[WShape::tiles][WShape::lanes];
#pragma HLS ARRAY_PARTITION variable=w_tiles type=complete dim=2
#pragma HLS STREAM variable=w_tiles type=pipo depth=Config::buffers

    feed_rows<Config>(n, x, runs);
    load_operand<WShape, Config::w_zp>(n, w, w_tiles);
    dot_products<Shape, ProductsOf<Config>>(n, runs, w_tiles, sums);
    unpack_runs<typename Shape::Runs, 1, typename Shape::Columns, Epilogue>(n, sums, y, block, operands...);
}

/// matmul: y[b][m][n] = epilogue(sum over k of (x[b][m][k] - x_zp) * (w[b][k][n] - w_zp)), of two streams.
///
/// Config:  blocks (how often all of it is done, as for windows of an image), batch, rows (m), depth (k), columns (n),
///          pe, simd, packing, buffers, acc_bits, x_code, w_code, x_zp, w_zp;
///          x_order and w_order: how x and w travel, Order<BATCH, DEPTH, FREE> is a row-major w, Order<BATCH, FREE,
///          DEPTH> a transposed one; rows_first: false if y travels b, m, n, true if m, b, n.
/// Cycles:  blocks x (load + rest) for buffers = 1, blocks x max(load, rest) for buffers = 2, where
///          load = batch x depth x columns, or x rows if x is buffered and has more of them,
///          rest = batch x rows x max(out_tiles x in_tiles, columns, depth unless x is buffered).
/// Buffer:  w of one block; x too, unless it travels in the order of y. `buffers` = 2 doubles them, so that the next
///          operands arrive during a product.
///
/// The channel of a result is n. An x without buffer waits until w is complete; if both come from one producer, the
/// FIFO in front of x has to hold what arrives until then.
template <class Config, class Epilogue, class X, class W, class Y, class... Operands>
std::enable_if_t<Config::blocks == 1> matmul(int n, stream<X>& x, stream<W>& w, stream<Y>& y, Operands&... operands) {
#pragma HLS DATAFLOW
    multiply_block<Config, Epilogue>(n, x, w, y, 0, operands...);
}

/// matmul with several blocks: they overlap with one another, but not with those of the next sample.
template <class Config, class Epilogue, class X, class W, class Y, class... Operands>
std::enable_if_t<(Config::blocks > 1)> matmul(int n, stream<X>& x, stream<W>& w, stream<Y>& y, Operands&... operands) {
    for (int block = 0; block < Config::blocks; block++) {
#pragma HLS DATAFLOW
        multiply_block<Config, Epilogue>(n, x, w, y, block, operands...);
    }
}

} // namespace irc

#endif
