// Between memory and tiles of packs: operands, parameters, results, and moves.
//
// Every loop takes one word a cycle from or to its port. Loops over rows and words are one loop with counters, so that a
// new row costs nothing.

#ifndef IRC_ENGINE_MEMORY_H
#define IRC_ENGINE_MEMORY_H

#include "arith.h"
#include "engine_layer.h"

namespace irc {

/// Writes the elements of word `part` of pack `place`.
template <class T, int PACKS>
void put_elements(const Word& word, int part, const Access& access, T (&packs)[PACKS][LANES], int place) {
#pragma HLS INLINE
    const int count = WORD_BYTES / access.bytes;
    for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
        if (i / count == part) {
            packs[place][i] = T(element_of(word, i % count, access.bytes, access.is_signed != 0));
        }
    }
}

/// The words of a tile, row by row.
struct Walk {
    Place place; // of the row
    int row;
    int pack;
    int part; // of the pack
};

inline Walk first_word(const Layer& layer, const Tile& tile) {
#pragma HLS INLINE
    return {place_of(layer, tile.row), 0, 0, 0};
}

inline Walk next_word(const Layer& layer, const Tile& tile, const Walk& walk, int parts) {
#pragma HLS INLINE
    const bool pack_ends = walk.part == parts - 1;
    const bool row_ends = pack_ends && walk.pack == tile.packs - 1;
    return {row_ends ? next_place(layer, walk.place) : walk.place, row_ends ? walk.row + 1 : walk.row,
            row_ends ? 0 : pack_ends ? walk.pack + 1 : walk.pack, pack_ends ? 0 : walk.part + 1};
}

/// The word of memory that a walk has come to.
inline int word_address(const Access& access, const Tile& tile, const Place& place, const Walk& walk) {
#pragma HLS INLINE
    return row_address(access, tile.batch, place) + (tile.column / LANES + walk.pack) * access.bytes + walk.part;
}

/// Reads the rows of a tile from a tensor of the size of the result.
///
/// Loops: rows x packs x bytes of an element, II = 1.
template <class Size, class T>
void load_rows(const Word* port, const Layer& layer, const Tile& tile, const Access& access,
               T (&packs)[Size::packs][LANES]) {
#pragma HLS INLINE
    Walk walk = first_word(layer, tile);
    for (int i = 0; i < tile.rows * tile.packs * access.bytes; i++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs*4
        const Word word = port[word_address(access, tile, walk.place, walk)];
        put_elements(word, walk.part, access, packs, walk.row * layer.pitch + walk.pack);
        walk = next_word(layer, tile, walk, access.bytes);
    }
}

/// Reads what one tap of the windows of a tile looks at; `fill` where that is outside.
///
/// Loops: rows x packs x bytes of an element, II = 1.
template <class Size>
void load_windows(const Word* port, const Layer& layer, const Tile& tile, int32_t (&packs)[Size::packs][LANES]) {
#pragma HLS INLINE
    const Access access = layer.x;
    const Tap tap = tap_at(layer, tile.word);
    Walk walk = first_word(layer, tile);
    for (int i = 0; i < tile.rows * tile.packs * access.bytes; i++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs*4
        const Place under = place_under(layer.window, walk.place, tap);
        const int place = walk.row * layer.pitch + walk.pack;
        if (is_inside(layer.window, under)) {
            put_elements(port[word_address(access, tile, under, walk)], walk.part, access, packs, place);
        } else {
            for (int k = 0; k < LANES; k++) {
#pragma HLS UNROLL
                packs[place][k] = layer.window.fill;
            }
        }
        walk = next_word(layer, tile, walk, access.bytes);
    }
}

/// Reads the further operands of the steps, with the last tile along depth.
template <class Size>
void load_operands(const Word* port, const Layer& layer, int t, int32_t (&second)[Size::packs][LANES],
                   int32_t (&third)[Size::packs][LANES]) {
    const Tile tile = tile_at(layer, t);
    if (tile.last && layer.second.bytes != 0) {
        load_rows<Size>(port, layer, tile, layer.second, second);
    }
    if (tile.last && layer.third.bytes != 0) {
        load_rows<Size>(port, layer, tile, layer.third, third);
    }
}

/// Reads `count` packs of 32-bit parameters to the packs from `place` on.
///
/// Loops: 4 words a pack, II = 1.
template <int PACKS>
void load_vector(const Word* port, int address, int count, int32_t (&packs)[PACKS][LANES], int place) {
#pragma HLS INLINE
    const Access access = {0, 0, 0, 0, 4, 1};
    for (int i = 0; i < count * 4; i++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=CHANNEL_PACKS*4
        put_elements(port[address + i], i % 4, access, packs, place + i / 4);
    }
}

