// Ports of the accelerator: between memory and streams, and streams that nobody needs.

#ifndef IRC_PORT_H
#define IRC_PORT_H

#include "count.h"

namespace irc {

/// Reads COUNT elements from memory in bursts.
///
/// Loops: COUNT, II = 1.
template <int COUNT, class P, class X> void load(const P* port, stream<X>& x) {
    for (int i = 0; i < COUNT; i++) {
#pragma HLS PIPELINE II=1
        x.write(X(port[i]));
    }
}

/// Writes COUNT elements to memory in bursts.
///
/// Loops: COUNT, II = 1.
template <int COUNT, class Y, class P> void save(stream<Y>& y, P* port) {
    for (int i = 0; i < COUNT; i++) {
#pragma HLS PIPELINE II=1
        port[i] = P(y.read());
    }
}

/// Takes elements that nothing needs, as many as Count makes of n.
///
/// Loops: the elements, II = 1.
template <class Count, class X> void drain(int n, stream<X>& x) {
    const int count = Count::at(n);
    for (int i = 0; i < count; i++) {
#pragma HLS LOOP_TRIPCOUNT max=Count::most
#pragma HLS PIPELINE II=1
        x.read();
    }
}

} // namespace irc

#endif
