// The engine: layers one after another, each cut into tiles. While one tile is multiplied, the next one is read and the
// last one finished and written.
//
// Size: rows, columns and words of depth of a tile; pe columns (a multiple of LANES) and simd words of depth that are
// multiplied at once; groups = columns / pe, turns = words / simd, packs = rows x columns / LANES.

#ifndef IRC_ENGINE_H
#define IRC_ENGINE_H

#include "engine_fold.h"
#include "engine_gemm.h"
#include "engine_memory.h"
#include "engine_rows.h"
#include "engine_select.h"
#include "engine_steps.h"

namespace irc {

/// Reads the first operand of a tile: lanes to multiply, or elements; for rows also what is to be known of them.
template <class Size>
void load_first(const Word* port, const Layer& layer, int t, Lane (&x)[Size::rows * Size::turns][Size::simd][LANES],
                int32_t (&elements)[Size::packs][LANES], UInt<1> (&kept)[Size::packs][LANES],
                RowTotal (&totals)[Size::rows]) {
    const Tile tile = tile_at(layer, t);
    if (layer.kind == GEMM) {
        load_depth<Size>(port, layer, tile, x);
    } else if (layer.kind == SOFTMAX || layer.kind == NORM) {
        load_totals<Size>(port, layer, tile, elements, kept, totals);
    } else if (layer.kind == RANK) {
        load_scores<Size>(port, layer, tile, elements);
    } else if (layer.kind == GATHER) {
        load_chosen<Size>(port, layer, tile, elements);
    } else {
        load_windows<Size>(port, layer, tile, elements);
    }
}

/// What is in front of the steps.
template <class Size>
void run_front(const Layer& layer, int t, const Lane (&x)[Size::rows * Size::turns][Size::simd][LANES],
               const int32_t (&elements)[Size::packs][LANES], const UInt<1> (&kept)[Size::packs][LANES],
               const RowTotal (&totals)[Size::rows],
               const Lane (&w)[Size::groups * Size::turns][Size::simd][Size::pe][LANES],
               const int32_t (&parameters)[FRONT_PARAMETERS * CHANNEL_PACKS][LANES],
               const int32_t (&table)[TABLE][LANES], int32_t (&results)[Size::packs][LANES]) {
    static int32_t partial[Size::packs][LANES]; // stays from tile to tile
#pragma HLS ARRAY_PARTITION variable=partial dim=2 type=complete
#pragma HLS ARRAY_PARTITION variable=partial dim=1 type=cyclic factor=Size::pe/LANES
    const Tile tile = tile_at(layer, t);
    if (layer.kind == GEMM) {
        multiply_tile<Size>(layer, tile, x, w, parameters, partial, results);
    } else if (layer.kind == SOFTMAX) {
        softmax_rows<Size>(layer, tile, elements, kept, table, totals, results);
    } else if (layer.kind == NORM) {
        norm_rows<Size>(layer, tile, elements, parameters, totals, results);
    } else if (layer.kind == RANK) {
        rank_scores<Size>(layer, elements, results);
    } else { // COPY and GATHER are folds of one tap
        fold_tap<Size>(layer, tile, elements, parameters, partial, results);
    }
}

/// All tiles of a layer. Cycles: the slowest process of each tile, and all processes once.
template <class Size>
void run_tiles(const Layer& layer, const Word* image, const Word* weights, const Word* computed, const Word* operands,
               const Word* parameters, Word* result) {
    for (int t = 0; t < layer.tiles; t++) {
#pragma HLS LOOP_TRIPCOUNT max=65536
#pragma HLS DATAFLOW
        IRC_BUFFER Lane x[Size::rows * Size::turns][Size::simd][LANES];
#pragma HLS ARRAY_PARTITION variable=x dim=2 type=complete
#pragma HLS ARRAY_PARTITION variable=x dim=3 type=complete
        IRC_BUFFER int32_t elements[Size::packs][LANES];
#pragma HLS ARRAY_PARTITION variable=elements dim=2 type=complete
        IRC_BUFFER UInt<1> kept[Size::packs][LANES];
#pragma HLS ARRAY_PARTITION variable=kept dim=2 type=complete
        IRC_BUFFER RowTotal totals[Size::rows];
        IRC_BUFFER Lane w[Size::groups * Size::turns][Size::simd][Size::pe][LANES];
#pragma HLS ARRAY_PARTITION variable=w dim=2 type=complete
#pragma HLS ARRAY_PARTITION variable=w dim=3 type=complete
#pragma HLS ARRAY_PARTITION variable=w dim=4 type=complete
        IRC_BUFFER int32_t second[Size::packs][LANES];
#pragma HLS ARRAY_PARTITION variable=second dim=2 type=complete
        IRC_BUFFER int32_t third[Size::packs][LANES];
#pragma HLS ARRAY_PARTITION variable=third dim=2 type=complete
        IRC_BUFFER int32_t front_parameters[FRONT_PARAMETERS * CHANNEL_PACKS][LANES];
#pragma HLS ARRAY_PARTITION variable=front_parameters dim=2 type=complete
        IRC_BUFFER int32_t step_parameters[PARAMETERS * CHANNEL_PACKS][LANES];
#pragma HLS ARRAY_PARTITION variable=step_parameters dim=2 type=complete
        IRC_BUFFER int32_t front_table[TABLE][LANES];
#pragma HLS ARRAY_PARTITION variable=front_table dim=2 type=complete
        IRC_BUFFER int32_t step_table[TABLE][LANES];
#pragma HLS ARRAY_PARTITION variable=step_table dim=2 type=complete
        IRC_BUFFER int32_t results[Size::packs][LANES];
#pragma HLS ARRAY_PARTITION variable=results dim=2 type=complete
#pragma HLS ARRAY_PARTITION variable=results dim=1 type=cyclic factor=Size::pe/LANES
        IRC_BUFFER int32_t out[Size::packs][LANES];
#pragma HLS ARRAY_PARTITION variable=out dim=2 type=complete

        load_first<Size>(image, layer, t, x, elements, kept, totals);
        load_weights<Size>(weights, computed, layer, t, w);
        load_operands<Size>(operands, layer, t, second, third);
        load_parameters<Size>(parameters, layer, t, front_parameters, step_parameters, front_table, step_table);
        run_front<Size>(layer, t, x, elements, kept, totals, w, front_parameters, front_table, results);
        run_steps<Size>(layer, t, results, second, third, step_parameters, step_table, out);
        store_rows<Size>(result, layer, t, out);
    }
}

/// One layer.
template <class Size>
void run_layer(const Layer& layer, const Word* image, const Word* weights, const Word* computed, const Word* operands,
               const Word* parameters, Word* result, const uint8_t* from, uint8_t* to) {
    if (layer.kind == MOVE) {
        move_elements(from, to, layer);
    } else {
        run_tiles<Size>(layer, image, weights, computed, operands, parameters, result);
    }
}

/// One layer after another.
template <class Size, int COUNT>
void run_layers(const Layer (&program)[COUNT], const Word* image, const Word* weights, const Word* computed,
                const Word* operands, const Word* parameters, Word* result, const uint8_t* from, uint8_t* to) {
    for (int i = 0; i < COUNT; i++) {
        run_layer<Size>(program[i], image, weights, computed, operands, parameters, result, from, to);
    }
}

} // namespace irc

#endif
