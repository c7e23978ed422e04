// Data movement: fork, split, concat, slice, pad, replay, reorder, rom_source, gather_rows. No code changes here.

#ifndef IRC_TENSOR_H
#define IRC_TENSOR_H

#include "count.h"

namespace irc {

/// A list of sizes.
template <int... N> struct Dims {
    static constexpr int rank = sizeof...(N);
};

/// Copies COUNT elements. Loops: COUNT, II = 1.
template <int COUNT, class X, class Y> void copy(stream<X>& x, stream<Y>& y) {
    for (int i = 0; i < COUNT; i++) {
#pragma HLS PIPELINE II=1
        y.write(Y(x.read()));
    }
}

/// fork<Count>(n, x, y...): copies a stream to several, as many elements as Count makes of n.
///
/// Loops:  the elements, II = 1.
/// Buffer: none; the FIFOs behind it have to even out the paths.
template <class Count, class X, class... Y> void fork(int n, stream<X>& x, stream<Y>&... y) {
    const int count = Count::at(n);
    for (int i = 0; i < count; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Count::most
#pragma HLS PIPELINE II=1
        const X value = x.read();
        const int each[] = {(y.write(value), 0)...}; // C++14 for: y.write(value), ...
        static_cast<void>(each);
    }
}

/// concat<OUTER, CHUNK...>(y, x...): joins several streams along an axis. OUTER is the product of the extents before
/// the axis, a CHUNK the product of those from the axis on, one for each input.
///
/// Loops:  OUTER x sum of chunks, II = 1 within a chunk.
/// Buffer: none.
template <int OUTER, int... CHUNK, class Y, class... X> void concat(stream<Y>& y, stream<X>&... x) {
    static_assert(sizeof...(CHUNK) == sizeof...(X), "concat has one chunk size an input");
    for (int o = 0; o < OUTER; o++) {
        const int each[] = {(copy<CHUNK>(x, y), 0)...}; // C++14 for: copy<CHUNK>(x, y), ...
        static_cast<void>(each);
    }
}

/// split<Outer, CHUNK...>(n, x, y...): the opposite of concat; every element goes to one output.
///
/// Loops:  outer x sum of chunks, II = 1 within a chunk.
/// Buffer: none.
template <class Outer, int... CHUNK, class X, class... Y> void split(int n, stream<X>& x, stream<Y>&... y) {
    static_assert(sizeof...(CHUNK) == sizeof...(Y), "split has one chunk size an output");
    const int rounds = Outer::at(n);
    for (int o = 0; o < rounds; o++) {
#pragma HLS LOOP_TRIPCOUNT max=Outer::most
        const int each[] = {(copy<CHUNK>(x, y), 0)...}; // C++14 for: copy<CHUNK>(x, y), ...
        static_cast<void>(each);
    }
}

/// slice: y = x[:, begin:end:step, :].
///
/// Config: outer, extent, inner, begin, end, step >= 1.
/// Loops:  outer x extent x inner, II = 1.
/// Buffer: none.
template <class Config, class T> void slice(int n, stream<T>& x, stream<T>& y) {
    const Sizes<Config> size(n);
    int next = Config::begin;
    for (int o = 0; o < size.outer; o++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::outer
        for (int m = 0; m < size.extent; m++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::extent
            for (int i = 0; i < size.inner; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::inner
#pragma HLS PIPELINE II=1
                const T value = x.read();
                const bool taken = m == next && m < Config::end;
                if (taken) {
                    y.write(value);
                }
                if (i == size.inner - 1) {
                    next = m == size.extent - 1 ? Config::begin : taken ? m + Config::step : next;
                }
            }
        }
    }
}

/// pad: y = x with `before` and `after` entries of code `value` around the middle dimension.
///
/// Config: outer, extent, inner, before, after, value.
/// Loops:  outer x (before + extent + after) x inner, II = 1.
/// Buffer: none.
template <class Config, class T> void pad(stream<T>& x, stream<T>& y) {
    for (int o = 0; o < Config::outer; o++) {
        for (int m = -Config::before; m < Config::extent + Config::after; m++) {
            for (int i = 0; i < Config::inner; i++) {
#pragma HLS PIPELINE II=1
                const bool inside = 0 <= m && m < Config::extent;
                y.write(inside ? x.read() : T(Config::value));
            }
        }
    }
}

/// replay: y[o][r][i] = x[o][i] for 0 <= r < repeat; broadcasting along one dimension.
///
/// Config: outer, repeat, inner.
/// Loops:  outer x repeat x inner, II = 1.
/// Buffer: inner elements.
template <class Config, class T> void replay(stream<T>& x, stream<T>& y) {
    IRC_BUFFER T held[Config::inner];
    for (int o = 0; o < Config::outer; o++) {
        for (int r = 0; r < Config::repeat; r++) {
            for (int i = 0; i < Config::inner; i++) {
#pragma HLS PIPELINE II=1
                const T value = r == 0 ? x.read() : held[i];
                if (r == 0) {
                    held[i] = value;
                }
                y.write(value);
            }
        }
    }
}

/// Counts through EXTENTS, innermost last, and keeps the sum of digit times STRIDES.
template <class Extents, class Strides> class Odometer;

template <int... EXTENT, int... STRIDE> class Odometer<Dims<EXTENT...>, Dims<STRIDE...>> {
    static_assert(sizeof...(EXTENT) == sizeof...(STRIDE), "every extent has a stride");

  public:
    int offset() const { return offset_; }

    void advance() {
#pragma HLS INLINE
        const int extent[] = {EXTENT...};
        const int stride[] = {STRIDE...};
        bool step = true;
        for (int d = int(sizeof...(EXTENT)) - 1; d >= 0; d--) {
#pragma HLS UNROLL
            if (step) {
                const bool wraps = digit_[d] == extent[d] - 1;
                offset_ += wraps ? (1 - extent[d]) * stride[d] : stride[d];
                digit_[d] = wraps ? 0 : digit_[d] + 1;
                step = wraps;
            }
        }
    }

  private:
    int digit_[sizeof...(EXTENT)] = {};
    int offset_ = 0;
};

/// Stores COUNT elements in order. Loops: COUNT, II = 1.
template <class T, int COUNT> void store(stream<T>& x, T (&buffer)[COUNT]) {
    for (int i = 0; i < COUNT; i++) {
#pragma HLS PIPELINE II=1
        buffer[i] = x.read();
    }
}

/// Sends COUNT elements in the order of an odometer. Loops: COUNT, II = 1.
template <class Order, class T, int COUNT> void send(const T (&buffer)[COUNT], stream<T>& y) {
    Order order;
    for (int i = 0; i < COUNT; i++) {
#pragma HLS PIPELINE II=1
        y.write(buffer[order.offset()]);
        order.advance();
    }
}

/// The processes of one block of a reorder, for the DATAFLOW region that calls it.
template <class Config, class T> void reorder_block(stream<T>& x, stream<T>& y) {
#pragma HLS INLINE
    IRC_BUFFER T buffer[Config::count];
#pragma HLS STREAM variable=buffer type=pipo depth=Config::buffers
    store(x, buffer);
    send<Odometer<typename Config::extents, typename Config::strides>>(buffer, y);
}

/// reorder: permutes the dimensions of `blocks` blocks of `count` elements. `extents` are those of the result,
/// `strides` the distances of their elements in a block of x.
///
/// Config: blocks, count, buffers, extents and strides (Dims).
/// Cycles: blocks x count x 2 for buffers = 1, blocks x count for buffers = 2.
/// Buffer: buffers x count elements.
template <class Config, class T> std::enable_if_t<Config::blocks == 1> reorder(stream<T>& x, stream<T>& y) {
#pragma HLS DATAFLOW
    reorder_block<Config>(x, y);
}

template <class Config, class T> std::enable_if_t<(Config::blocks > 1)> reorder(stream<T>& x, stream<T>& y) {
    for (int block = 0; block < Config::blocks; block++) {
#pragma HLS DATAFLOW
        reorder_block<Config>(x, y);
    }
}

/// rom_source: a constant tensor as a stream.
///
/// Loops:  COUNT, II = 1.
/// Memory: the ROM.
template <class R, int COUNT, class Y> void rom_source(const R (&rom)[COUNT], stream<Y>& y) {
    for (int i = 0; i < COUNT; i++) {
#pragma HLS PIPELINE II=1
        y.write(Y(rom[i]));
    }
}

/// gather_rows<COUNT>(index, table, y): for each of COUNT indices the row of the table.
///
/// Loops:  COUNT x COLUMNS, II = 1.
/// Memory: the table.
template <int COUNT, class I, class R, int ROWS, int COLUMNS, class Y>
void gather_rows(stream<I>& index, const R (&table)[ROWS][COLUMNS], stream<Y>& y) {
    int row = 0;
    for (int n = 0; n < COUNT; n++) {
        for (int c = 0; c < COLUMNS; c++) {
#pragma HLS PIPELINE II=1
            if (c == 0) {
                row = int(index.read());
            }
            y.write(Y(table[row][c]));
        }
    }
}

} // namespace irc

#endif
