// Elementwise stages: the function of the elements is the epilogue.

#ifndef IRC_ELEMENTWISE_H
#define IRC_ELEMENTWISE_H

#include "epilogue.h"

namespace irc {

/// elementwise: y[i] = epilogue(x[i], i, i % channels, operands...). Another stream among the operands makes it a
/// function of two tensors (residual add, product, maximum), an array one of a tensor and a table or parameters.
///
/// Config: count, channels (the innermost extent).
/// Loops:  count, II = 1.
/// Buffer: none.
template <class Config, class Epilogue, class X, class Y, class... Operands>
void elementwise(int n, stream<X>& x, stream<Y>& y, Operands&... operands) {
    int channel = 0;
    const Sizes<Config> size(n);
    for (int i = 0; i < size.count; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::count
#pragma HLS PIPELINE II=1
        y.write(Epilogue()(x.read(), i, channel, operand(operands)...));
        channel = channel == size.channels - 1 ? 0 : channel + 1;
    }
}

/// elementwise_rom: y[o][m][i] = epilogue(x[o][m][i], index, channel, rom[m], operands...): a constant operand that is
/// broadcast over the dimensions before and after its own.
///
/// Config: outer, extent (the length of the ROM), inner, channels (the innermost extent).
/// Loops:  outer x extent x inner, II = 1.
/// Buffer: none besides the ROM.
template <class Config, class Epilogue, class X, class R, int EXTENT, class Y, class... Operands>
void elementwise_rom(stream<X>& x, const R (&rom)[EXTENT], stream<Y>& y, Operands&... operands) {
    static_assert(EXTENT == Config::extent, "the ROM has one entry a position");
    int index = 0;
    int channel = 0;
    for (int o = 0; o < Config::outer; o++) {
        for (int m = 0; m < Config::extent; m++) {
            for (int i = 0; i < Config::inner; i++) {
#pragma HLS PIPELINE II=1
                y.write(Epilogue()(x.read(), index, channel, rom[m], operand(operands)...));
                index++;
                channel = channel == Config::channels - 1 ? 0 : channel + 1;
            }
        }
    }
}

} // namespace irc

#endif
