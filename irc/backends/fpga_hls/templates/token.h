// Selection of tokens: select_rows, a ranking of scores; select_above, a threshold; and their dense repack unit.

#ifndef IRC_TOKEN_H
#define IRC_TOKEN_H

#include "count.h"

namespace irc {

/// First process: a row stays if it is pinned, or if fewer than kept - pinned others are before it; a row is before
/// another one if its score is larger, or equal and its index is lower. Pinned rows are before none.
///
/// Loops:  rows, then rows x rows, II = 1.
/// Buffer: rows scores.
template <class Config, class S> void rank_rows(stream<S>& scores, stream<UInt<1>>& stays) {
    IRC_BUFFER S held[Config::rows];
    for (int row = 0; row < Config::rows; row++) {
#pragma HLS PIPELINE II=1
        held[row] = scores.read();
    }
    S own = S(0);
    int before = 0;
    for (int row = 0; row < Config::rows; row++) {
        for (int other = 0; other < Config::rows; other++) {
#pragma HLS PIPELINE II=1
            if (other == 0) {
                own = held[row];
            }
            const S score = held[other];
            const bool ahead = own < score || (own == score && other < row);
            before = (other == 0 ? 0 : before) + int(ahead && other >= Config::pinned);
            if (other == Config::rows - 1) {
                stays.write(UInt<1>(row < Config::pinned || before < Config::kept - Config::pinned));
            }
        }
    }
}

/// Second process, the repack unit: rows that stay leave without gaps.
///
/// Loops:  rows x columns, II = 1.
/// Buffer: none.
template <class Config, class T> void repack_rows(int n, stream<UInt<1>>& stays, stream<T>& x, stream<T>& y) {
    bool taken = false;
    const int rows = RowsOf<Config>::at(n);
    for (int row = 0; row < rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::rows
        for (int column = 0; column < Config::columns; column++) {
#pragma HLS PIPELINE II=1
            if (column == 0) {
                taken = stays.read() != 0;
            }
            const T value = x.read();
            if (taken) {
                y.write(value);
            }
        }
    }
}

/// select_rows: the `kept` of `rows` rows of x with the largest scores, in their order; the first `pinned` whatever
/// their score is, and of equal scores the first.
///
/// Config: rows, columns, kept, pinned <= kept <= rows.
/// Cycles: the larger of rows x (rows + 1) and rows x columns.
/// Buffer: rows scores, a flag a row.
template <class Config, class S, class T> void select_rows(stream<S>& scores, stream<T>& x, stream<T>& y) {
#pragma HLS DATAFLOW
    static_assert(Config::pinned <= Config::kept && Config::kept <= Config::rows, "rows are kept of those there are");
    stream<UInt<1>> stays("select_rows.stays");
#pragma HLS STREAM variable=stays depth=Config::rows
    rank_rows<Config>(scores, stays);
    repack_rows<Config>(FIXED, stays, x, y);
}

/// First process: a row stays if it is pinned, or if its score is at least the threshold; then how many stay.
///
/// Loops:  rows, II = 1.
/// Buffer: none.
template <class Config, class S, class N>
void compare_rows(int n, stream<S>& scores, stream<UInt<1>>& stays, stream<N>& kept) {
    const int rows = RowsOf<Config>::at(n);
    int found = 0;
    for (int row = 0; row < rows; row++) {
#pragma HLS LOOP_TRIPCOUNT max=Config::rows
#pragma HLS PIPELINE II=1
        const bool taken = int64_t(scores.read()) >= Config::threshold || row < Config::pinned;
        stays.write(UInt<1>(taken));
        found += int(taken);
        if (row == rows - 1) {
            kept.write(N(found));
        }
    }
}

/// select_above: the rows of x with a score of at least `threshold`, in their order, the first `pinned` whatever their
/// score is; and how many there are, for the loops of all stages behind it.
///
/// Config: rows, columns, pinned <= rows, threshold.
/// Cycles: rows x columns.
/// Buffer: a flag a row.
template <class Config, class S, class T, class N>
void select_above(int n, stream<S>& scores, stream<T>& x, stream<N>& kept, stream<T>& y) {
#pragma HLS DATAFLOW
    static_assert(0 < Config::pinned && Config::pinned <= Config::rows, "at least one row stays");
    stream<UInt<1>> stays("select_above.stays");
#pragma HLS STREAM variable=stays depth=Config::rows
    compare_rows<Config>(n, scores, stays, kept);
    repack_rows<Config>(n, stays, x, y);
}

} // namespace irc

#endif
