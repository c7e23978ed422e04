// What happens to the results of a tile: a short program of elementwise steps, each over the whole tile.

#ifndef IRC_ENGINE_STEPS_H
#define IRC_ENGINE_STEPS_H

#include "arith.h"
#include "engine_layer.h"

namespace irc {

/// The operands of one lane.
struct Operands {
    int32_t a;
    int32_t b;
    int32_t c;
};

/// The code of the low `bits` bits of v, signed if they are given as a negative number.
inline int32_t wrap(int32_t v, int bits) {
#pragma HLS INLINE
    const int width = bits < 0 ? -bits : bits;
    const uint32_t mask = width == 32 ? ~uint32_t(0) : (uint32_t(1) << width) - 1;
    const uint32_t code = uint32_t(v) & mask;
    const uint32_t sign = bits < 0 ? uint32_t(1) << (width - 1) : 0;
    return int32_t((code ^ sign) - sign);
}

/// The operation of a step on one lane, clamped.
inline int32_t apply(const Step& step, const Operands& v) {
#pragma HLS INLINE
    int64_t result = v.a;
    switch (step.operation) {
    case REQUANTIZE:
        result = round_shift((int64_t(v.a) - step.x_zp) * v.b, step.shift) + step.zp;
        break;
    case ADD:
        result = int64_t(v.a) + v.b;
        break;
    case SUBTRACT:
        result = int64_t(v.a) - v.b;
        break;
    case MULTIPLY:
        result = int64_t(v.a) * v.b;
        break;
    case LARGER:
        result = maximum(v.a, v.b);
        break;
    case SMALLER:
        result = minimum(v.a, v.b);
        break;
    case ABSOLUTE:
        result = v.a < 0 ? -int64_t(v.a) : int64_t(v.a);
        break;
    case WRAP:
        result = wrap(v.a, step.shift);
        break;
    case EQUAL:
        result = v.a == v.b ? 1 : 0;
        break;
    case UNEQUAL:
        result = v.a != v.b ? 1 : 0;
        break;
    case LESS:
        result = v.a < v.b ? 1 : 0;
        break;
    case LESS_EQUAL:
        result = v.a <= v.b ? 1 : 0;
        break;
    case AND:
        result = v.a & v.b;
        break;
    case OR:
        result = v.a | v.b;
        break;
    case XOR:
        result = v.a ^ v.b;
        break;
    case CHOOSE:
        result = v.a != 0 ? v.b : v.c;
        break;
    default:
        break;
    }
    return int32_t(clamp<int64_t>(result, step.low, step.high));
}

/// Runs the steps on the last tile along depth; the result of the last one leaves.
///
/// Loops:       steps x rows x packs, II = 1.
/// Multipliers: LANES of 33 x 32 bits.
template <class Size>
void run_steps(const Layer& layer, int t, const int32_t (&results)[Size::packs][LANES],
               const int32_t (&second)[Size::packs][LANES], const int32_t (&third)[Size::packs][LANES],
               const int32_t (&parameters)[PARAMETERS * CHANNEL_PACKS][LANES],
               const int32_t (&table)[TABLE][LANES], int32_t (&out)[Size::packs][LANES]) {
    IRC_BUFFER int32_t registers[REGISTERS][Size::packs][LANES];
#pragma HLS ARRAY_PARTITION variable=registers dim=1 type=complete
#pragma HLS ARRAY_PARTITION variable=registers dim=3 type=complete
    const Tile tile = tile_at(layer, t);
    for (int s = 0; s < (tile.last ? layer.steps : 0); s++) {
#pragma HLS LOOP_TRIPCOUNT max=STEPS
        const Step step = layer.step[s];
        PackWalk walk = {0, 0};
        for (int n = 0; n < tile.rows * tile.packs; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs
#pragma HLS DEPENDENCE variable=registers type=inter dependent=false
            const int place = walk.row * layer.pitch + walk.pack;
            for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
                int32_t v[3] = {};
                const int from[3] = {step.a, step.b, step.c};
                for (int k = 0; k < 3; k++) {
#pragma HLS UNROLL
                    const int slot = clamp(from[k] - PARAMETER, 0, PARAMETERS - 1);
                    const int number = clamp(from[k] - REGISTER, 0, REGISTERS - 1);
                    const int32_t parameter = k == 0 ? 0 : parameters[slot * CHANNEL_PACKS + walk.pack][i];
                    // lint: allow partitioned-index: an operand is chosen among registers
                    const int32_t held = registers[number][place][i];
                    // lint: allow partitioned-index: packs come one by one from the banks of PE columns
                    const int32_t given = results[place][i];
                    v[k] = from[k] == RESULT     ? given
                           : from[k] == SECOND   ? second[place][i]
                           : from[k] == THIRD    ? third[place][i]
                           : from[k] == CONSTANT ? step.constant
                           : from[k] >= REGISTER ? held
                                                 : parameter;
                }
                const int32_t clamped = apply(step, {v[0], v[1], v[2]});
                const int32_t entry = table[clamp(clamped - step.lowest, 0, TABLE - 1)][i];
                const int32_t added = int32_t(uint32_t(clamped) + uint32_t(v[2]));
                const int32_t value = step.then == IN_TABLE ? entry : step.then == PLUS_C ? added : clamped;
                // lint: allow partitioned-index: a step writes one register
                registers[step.target][place][i] = value;
                if (s == layer.steps - 1) {
                    out[place][i] = value;
                }
            }
            walk = next_pack(tile, walk);
        }
    }
}

} // namespace irc

#endif
