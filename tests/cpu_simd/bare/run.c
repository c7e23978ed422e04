/* Makes the calls of graphs that are in the program, one after another, and writes what each gives: its status, and
   without an error its results, as raw elements. A status of 1000 is ours: memory behind a result or the workspace was
   written. With -DBARE there is no operating system.

   graphs.h has the types of a library, and GRAPHS(each) for the prefixes of all.
   Calls are made of pieces at multiples of 64 bytes: the number of a graph, its dims, each of its inputs. */
#include "graphs.h"

#include <stdint.h>
#include <stdio.h>

#define DECLARE(n) \
    const graph_info *n##_describe(void); \
    int32_t n##_init(graph *, uint32_t, const void *, size_t); \
    int32_t n##_input_shape(int32_t, const int64_t *, int64_t *); \
    int32_t n##_output_shape(int32_t, const int64_t *, int64_t *); \
    int64_t n##_workspace_bytes(const int64_t *); \
    int32_t n##_run(const graph *, const int64_t *, const void *const *, void *const *, void *, size_t);
#define LIST(n) {n##_describe, n##_init, n##_input_shape, n##_output_shape, n##_workspace_bytes, n##_run},

GRAPHS(DECLARE)

static const struct library {
    const graph_info *(*describe)(void);
    int32_t (*init)(graph *, uint32_t, const void *, size_t);
    int32_t (*input_shape)(int32_t, const int64_t *, int64_t *);
    int32_t (*output_shape)(int32_t, const int64_t *, int64_t *);
    int64_t (*workspace_bytes)(const int64_t *);
    int32_t (*run)(const graph *, const int64_t *, const void *const *, void *const *, void *, size_t);
} libraries[] = {GRAPHS(LIST)};

extern const char calls[], calls_end[];
static const char *call = calls;
static _Alignas(64) char memory[384 << 20];
static char *unused;

enum { GUARD = 0x5a, WRITES_BEYOND = 1000 };

static size_t padded(size_t size) { return (size + 63) / 64 * 64; }

static const void *take(size_t size)
{
    const void *piece = call;
    call += padded(size);
    return piece;
}

/* Memory with a guard behind it, of 64 bytes or more. */
static void *reserve(size_t size)
{
    char *piece = unused;
    unused += padded(size) + 64;
    for (char *at = piece + size; at < unused; at++) *at = GUARD;
    return piece;
}

static int is_guarded(const char *piece, size_t size)
{
    for (const char *at = piece + size; at < piece + padded(size) + 64; at++)
        if (*at != GUARD) return 0;
    return 1;
}

static size_t bytes_of(const graph_tensor *tensor, const int64_t *shape)
{
    size_t bytes = (size_t)tensor->element_bytes;
    for (int32_t i = 0; i < tensor->rank; i++) bytes *= (size_t)shape[i];
    return bytes;
}

static void put(const void *bytes, size_t size)
{
#ifdef BARE
    __asm__ volatile("rep outsb" : "+S"(bytes), "+c"(size) : "d"(0xe9) : "memory");
#else
    fwrite(bytes, 1, size, stdout);
#endif
}

int main(void)
{
    put(MARK, sizeof MARK - 1);
    while (call < calls_end) {
        const struct library *library = &libraries[*(const int64_t *)take(8)];
        const graph_info *info = library->describe();
        const int64_t *dims = take(8 * (size_t)info->dims);
        const void *inputs[64];
        void *outputs[64];
        size_t sizes[64];
        int64_t shape[64];
        graph net;
        int32_t status = library->init(&net, GRAPH_ABI_VERSION, NULL, 0);
        unused = memory;
        for (int32_t i = 0; i < info->inputs; i++) {
            library->input_shape(i, dims, shape);
            inputs[i] = take(bytes_of(&info->input[i], shape));
        }
        for (int32_t i = 0; i < info->outputs; i++) {
            library->output_shape(i, dims, shape);
            outputs[i] = reserve(sizes[i] = bytes_of(&info->output[i], shape));
        }
        const size_t needed = (size_t)library->workspace_bytes(dims);
        void *workspace = reserve(needed);
        if (unused > memory + sizeof memory) status = GRAPH_ERROR_SIZE;
        if (!status) status = library->run(&net, dims, inputs, outputs, workspace, needed);
        if (!is_guarded(workspace, needed)) status = WRITES_BEYOND;
        for (int32_t i = 0; i < info->outputs; i++)
            if (!is_guarded(outputs[i], sizes[i])) status = WRITES_BEYOND;
        put(&status, sizeof status);
        for (int32_t i = 0; !status && i < info->outputs; i++) put(outputs[i], sizes[i]);
    }
    put(MARK, sizeof MARK - 1);
    return 0;
}
