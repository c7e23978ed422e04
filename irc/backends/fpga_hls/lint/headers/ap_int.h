// Stands for the vendor's header: integers of at least that many bits. Only shapes of programs are read with it, no
// numbers.

#ifndef IRC_LINT_AP_INT_H
#define IRC_LINT_AP_INT_H

#include <cstdint>
#include <type_traits>

namespace irc_lint {

template <int BITS, class I8, class I16, class I32, class I64> struct Smallest {
    typedef std::conditional_t<(BITS <= 32), I32, I64> upper;
    typedef std::conditional_t<(BITS <= 8), I8, I16> lower;
    typedef std::conditional_t<(BITS <= 16), lower, upper> type;
};

} // namespace irc_lint

template <int BITS> using ap_int = typename irc_lint::Smallest<BITS, int8_t, int16_t, int32_t, int64_t>::type;
template <int BITS> using ap_uint = typename irc_lint::Smallest<BITS, uint8_t, uint16_t, uint32_t, uint64_t>::type;

#endif
