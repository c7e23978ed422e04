// Pooling and reduction: max_pool, sum_pool, reduce_sum.

#ifndef IRC_POOL_H
#define IRC_POOL_H

#include "epilogue.h"
#include "window.h"

namespace irc {

/// The largest of the values of a window.
struct TakeMax {
    template <class A, class X> static A next(const A& best, const X& x) {
#pragma HLS INLINE
        return best < x ? A(x) : best;
    }
};

/// The sum of the values of a window.
struct TakeSum {
    template <class A, class X> static A next(const A& sum, const X& x) {
#pragma HLS INLINE
        return A(sum + x);
    }
};

/// Folds the taps of each patch, PE channels at a time.
///
/// Loops:  PIXELS x CHANNEL_TILES x TAPS, II = 1.
/// Buffer: PE results.
template <int PIXELS, int CHANNEL_TILES, int TAPS, class Fold, class X, class A, int PE>
void fold_patches(stream<Pack<X, PE>>& x, stream<Pack<A, PE>>& y) {
    Pack<A, PE> acc = splat<A, PE>(0);
#pragma HLS ARRAY_PARTITION variable=acc.lane type=complete
    for (int pixel = 0; pixel < PIXELS; pixel++) {
        for (int tile = 0; tile < CHANNEL_TILES; tile++) {
            for (int tap = 0; tap < TAPS; tap++) {
#pragma HLS PIPELINE II=1
                const Pack<X, PE> pack = x.read();
                for (int p = 0; p < PE; p++) {
#pragma HLS UNROLL
                    acc.lane[p] = tap == 0 ? A(pack.lane[p]) : Fold::next(acc.lane[p], pack.lane[p]);
                }
                if (tap == TAPS - 1) {
                    y.write(acc);
                }
            }
        }
    }
}

/// The windows tile the image: stride = kernel, and neither padding nor dilation.
template <class Config> constexpr bool windows_are_blocks() {
    return Config::stride_h == Config::kernel_h && Config::stride_w == Config::kernel_w && Config::dilation_h == 1 &&
           Config::dilation_w == 1 && Config::pad_top == 0 && Config::pad_left == 0 && Config::pad_bottom == 0 &&
           Config::pad_right == 0;
}

/// Pooling with any window: line buffer, fold, epilogue.
template <class Config, class Fold, class Epilogue, int PAD, class A, class X, class Y, class... Operands>
std::enable_if_t<!windows_are_blocks<Config>()> pool(stream<X>& x, stream<Y>& y, Operands&... operands) {
#pragma HLS DATAFLOW
    using Shape = WindowShape<Config>;
    constexpr int TILES = tiles_of(Config::channels, Config::pe);
    constexpr int PIXELS = Shape::out_h * Shape::out_w;
    stream<Pack<X, Config::pe>> pixels("pool.pixels");
    stream<Pack<X, Config::pe>> patches("pool.patches");
    stream<Pack<A, Config::pe>> results("pool.results");

    pack_runs<Fixed<Config::height * Config::width>, Fixed<Config::channels>, 0>(FIXED, x, pixels);
    sliding_window<Config, TILES, 1, PAD>(pixels, patches);
    fold_patches<PIXELS, TILES, Shape::taps, Fold>(patches, results);
    unpack_runs<Fixed<PIXELS>, 1, Fixed<Config::channels>, Epilogue>(FIXED, results, y, 0, operands...);
}

/// Pooling with windows that tile the image: every element belongs to at most one result, so one row of results is all
/// that is kept.
///
/// Loops:  height x width x channels, II = 1 from about three channels on (a result is read again `channels` cycles
///         after it was written).
/// Buffer: out_w x channels results.
template <class Config, class Fold, class Epilogue, int PAD, class A, class X, class Y, class... Operands>
std::enable_if_t<windows_are_blocks<Config>()> pool(stream<X>& x, stream<Y>& y, Operands&... operands) {
    using Shape = WindowShape<Config>;
    IRC_BUFFER A results[Shape::out_w][Config::channels];
    int index = 0;
    int ky = 0;
    int kx = 0;
    int ox = 0;
    for (int iy = 0; iy < Config::height; iy++) {
        for (int ix = 0; ix < Config::width; ix++) {
            for (int c = 0; c < Config::channels; c++) {
#pragma HLS PIPELINE II=1
                const X value = x.read();
                if (ix < Shape::out_w * Config::kernel_w) { // lines left over at the bottom complete no result either
                    const bool first = ky == 0 && kx == 0;
                    const A result = first ? A(value) : Fold::next(results[ox][c], value);
                    results[ox][c] = result;
                    if (ky == Config::kernel_h - 1 && kx == Config::kernel_w - 1) {
                        y.write(Epilogue()(result, index, c, operand(operands)...));
                        index++;
                    }
                }
                if (c == Config::channels - 1) {
                    const bool line_ends = ix == Config::width - 1;
                    const bool block_ends = kx == Config::kernel_w - 1;
                    kx = line_ends || block_ends ? 0 : kx + 1;
                    ox = line_ends ? 0 : ox + int(block_ends);
                    ky = !line_ends ? ky : ky == Config::kernel_h - 1 ? 0 : ky + 1;
                }
            }
        }
    }
}

/// max_pool: y[oy][ox][c] = epilogue(largest code under the window); the padding is the lowest code.
///
/// Config: channels, pe (unused if the windows are blocks), x_code, and the fields of window.h.
/// Cycles: height x width x channels if the windows are blocks; otherwise the largest of that, the cycles of
///         sliding_window (LINE = width x channel tiles of pe), and out_h x out_w x channels.
/// Buffer: out_w x channels codes if the windows are blocks; otherwise the lines of sliding_window.
template <class Config, class Epilogue, class X, class Y, class... Operands>
void max_pool(stream<X>& x, stream<Y>& y, Operands&... operands) {
#pragma HLS INLINE
    using XCode = typename Config::x_code;
    pool<Config, TakeMax, Epilogue, int(XCode::lowest), typename XCode::type>(x, y, operands...);
}

/// sum_pool: y[oy][ox][c] = epilogue(sum of the codes under the window); the padding is the code pad_value.
///
/// Config: channels, pe, pad_value, acc_bits, and the fields of window.h.
/// Cycles, buffer: as max_pool; blocks keep sums of acc_bits.
template <class Config, class Epilogue, class X, class Y, class... Operands>
void sum_pool(stream<X>& x, stream<Y>& y, Operands&... operands) {
#pragma HLS INLINE
    pool<Config, TakeSum, Epilogue, Config::pad_value, Acc<Config::acc_bits>>(x, y, operands...);
}

/// reduce_sum: y[o][i] = epilogue(sum over m of x[o][m][i]); global pooling is outer = 1, extent = height x width,
/// inner = channels.
///
/// Config: outer, extent, inner, acc_bits.
/// Loops:  outer x extent x inner, II = 1 for inner = 1 (a register) and from about 3 on.
/// Buffer: inner sums.
template <class Config, class Epilogue, class X, class Y, class... Operands>
void reduce_sum(int n, stream<X>& x, stream<Y>& y, Operands&... operands) {
    using Sum = Acc<Config::acc_bits>;
    IRC_BUFFER Sum sums[Config::inner];
    const Sizes<Config> size(n);
    for (int o = 0; o < size.outer; o++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::outer
        for (int m = 0; m < size.extent; m++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::extent
            for (int i = 0; i < size.inner; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::inner
#pragma HLS PIPELINE II=1
                const X value = x.read();
                const Sum sum = m == 0 ? Sum(value) : TakeSum::next(sums[i], value);
                sums[i] = sum;
                if (m == size.extent - 1) {
                    y.write(Epilogue()(sum, o * size.inner + i, i, operand(operands)...));
                }
            }
        }
    }
}

} // namespace irc

#endif
