// The sliding window of convolution and pooling: a line buffer that turns an image into patches.
//
// Fields of Config used here: height, width (input); kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w,
// pad_top, pad_left, pad_bottom, pad_right. A one-dimensional window over `length` is best given as height = length,
// width = 1: the line buffer is then a few pixels instead of the whole sequence.

#ifndef IRC_WINDOW_H
#define IRC_WINDOW_H

#include "pack.h"

namespace irc {

/// Sizes that follow from the geometry of a window.
template <class Config> struct WindowShape {
    static constexpr int span_h = (Config::kernel_h - 1) * Config::dilation_h + 1;
    static constexpr int span_w = (Config::kernel_w - 1) * Config::dilation_w + 1;
    static constexpr int padded_h = Config::pad_top + Config::height + Config::pad_bottom;
    static constexpr int padded_w = Config::pad_left + Config::width + Config::pad_right;
    static constexpr int out_h = (padded_h - span_h) / Config::stride_h + 1;
    static constexpr int out_w = (padded_w - span_w) / Config::stride_w + 1;
    static constexpr int taps = Config::kernel_h * Config::kernel_w;

    /// Lines kept: those under the window and those that arrive while it is on its row.
    static constexpr int lines = span_h + Config::stride_h;

    /// Number of input lines that have to be there for output row oy.
    static constexpr int lines_before(int oy) {
        return larger(0, smaller(Config::height, oy * Config::stride_h - Config::pad_top + span_h));
    }

    static_assert(padded_h >= span_h && padded_w >= span_w, "the window fits into the padded image");
};

/// line modulo LINES, for 0 <= line < 2 * LINES.
template <int LINES> int wrap_line(int line) {
#pragma HLS INLINE
    return line < LINES ? line : line - LINES;
}

/// Stores the packs of an image, LENGTH a line, one after the other in a ring of lines.
template <class T, int LINES, int LENGTH> class LineWriter {
  public:
    void store(T (&lines)[LINES][LENGTH], const T& value) {
#pragma HLS INLINE
        lines[line_][at_] = value;
        at_ = at_ == LENGTH - 1 ? 0 : at_ + 1;
        line_ = at_ != 0 ? line_ : wrap_line<LINES>(line_ + 1);
    }

  private:
    int line_ = 0;
    int at_ = 0;
};

/// Reads the pixels of an image, GROUPS x TILES packs each, and writes the patch of every output pixel, in the order
/// group, kernel row, kernel column, tile. Outside the image every lane is PAD.
///
/// Loops:  all II = 1: the lines of the first patch; for each output row EMIT = out_w x GROUPS x taps x TILES packs of
///         patches, while the next lines arrive, evenly spread; lines that no patch needs.
/// Cycles: lines_before(0) x LINE + out_h x max(EMIT, stride_h x LINE) + trailing lines x LINE, with LINE = width x
///         GROUPS x TILES, and a pipeline flush for each output row.
/// Lag:    the first patch of row oy comes after lines_before(oy) lines, the last before all of lines_before(oy + 1).
/// Buffer: `lines` x LINE packs, one write and one read port.
template <class Config, int GROUPS, int TILES, int PAD, class T, int LANES>
void sliding_window(stream<Pack<T, LANES>>& x, stream<Pack<T, LANES>>& y) {
    using Shape = WindowShape<Config>;
    constexpr int LINES = Shape::lines;
    constexpr int PIXEL = GROUPS * TILES;
    constexpr int LINE = Config::width * PIXEL;
    constexpr int EMIT = Shape::out_w * PIXEL * Shape::taps;
    constexpr int SURPLUS = larger(0, Config::stride_h * LINE - EMIT);
    constexpr int LEADING = Shape::lines_before(0);
    constexpr int TRAILING = Config::height - Shape::lines_before(Shape::out_h - 1);

    IRC_BUFFER Pack<T, LANES> lines[LINES][LINE];
#pragma HLS AGGREGATE variable=lines
#pragma HLS BIND_STORAGE variable=lines type=ram_s2p
    LineWriter<Pack<T, LANES>, LINES, LINE> writer;

    for (int i = 0; i < LEADING * LINE; i++) {
#pragma HLS PIPELINE II=1
        writer.store(lines, x.read());
    }

    int top = -Config::pad_top;                               // the input line under the first kernel row
    int top_line = (LINES - Config::pad_top % LINES) % LINES; // its place in the ring
    for (int oy = 0; oy < Shape::out_h; oy++) {
        const bool last = oy == Shape::out_h - 1;
        const int due = last ? 0 : (Shape::lines_before(oy + 1) - Shape::lines_before(oy)) * LINE; // packs to read
        int credit = 0; // a pack is read whenever this reaches EMIT, so `due` packs in EMIT steps
        for (int ox = 0; ox < Shape::out_w; ox++) {
            for (int group = 0; group < GROUPS; group++) {
                for (int ky = 0; ky < Config::kernel_h; ky++) {
                    for (int kx = 0; kx < Config::kernel_w; kx++) {
                        for (int tile = 0; tile < TILES; tile++) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=lines type=inter dependent=false
                            const int iy = top + ky * Config::dilation_h;
                            const int ix = ox * Config::stride_w - Config::pad_left + kx * Config::dilation_w;
                            const bool inside = 0 <= iy && iy < Config::height && 0 <= ix && ix < Config::width;
                            const int line = wrap_line<LINES>(top_line + ky * Config::dilation_h);
                            Pack<T, LANES> pack = splat<T, LANES>(PAD);
                            if (inside) {
                                pack = lines[line][ix * PIXEL + group * TILES + tile];
                            }
                            y.write(pack);
                            credit += due;
                            if (credit >= EMIT) {
                                credit -= EMIT;
                                writer.store(lines, x.read());
                            }
                        }
                    }
                }
            }
        }
        for (int i = 0; i < SURPLUS; i++) {
#pragma HLS PIPELINE II=1
            if (i < due - EMIT) {
                writer.store(lines, x.read());
            }
        }
        top += Config::stride_h;
        top_line = wrap_line<LINES>(top_line + Config::stride_h);
    }

    for (int i = 0; i < TRAILING * LINE; i++) {
#pragma HLS PIPELINE II=1
        x.read();
    }
}

} // namespace irc

#endif
