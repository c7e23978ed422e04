"""The C program and the build files beside a library."""

from __future__ import annotations

from irc.backends.cpu_simd.header import Interface


def example(i: Interface) -> str:
    """`example.c`: reads the inputs from stdin, runs once, writes the outputs to stdout."""
    n, m = i.name, i.macro
    if i.embed:
        weights, release = f"    int32_t status = {n}_init(&net, {m}_ABI_VERSION, NULL, 0);", ""
    else:
        release = "    free(weights);\n"
        weights = f"""\
    const size_t size = (size_t){n}_describe()->weights_bytes;
    void *weights = aligned_alloc({m}_ALIGNMENT, size);
    FILE *file = fopen("{n}.weights", "rb");
    if (!weights || !file || fread(weights, 1, size, file) != size) return 1;
    fclose(file);
    int32_t status = {n}_init(&net, {m}_ABI_VERSION, weights, size);"""
    run = "&net, dims, (const void *const *)inputs, outputs, workspace, (size_t)needed"
    return f"""\
/* Runs the model once: ./example [sizes ...] < inputs > outputs, tensors as raw elements one after another.
   With -DTHREADS=2 -pthread: by two threads. */
#include "{n}.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef THREADS
#include <pthread.h>

static void *team;

static void *work(void *index) {{
    return (void *)(intptr_t){n}_worker(team, (int32_t)(intptr_t)index);
}}
#endif

static size_t bytes_of(const {n}_tensor *tensor, const int64_t *shape) {{
    size_t size = (size_t)tensor->element_bytes;
    for (int32_t axis = 0; axis < tensor->rank; axis++) size *= (size_t)shape[axis];
    return size;
}}

static int usage(const {n}_info *info) {{
    fputs("usage: ./example", stderr);
    for (int32_t i = 0; i < info->dims; i++) fprintf(stderr, " [%s", info->dim[i].name);
    for (int32_t i = 0; i < info->dims; i++) fputc(']', stderr);
    fputs(" < inputs > outputs\\n", stderr);
    return 2;
}}

int main(int argc, char **argv) {{
    const {n}_info *info = {n}_describe();
    int64_t dims[{m}_DIMS + 1], shape[64];
    size_t sizes[{m}_OUTPUTS + 1];
    void *inputs[{m}_INPUTS + 1], *outputs[{m}_OUTPUTS + 1];
    if (argc > info->dims + 1) return usage(info);
    for (int32_t i = 0; i < info->dims; i++) {{
        char *end = "";
        dims[i] = i + 1 < argc ? strtoll(argv[i + 1], &end, 10) : info->dim[i].least;
        if (*end || (i + 1 < argc && end == argv[i + 1])) return usage(info);
    }}
    {n} net;
{weights}
    const int64_t needed = {n}_workspace_bytes(dims);
    if (!status && needed < 0) status = (int32_t)-needed;
    for (int32_t i = 0; !status && i < info->inputs; i++) {{
        status = {n}_input_shape(i, dims, shape);
        const size_t size = bytes_of(&info->input[i], shape);
        inputs[i] = malloc(size);
        if (fread(inputs[i], 1, size, stdin) != size) return fprintf(stderr, "stdin is too short\\n"), 1;
    }}
    for (int32_t i = 0; !status && i < info->outputs; i++) {{
        status = {n}_output_shape(i, dims, shape);
        outputs[i] = malloc(sizes[i] = bytes_of(&info->output[i], shape));
    }}
    void *workspace = status ? NULL : aligned_alloc({m}_ALIGNMENT, (size_t)needed);
#ifdef THREADS
    pthread_t workers[THREADS];
    const int64_t team_bytes = status ? 0 : {n}_team_bytes(dims, THREADS);
    if (!status && team_bytes < 0) status = (int32_t)-team_bytes;
    team = status ? NULL : aligned_alloc({m}_ALIGNMENT, (size_t)team_bytes);
    if (!status) status = {n}_team_init(&net, team, (size_t)team_bytes, THREADS);
    if (status) return fprintf(stderr, "%s\\n", {n}_status_text(status)), 1;
    for (intptr_t i = 1; i < THREADS; i++) pthread_create(&workers[i], NULL, work, (void *)i);
    status = {n}_run_team({run}, team);
    {n}_stop(team);
    for (int i = 1; i < THREADS; i++) pthread_join(workers[i], NULL);
    free(team);
#else
    if (!status) status = {n}_run({run});
#endif
    if (status) return fprintf(stderr, "%s\\n", {n}_status_text(status)), 1;
    for (int32_t i = 0; i < info->outputs; i++) fwrite(outputs[i], 1, sizes[i], stdout), free(outputs[i]);
    for (int32_t i = 0; i < info->inputs; i++) free(inputs[i]);
    free(workspace);
{release}    return 0;
}}
"""
