// Rows chosen as they are found: which scores are the largest, and the rows that a tensor of indices names.

#ifndef IRC_ENGINE_SELECT_H
#define IRC_ENGINE_SELECT_H

#include "engine_memory.h"

namespace irc {

/// Reads the scores of a batch, which are a row.
///
/// Loops: packs of scores x bytes of one, II = 1.
template <class Size>
void load_scores(const Word* port, const Layer& layer, const Tile& tile, int32_t (&packs)[Size::packs][LANES]) {
#pragma HLS INLINE
    const int begin = row_address(layer.x, tile.batch, {0, 0});
    int pack = 0;
    int part = 0;
    for (int i = 0; i < layer.depth_words * layer.x.bytes; i++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=CHANNEL_PACKS*4
        put_elements(port[begin + i], part, layer.x, packs, pack);
        const bool ends = part == layer.x.bytes - 1;
        pack += ends ? 1 : 0;
        part = ends ? 0 : part + 1;
    }
}

/// How many of a pack of scores are before the score of a row: larger, or equal and of a lower index; pinned ones never.
inline int ahead_of(const Layer& layer, int row, int32_t own, int pack, const int32_t (&scores)[LANES]) {
#pragma HLS INLINE
    int count = 0;
    for (int i = 0; i < LANES; i++) {
#pragma HLS UNROLL
        const int other = pack * LANES + i;
        const bool before = own < scores[i] || (own == scores[i] && other < row);
        count += before && layer.pinned <= other && other < layer.depth ? 1 : 0;
    }
    return count;
}

/// The indices of the rows that stay, in their order: those that are pinned, and those with fewer before them than there
/// is room for.
///
/// Loops: scores x packs of scores, II = 1.
template <class Size>
void rank_scores(const Layer& layer, const int32_t (&scores)[Size::packs][LANES],
                 int32_t (&results)[Size::packs][LANES]) {
#pragma HLS INLINE
    const int last = layer.depth_words - 1;
    int row = 0;
    int pack = 0;
    int stay = 0;
    int32_t own = 0;
    int before = 0;
    for (int n = 0; n < layer.depth * layer.depth_words; n++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=CHANNEL_PACKS*CHANNEL_PACKS*LANES
        const bool begins = pack == 0;
        // lint: allow partitioned-index: the score of a row is one lane of its pack, chosen once a row
        own = begins ? scores[row / LANES][row % LANES] : own;
        before = (begins ? 0 : before) + ahead_of(layer, row, own, pack, scores[pack]);
        const bool stays = row < layer.pinned || before < layer.columns - layer.pinned;
        if (pack == last && stays) {
            // lint: allow partitioned-index: an index is one lane of a pack
            results[stay / LANES][stay % LANES] = row;
            stay++;
        }
        row += pack == last ? 1 : 0;
        pack = pack == last ? 0 : pack + 1;
    }
}

/// Reads the rows of a tensor that the indices `w` of a tile name.
///
/// Loops: rows, then rows x packs x bytes of an element, II = 1.
template <class Size>
void load_chosen(const Word* port, const Layer& layer, const Tile& tile, int32_t (&packs)[Size::packs][LANES]) {
#pragma HLS INLINE
    IRC_BUFFER int32_t chosen[Size::rows];
    const int begin = row_address(layer.w, tile.batch, {0, 0});
    for (int i = 0; i < tile.rows; i++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::rows
        const int place = tile.row + i;
        chosen[i] = element_of(port[begin + place / INDICES], place % INDICES, WORD_BYTES / INDICES, true);
    }
    Walk walk = first_word(layer, tile);
    for (int i = 0; i < tile.rows * tile.packs * layer.x.bytes; i++) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT max=Size::packs*4
        const Word word = port[word_address(layer.x, tile, {0, chosen[walk.row]}, walk)];
        put_elements(word, walk.part, layer.x, packs, walk.row * layer.pitch + walk.pack);
        walk = next_word(layer, tile, walk, layer.x.bytes);
    }
}

} // namespace irc

#endif
