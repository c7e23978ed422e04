// Integer types of the accelerator, and the one switch between plain simulation and vendor types.
//
//   IRC_PLAIN     builtin integers: any C++14 compiler, fast. The default without vendor tool.
//   IRC_AP_TYPES  ap_int and hls::stream. The default under Vitis HLS; define it to simulate with the ap_types headers.
//
// Both give the same codes. Plain types may be wider than their names say, so only vendor types show that a width is
// too small.

#ifndef IRC_TYPES_H
#define IRC_TYPES_H

#include <cstdint>
#include <type_traits>

#if (defined(__SYNTHESIS__) || defined(__VITIS_HLS__)) && !defined(IRC_AP_TYPES)
#define IRC_AP_TYPES
#endif

#ifdef IRC_AP_TYPES
#include <ap_int.h>
#else
#define IRC_PLAIN
#endif

// A large local array: a memory in hardware; static in simulation, to keep it off the stack.
#ifdef __SYNTHESIS__
#define IRC_BUFFER
#else
#define IRC_BUFFER static
#endif

namespace irc {

#ifdef IRC_PLAIN

namespace detail {

template <int BITS, class I8, class I16, class I32, class I64> struct Smallest {
    static_assert(1 <= BITS && BITS <= 64, "plain integers have 1 to 64 bits");
    using upper = std::conditional_t<(BITS <= 32), I32, I64>;
    using lower = std::conditional_t<(BITS <= 8), I8, I16>;
    using type = std::conditional_t<(BITS <= 16), lower, upper>;
};

} // namespace detail

/// Signed integer of at least BITS bits.
template <int BITS> using Int = typename detail::Smallest<BITS, int8_t, int16_t, int32_t, int64_t>::type;

/// Unsigned integer of at least BITS bits.
template <int BITS> using UInt = typename detail::Smallest<BITS, uint8_t, uint16_t, uint32_t, uint64_t>::type;

/// Accumulator of BITS bits. Simulation always adds in 32 bits, which compilers vectorise best.
template <int BITS> using Acc = std::enable_if_t<(1 <= BITS && BITS <= 32), int32_t>;

/// Multiplier operand of BITS bits. Simulation widens to 16 bits once, ahead of the multiply-add loops.
template <int BITS> using Factor = Int<(BITS <= 16 ? 16 : BITS)>;

#else

template <int BITS> using Int = ap_int<BITS>;
template <int BITS> using UInt = ap_uint<BITS>;
template <int BITS> using Acc = ap_int<BITS>;
template <int BITS> using Factor = ap_int<BITS>;

#endif

/// The type of a quantized code: its width and signedness, its storage, its range.
template <int BITS, bool SIGNED> struct Code {
    static_assert(1 <= BITS && BITS <= 32, "codes have 1 to 32 bits");
    static constexpr int bits = BITS;
    static constexpr bool is_signed = SIGNED;
    static constexpr int64_t lowest = SIGNED ? -(int64_t(1) << (BITS - 1)) : 0;
    static constexpr int64_t highest = (int64_t(1) << (SIGNED ? BITS - 1 : BITS)) - 1;
    using type = std::conditional_t<SIGNED, Int<BITS>, UInt<BITS>>;
};

template <int BITS> using Signed = Code<BITS, true>;
template <int BITS> using Unsigned = Code<BITS, false>;

/// A code minus its zero point, as a multiplier operand just wide enough for every difference.
template <class C, int ZP> struct Centered {
    static_assert(C::lowest <= ZP && ZP <= C::highest, "a zero point is a code");
    static constexpr int bits = C::bits + (C::is_signed && ZP == 0 ? 0 : 1);
    static constexpr int64_t most = C::highest - ZP > ZP - C::lowest ? C::highest - ZP : ZP - C::lowest; // magnitude
    using type = Factor<bits>;
};

/// Number of tiles of `lanes` elements that cover `length` elements.
constexpr int tiles_of(int length, int lanes) { return (length + lanes - 1) / lanes; }

/// Number of bits of n >= 0 at compile time; 0 for n = 0.
constexpr int width_of(int64_t n) {
    int width = 0;
    for (; n > 0; n >>= 1) {
        width++;
    }
    return width;
}

constexpr int larger(int a, int b) { return a > b ? a : b; }
constexpr int smaller(int a, int b) { return a < b ? a : b; }

} // namespace irc

#endif
