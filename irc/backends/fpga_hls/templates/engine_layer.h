// What the engine is told: layers, and how a layer is cut into tiles.
//
// Everything between two layers is in memory, in words of 16 bytes. A tensor is rows of elements; a row begins at a word
// and is read and written in packs of 16 elements, so what lies between its end and the next word is never looked at.

#ifndef IRC_ENGINE_LAYER_H
#define IRC_ENGINE_LAYER_H

#include "irc_types.h"

namespace irc {

constexpr int WORD_BYTES = 16;
constexpr int LANES = 16; // elements of a pack, and terms of a sum in a word of depth

/// What memory ports carry.
struct Word {
    uint8_t byte[WORD_BYTES];
};

/// What a layer does in front of its steps.
enum Kind {
    GEMM,    // sums of products: linear, matmul, and convolution by the addresses of its windows
    COPY,    // the elements of the first operand
    SOFTMAX, // int_softmax along rows
    NORM,    // int_norm along rows
    RANK,    // the indices of the largest scores
    GATHER,  // the rows of the first operand that `w` names
    MAX,     // the largest element of a window, channel by channel
    SUM,     // the sum of a window
    DOT,     // the sum of a window times a weight a tap and channel
    MOVE     // no tile: elements one by one, from any place to any place
};

/// Where the rows of a tensor are: pitches in words. A row has a batch, a line and a pixel.
struct Access {
    int base;
    int batch;
    int line;
    int pixel;
    int bytes; // of an element: 1, 2 or 4
    int is_signed;
};

/// How the first operand is looked at: tap (ky, kx) of result (y, x) is (y * stride_h - pad_top + ky * dilation_h, ...).
struct Window {
    int height;
    int width;
    int kernel_w;
    int stride_h;
    int stride_w;
    int dilation_h;
    int dilation_w;
    int pad_top;
    int pad_left;
    int fill; // the element outside of the tensor
};

/// Which elements a step takes. Vectors have two ports, for operands b and c.
enum Source { RESULT = 0, SECOND = 1, THIRD = 2, CONSTANT = 3, PARAMETER = 4, REGISTER = 8 };

enum Operation {
    REQUANTIZE,
    TAKE,
    ADD,
    SUBTRACT,
    MULTIPLY,
    LARGER,
    SMALLER,
    ABSOLUTE,
    WRAP,
    EQUAL,
    UNEQUAL,
    LESS,
    LESS_EQUAL,
    AND,
    OR,
    XOR,
    CHOOSE
};

/// What a step does with its clamped result.
enum Then { KEEP, PLUS_C, IN_TABLE };

/// One elementwise operation on the whole tile: register[target] = then(clamp(operation(a, b, c), low, high)).
struct Step {
    int operation;
    int target;
    int a;
    int b;
    int c;
    int constant; // what CONSTANT stands for
    int shift;    // of REQUANTIZE; of WRAP the bits, negative if signed
    int x_zp;
    int zp;
    int low;
    int high;
    int then;
    int lowest; // code of the table
};

constexpr int STEPS = 12;
constexpr int REGISTERS = 4;
constexpr int PARAMETERS = 4;       // vectors by channel that the steps of a layer may read
constexpr int FRONT_PARAMETERS = 2; // and what is in front of them
constexpr int CHANNEL_PACKS = 128;  // of such a vector
constexpr int TABLE = 512;          // entries of a table
constexpr int INDICES = 4;          // of a word

/// Where the weights of a GEMM come from.
enum Weights {
    PACKED,    // tile by tile, in the order in which the engine reads them
    BY_ROW,    // a tensor whose rows are the columns of the result
    BY_COLUMN  // a tensor whose rows are what is summed over
};

constexpr int MOVE_LOOPS = 6;

/// One layer. Counts of rows, columns, depth and their tiles; then what its kind needs.
struct Layer {
    int kind;
    // rows of the result (lines x line_width, of each batch), columns, words of depth a tap, taps; RANK: packs of scores
    int batches;
    int rows;
    int line_width;
    int columns;
    int depth;      // elements a tap; RANK: scores
    int depth_words;
    int taps;
    // elements a tile: rows, columns (a multiple of LANES), words of depth over all taps; packs between its rows
    int tile_rows;
    int tile_columns;
    int tile_words;
    int pitch;
    // tiles along each of them, and in all
    int row_tiles;
    int column_tiles;
    int depth_tiles;
    int tiles;
    Window window;
    Access x;
    Access w;
    Access second;
    Access third;
    Access y;
    int has_mask; // SOFTMAX: `w` is a mask; of GATHER it is indices
    int x_zp;
    int w_zp;
    int weights; // Weights
    int weight_bits;
    // words in the memory of parameters: where they begin; vectors of the front and of the steps; entries of tables
    int parameters;
    int front_parameters;
    int step_parameters;
    int front_table;
    int step_table;
    // NORM and SOFTMAX
    int64_t eps;
    int center;
    int shift; // fraction bits of the result of SOFTMAX, of gain and offset of NORM
    int zp;
    int pinned; // RANK: scores that are never left out, the first ones
    int steps;
    Step step[STEPS];
    // MOVE, in bytes
    int from;
    int to;
    int extent[MOVE_LOOPS];
    int from_pitch[MOVE_LOOPS];
    int to_pitch[MOVE_LOOPS];
};

/// Where a tile begins, and how much of it there is.
struct Tile {
    int batch;
    int row;
    int rows;
    int column;
    int columns;
    int packs;
    int word; // of depth
    int words;
    bool first; // along depth
    bool last;
};

/// Tile t of a layer: depth changes fastest, then rows, then columns.
inline Tile tile_at(const Layer& layer, int t) {
#pragma HLS INLINE
    const int above_depth = t / layer.depth_tiles;
    const int k = t - above_depth * layer.depth_tiles;
    const int above_rows = above_depth / layer.row_tiles;
    const int m = above_depth - above_rows * layer.row_tiles;
    const int batch = above_rows / layer.column_tiles;
    const int n = above_rows - batch * layer.column_tiles;
    Tile tile;
    tile.batch = batch;
    tile.row = m * layer.tile_rows;
    tile.rows = smaller(layer.tile_rows, layer.rows - tile.row);
    tile.column = n * layer.tile_columns;
    tile.columns = smaller(layer.tile_columns, layer.columns - tile.column);
    tile.packs = tiles_of(tile.columns, LANES);
    tile.word = k * layer.tile_words;
    tile.words = smaller(layer.tile_words, layer.taps * layer.depth_words - tile.word);
    tile.first = k == 0;
    tile.last = k == layer.depth_tiles - 1;
    return tile;
}

/// The line and the pixel of a row, counted up row by row.
struct Place {
    int line;
    int pixel;
};

inline Place place_of(const Layer& layer, int row) {
#pragma HLS INLINE
    const int line = row / layer.line_width;
    return {line, row - line * layer.line_width};
}

inline Place next_place(const Layer& layer, const Place& place) {
#pragma HLS INLINE
    const bool ends = place.pixel == layer.line_width - 1;
    return {ends ? place.line + 1 : place.line, ends ? 0 : place.pixel + 1};
}

/// The word at which a row begins.
inline int row_address(const Access& access, int batch, const Place& place) {
#pragma HLS INLINE
    return access.base + batch * access.batch + place.line * access.line + place.pixel * access.pixel;
}

/// A tap of a window.
struct Tap {
    int y;
    int x;
};

inline Tap tap_at(const Layer& layer, int tap) {
#pragma HLS INLINE
    const int y = tap / layer.window.kernel_w;
    return {y, tap - y * layer.window.kernel_w};
}

/// The place of the first operand that a tap of a result looks at.
inline Place place_under(const Window& window, const Place& place, const Tap& tap) {
#pragma HLS INLINE
    return {place.line * window.stride_h - window.pad_top + tap.y * window.dilation_h,
            place.pixel * window.stride_w - window.pad_left + tap.x * window.dilation_w};
}

inline bool is_inside(const Window& window, const Place& place) {
#pragma HLS INLINE
    return 0 <= place.line && place.line < window.height && 0 <= place.pixel && place.pixel < window.width;
}

/// The packs of a tile, row by row.
struct PackWalk {
    int row;
    int pack;
};

inline PackWalk next_pack(const Tile& tile, const PackWalk& walk) {
#pragma HLS INLINE
    const bool ends = walk.pack == tile.packs - 1;
    return {ends ? walk.row + 1 : walk.row, ends ? 0 : walk.pack + 1};
}

/// The element `lane` of a word of elements of so many bytes, little-endian.
inline int32_t element_of(const Word& word, int lane, int bytes, bool is_signed) {
#pragma HLS INLINE
    if (bytes == 1) {
        const uint8_t code = word.byte[lane];
        return is_signed ? int32_t(int8_t(code)) : int32_t(code);
    }
    if (bytes == 2) {
        const uint16_t code = uint16_t(word.byte[(2 * lane) % WORD_BYTES] | word.byte[(2 * lane + 1) % WORD_BYTES] << 8);
        return is_signed ? int32_t(int16_t(code)) : int32_t(code);
    }
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
#pragma HLS UNROLL
        code |= uint32_t(word.byte[(4 * lane + i) % WORD_BYTES]) << (8 * i);
    }
    return int32_t(code);
}

} // namespace irc

#endif
