// Weight ROMs of packed codes.
//
// A ROM is `const Word rom[TILES][WORDS]`, Word an unsigned builtin type: a row holds the LANES codes that enter the
// multipliers in one cycle, lane 0 in the lowest bits of word 0, without gaps; a code may straddle two words. In
// hardware a row is one wide word (ARRAY_RESHAPE), and unpacking is wiring.

#ifndef IRC_ROM_H
#define IRC_ROM_H

#include "pack.h"

namespace irc {

/// Number of words of type Word that hold LANES codes of type C.
template <class C, int LANES, class Word> constexpr int words_of() {
    return tiles_of(LANES * C::bits, 8 * int(sizeof(Word)));
}

/// The code in the low bits of `bits`.
template <class C> int extend_code(uint64_t bits) {
#pragma HLS INLINE
    const int64_t code = int64_t(bits & uint64_t(C::highest - C::lowest));
    return int(C::is_signed ? (code ^ -C::lowest) + C::lowest : code);
}

/// The codes of one ROM row, as multiplier operands.
template <class C, int ZP, int LANES, class Word, int WORDS>
Pack<typename Centered<C, ZP>::type, LANES> unpack_codes(const Word (&words)[WORDS]) {
#pragma HLS INLINE
    static_assert(WORDS == words_of<C, LANES, Word>(), "the row holds LANES codes");
    constexpr int WORD_BITS = 8 * int(sizeof(Word));
    using T = typename Centered<C, ZP>::type;
    Pack<T, LANES> pack;
    for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
        const int word = i * C::bits / WORD_BITS;
        const int shift = i * C::bits % WORD_BITS;
        uint64_t bits = uint64_t(words[word]) >> shift;
        if (shift + C::bits > WORD_BITS) {
            bits |= uint64_t(words[word + 1]) << (WORD_BITS - shift);
        }
        pack.lane[i] = T(extend_code<C>(bits) - ZP);
    }
    return pack;
}

#ifndef IRC_PLAIN

/// Reads ROM rows: LANES codes of type C, minus ZP.
template <class C, int ZP, int LANES> class RomReader {
  public:
    using Row = Pack<typename Centered<C, ZP>::type, LANES>;

    template <class Word, int TILES, int WORDS> explicit RomReader(const Word (&)[TILES][WORDS]) {}

    template <class Word, int TILES, int WORDS> Row read(const Word (&rom)[TILES][WORDS], int tile) const {
#pragma HLS INLINE
        return unpack_codes<C, ZP, LANES>(rom[tile]);
    }
};

#else

/// Reads ROM rows, as in hardware, but from a copy of the ROM that is unpacked once: rows are visited many times.
template <class C, int ZP, int LANES> class RomReader {
  public:
    using Row = Pack<typename Centered<C, ZP>::type, LANES>;

    template <class Word, int TILES, int WORDS> explicit RomReader(const Word (&rom)[TILES][WORDS]) : rows_(TILES) {
        for (int tile = 0; tile < TILES; tile++) {
            rows_[tile] = unpack_codes<C, ZP, LANES>(rom[tile]);
        }
    }

    template <class Word, int TILES, int WORDS> const Row& read(const Word (&)[TILES][WORDS], int tile) const {
        return rows_[tile];
    }

  private:
    std::vector<Row> rows_;
};

#endif

} // namespace irc

#endif