/// Reads a table of 32-bit entries, of which each lane gets a copy.
///
/// Loops: entries, II = 1.
inline void load_table(const Word* port, int address, int count, int32_t (&table)[TABLE][LANES]) {
#pragma HLS INLINE
    Word word = {};
    for (int i = 0; i < count; i++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=TABLE
        if (i % 4 == 0) {
            word = port[address + i / 4];
        }
        const int32_t entry = element_of(word, i % 4, 4, true);
        for (int k = 0; k < LANES; k++) {
#pragma HLS UNROLL
            table[i][k] = entry;
        }
    }
}

/// Reads the vectors and tables that a tile needs: those of the front with the first tile along depth (of DOT, with each
/// tap), those of the steps with the last.
template <class Size>
void load_parameters(const Word* port, const Layer& layer, int t,
                     int32_t (&front)[FRONT_PARAMETERS * CHANNEL_PACKS][LANES],
                     int32_t (&steps)[PARAMETERS * CHANNEL_PACKS][LANES], int32_t (&front_table)[TABLE][LANES],
                     int32_t (&step_table)[TABLE][LANES]) {
    const Tile tile = tile_at(layer, t);
    const int vector = tiles_of(layer.columns, LANES) * 4; // words
    const int column = tile.column / LANES * 4;
    const bool every_tap = layer.kind == DOT;
    int address = layer.parameters;
    for (int i = 0; i < layer.front_parameters; i++) {
#pragma HLS LOOP_TRIPCOUNT max=FRONT_PARAMETERS
        const int tap = every_tap ? tile.word * vector : 0;
        if (tile.first || every_tap) {
            load_vector(port, address + tap + column, tile.packs, front, i * CHANNEL_PACKS);
        }
        address += every_tap ? layer.taps * vector : vector;
    }
    for (int i = 0; i < layer.step_parameters; i++) {
#pragma HLS LOOP_TRIPCOUNT max=PARAMETERS
        if (tile.last) {
            load_vector(port, address + column, tile.packs, steps, i * CHANNEL_PACKS);
        }
        address += vector;
    }
    if (tile.first) {
        load_table(port, address, layer.front_table, front_table);
    }
    if (tile.last) {
        load_table(port, address + tiles_of(layer.front_table, LANES) * 4, layer.step_table, step_table);
    }
}

/// Writes the rows of a tile, with the last tile along depth.
///
/// Loops: rows x packs x bytes of an element, II = 1.
template <class Size>
void store_rows(Word* port, const Layer& layer, int t, const int32_t (&packs)[Size::packs][LANES]) {
    const Tile tile = tile_at(layer, t);
    const Access access = layer.y;
    const int count = WORD_BYTES / access.bytes;
    Walk walk = first_word(layer, tile);
    for (int i = 0; i < (tile.last ? tile.rows * tile.packs * access.bytes : 0); i++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs*4
        Word word;
        for (int k = 0; k < WORD_BYTES; k++) {
#pragma HLS UNROLL
            const int lane = walk.part * count + k / access.bytes;
            // lint: allow partitioned-index: the elements of a pack leave word by word, through a multiplexer
            const int32_t element = packs[walk.row * layer.pitch + walk.pack][lane];
            word.byte[k] = uint8_t(uint32_t(element) >> (8 * (k % access.bytes)));
        }
        port[word_address(access, tile, walk.place, walk)] = word;
        walk = next_word(layer, tile, walk, access.bytes);
    }
}

/// Moves bytes one by one, wherever they are: permutations, slices and concatenations that words cannot do.
///
/// Loops: bytes, II = 1.
inline void move_elements(const uint8_t* from, uint8_t* to, const Layer& layer) {
    int index[MOVE_LOOPS] = {};
#pragma HLS ARRAY_PARTITION variable=index type=complete
    int source = layer.from;
    int target = layer.to;
    for (int i = 0; i < layer.rows; i++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=1048576
        to[target] = from[source];
        bool carry = true;
        for (int d = MOVE_LOOPS - 1; d >= 0; d--) {
#pragma HLS UNROLL
            const bool ends = index[d] == layer.extent[d] - 1;
            const int steps = !carry ? 0 : ends ? -index[d] : 1;
            source += steps * layer.from_pitch[d];
            target += steps * layer.to_pitch[d];
            index[d] += steps;
            carry = carry && ends;
        }
    }
}

} // namespace irc

#endif
