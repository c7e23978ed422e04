/* Gives a library everything that is wrong, and expects the right status of each. Prints what it did not get. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;
static long allocations = 0;

#ifdef COUNT
#ifdef __cplusplus
extern "C" {
#endif
void *__libc_malloc(size_t);
void *malloc(size_t size) { allocations++; return __libc_malloc(size); }
#ifdef __cplusplus
}
#endif
#endif

#define EXPECT(call, status) do { \
    const int64_t got = (int64_t)(call); \
    if (got != (int64_t)(status)) { printf("%s: %s, not %s\n", #call, model_status_text((int32_t)got), #status); failures++; } \
} while (0)

int main(void) {
    const model_info *info = model_describe();
    EXPECT(info->abi_version == MODEL_ABI_VERSION && info->inputs == 1 && info->outputs == 1 && info->dims == 1, 1);
    EXPECT(strcmp(info->input[0].name, "x") == 0 && strcmp(info->input[0].type, "f32[b, 33]") == 0, 1);
    EXPECT(info->input[0].element == MODEL_TYPE_F32 && info->input[0].rank == 2, 1);
    EXPECT(info->output[0].element == MODEL_TYPE_I32 && info->output[0].element_bytes == 4, 1);
    EXPECT(strcmp(info->dim[0].name, "b") == 0 && info->dim[0].least == 1 && info->dim[0].most == 70, 1);

    model net, blank;
    memset(&blank, 0, sizeof blank);
    EXPECT(model_init(&net, MODEL_ABI_VERSION + 1, NULL, 0), MODEL_ERROR_ABI);
    EXPECT(model_init(NULL, MODEL_ABI_VERSION, NULL, 0), MODEL_ERROR_NULL);
    EXPECT(model_init(&net, MODEL_ABI_VERSION, &blank, 8), MODEL_ERROR_WEIGHTS);
    EXPECT(model_init(&net, MODEL_ABI_VERSION, NULL, 0), MODEL_OK);

    int64_t one[1] = {1}, none[1] = {0}, many[1] = {71}, negative[1] = {-1}, shape[2];
    EXPECT(model_workspace_bytes(NULL), -MODEL_ERROR_NULL);
    EXPECT(model_workspace_bytes(none), -MODEL_ERROR_DIM);
    EXPECT(model_workspace_bytes(many), -MODEL_ERROR_DIM);
    EXPECT(model_workspace_bytes(negative), -MODEL_ERROR_DIM);
    EXPECT(model_input_shape(0, one, NULL), MODEL_ERROR_NULL);
    EXPECT(model_input_shape(1, one, shape), MODEL_ERROR_TENSOR);
    EXPECT(model_input_shape(-1, one, shape), MODEL_ERROR_TENSOR);
    EXPECT(model_output_shape(0, many, shape), MODEL_ERROR_DIM);
    EXPECT(model_output_shape(0, one, shape), MODEL_OK);
    EXPECT(shape[0] == 1 && shape[1] == 10, 1);

    static float x[33 + 1];
    static int32_t y[10 + 1];
    const size_t size = (size_t)model_workspace_bytes(one);
    char *workspace = (char *)aligned_alloc(MODEL_ALIGNMENT, size + MODEL_ALIGNMENT);
    const void *in[1] = {x}, *no_in[1] = {NULL}, *odd_in[1] = {(char *)x + 1};
    void *out[1] = {y}, *no_out[1] = {NULL}, *odd_out[1] = {(char *)y + 2};
    EXPECT(model_run(NULL, one, in, out, workspace, size), MODEL_ERROR_NULL);
    EXPECT(model_run(&blank, one, in, out, workspace, size), MODEL_ERROR_UNREADY);
    EXPECT(model_run(&net, NULL, in, out, workspace, size), MODEL_ERROR_NULL);
    EXPECT(model_run(&net, many, in, out, workspace, size), MODEL_ERROR_DIM);
    EXPECT(model_run(&net, one, NULL, out, workspace, size), MODEL_ERROR_NULL);
    EXPECT(model_run(&net, one, no_in, out, workspace, size), MODEL_ERROR_NULL);
    EXPECT(model_run(&net, one, odd_in, out, workspace, size), MODEL_ERROR_ALIGNMENT);
    EXPECT(model_run(&net, one, in, NULL, workspace, size), MODEL_ERROR_NULL);
    EXPECT(model_run(&net, one, in, no_out, workspace, size), MODEL_ERROR_NULL);
    EXPECT(model_run(&net, one, in, odd_out, workspace, size), MODEL_ERROR_ALIGNMENT);
    EXPECT(model_run(&net, one, in, out, NULL, size), MODEL_ERROR_NULL);
    EXPECT(model_run(&net, one, in, out, workspace + 32, size), MODEL_ERROR_ALIGNMENT);
    EXPECT(model_run(&net, one, in, out, workspace, size - 1), MODEL_ERROR_SIZE);
    void *volatile something = malloc(1);
    free(something);
    const long before = allocations;
    EXPECT(model_run(&net, one, in, out, workspace, size), MODEL_OK);
    EXPECT(allocations - before, 0);
    EXPECT(strcmp(model_status_text(MODEL_OK), "no error"), 0);
    EXPECT(strcmp(model_status_text(-1), "unknown status"), 0);
    EXPECT(strcmp(model_status_text(99), "unknown status"), 0);
    free(workspace);
#ifdef COUNT
    EXPECT(before > 0, 1); /* the counter counts */
#endif
    return failures != 0;
}
