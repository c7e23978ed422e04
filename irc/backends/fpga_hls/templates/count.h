// Counts that are born in the run: how many tokens of a sample a selector keeps.
//
// A Config holds the sizes for which a stage is built, the most there can be. Processes take `int n` first, the count of
// the sample, and bound their loops by Sizes<Config>(n): where Config has a member Counted, its sizes for n, otherwise
// Config itself, whatever n is. A stage reads its count with take_count and hands it to its processes.

#ifndef IRC_COUNT_H
#define IRC_COUNT_H

#include "irc_stream.h"

namespace irc {

/// The count of stages whose sizes are fixed.
constexpr int FIXED = 0;

/// A number of iterations that is known.
template <int N> struct Fixed {
    static constexpr int most = N;
    static constexpr int at(int) { return N; }
};

/// FACTOR x n^POWER iterations, n at most MOST.
template <int FACTOR, int POWER, int MOST> struct Times {
    static constexpr int most = MOST * Times<FACTOR, POWER - 1, MOST>::most;
    static constexpr int at(int n) { return n * Times<FACTOR, POWER - 1, MOST>::at(n); }
};

template <int FACTOR, int MOST> struct Times<FACTOR, 0, MOST> {
    static constexpr int most = FACTOR;
    static constexpr int at(int) { return FACTOR; }
};

namespace detail {

template <class> using Void = void;

template <class Config, class = void> struct SizesOf {
    struct type : Config {
        explicit type(int) {}
    };
};

template <class Config> struct SizesOf<Config, Void<typename Config::template Counted<Config>>> {
    using type = typename Config::template Counted<Config>;
};

} // namespace detail

/// The sizes of a stage for a count.
template <class Config> using Sizes = typename detail::SizesOf<Config>::type;

/// Sizes of a Config as numbers of iterations.
template <class Config> struct RowsOf {
    static constexpr int most = Config::rows;
    static int at(int n) { return Sizes<Config>(n).rows; }
};

template <class Config> struct LengthOf {
    static constexpr int most = Config::length;
    static int at(int n) { return Sizes<Config>(n).length; }
};

/// As many tiles of LANES as an extent takes.
template <class Extent, int LANES> struct TilesOf {
    static constexpr int most = tiles_of(Extent::most, LANES);
    static int at(int n) { return tiles_of(Extent::at(n), LANES); }
};

/// Iterations of two nested loops.
template <class Outer, class Inner> struct Nested {
    static constexpr int most = Outer::most * Inner::most;
    static int at(int n) { return Outer::at(n) * Inner::at(n); }
};

/// The process that reads the count of a sample.
template <class N> void take_count(stream<N>& count, int& n) { n = int(count.read()); }

} // namespace irc

#endif
