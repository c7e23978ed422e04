/* Runs a library by several threads: on time, late, never, stopped and again; gives it everything that is wrong.
   Prints what it did not get. Reads the inputs of one call from stdin and compares with the results of one thread. */
#include "model.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST 4
#define BYTES ((size_t)1 << 22)

static int failures = 0;
static void *team;
static model net;

#define EXPECT(call, status) do { \
    const int64_t got = (int64_t)(call); \
    if (got != (int64_t)(status)) { printf("line %d: %s: %d, not %s\n", __LINE__, #call, (int)got, #status); failures++; } \
} while (0)

static void *work(void *index) { return (void *)(intptr_t)model_worker(team, (int32_t)(intptr_t)index); }

static void rest(long microseconds) {
    const struct timespec time = {0, microseconds * 1000};
    nanosleep(&time, NULL);
}

int main(int argc, char **argv) {
    int64_t dims[MODEL_DIMS + 1] = {argc > 1 ? atoll(argv[1]) : 0}, none[MODEL_DIMS + 1] = {-1};
    static char x[BYTES], first[BYTES], again[BYTES];
    const void *in[1] = {x};
    void *out[1] = {first}, *other[1] = {again};
    EXPECT(fread(x, 1, BYTES, stdin) > 0, 1);
    EXPECT(model_init(&net, MODEL_ABI_VERSION, NULL, 0), MODEL_OK);
    const size_t size = (size_t)model_workspace_bytes(dims), bytes = (size_t)model_team_bytes(dims, MOST);
    void *workspace = aligned_alloc(MODEL_ALIGNMENT, size);
    team = aligned_alloc(MODEL_ALIGNMENT, bytes);
    memset(workspace, 0, size), memset(team, 0, bytes);
    EXPECT(model_run(&net, dims, in, out, workspace, size), MODEL_OK);

    model blank;
    memset(&blank, 0, sizeof blank);
    EXPECT(model_team_bytes(none, 1), MODEL_DIMS ? -MODEL_ERROR_DIM : (int64_t)model_team_bytes(dims, 1));
    EXPECT(model_team_bytes(dims, 0), -MODEL_ERROR_THREADS);
    EXPECT(model_team_bytes(dims, 65), -MODEL_ERROR_THREADS);
    EXPECT(model_team_bytes(dims, -1), -MODEL_ERROR_THREADS);
    EXPECT(model_team_bytes(dims, 64) > 0, 1);
    EXPECT(model_worker(NULL, 1), MODEL_ERROR_NULL);
    EXPECT(model_worker((char *)team + 8, 1), MODEL_ERROR_ALIGNMENT);
    EXPECT(model_worker(team, 1), MODEL_ERROR_TEAM);
    EXPECT(model_stop(NULL), MODEL_ERROR_NULL);
    EXPECT(model_stop(team), MODEL_ERROR_TEAM);
    EXPECT(model_run_team(&net, dims, in, out, workspace, size, NULL), MODEL_ERROR_NULL);
    EXPECT(model_run_team(&net, dims, in, out, workspace, size, team), MODEL_ERROR_TEAM);
    EXPECT(model_team_init(NULL, team, bytes, MOST), MODEL_ERROR_NULL);
    EXPECT(model_team_init(&blank, team, bytes, MOST), MODEL_ERROR_UNREADY);
    EXPECT(model_team_init(&net, NULL, bytes, MOST), MODEL_ERROR_NULL);
    EXPECT(model_team_init(&net, (char *)team + 8, bytes, MOST), MODEL_ERROR_ALIGNMENT);
    EXPECT(model_team_init(&net, team, bytes, 0), MODEL_ERROR_THREADS);
    EXPECT(model_team_init(&net, team, bytes, 65), MODEL_ERROR_THREADS);
    EXPECT(model_team_init(&net, team, 64, MOST), MODEL_ERROR_SIZE);
    EXPECT(model_team_init(&net, team, bytes - 1, MOST), MODEL_OK);
    EXPECT(model_run_team(&net, dims, in, out, workspace, size, team), MODEL_ERROR_SIZE);
    EXPECT(model_team_init(&net, team, bytes, MOST), MODEL_OK);
    EXPECT(model_worker(team, 0), MODEL_ERROR_THREADS);
    EXPECT(model_worker(team, -1), MODEL_ERROR_THREADS);
    EXPECT(model_worker(team, MOST), MODEL_ERROR_THREADS);
    EXPECT(model_run_team(&net, dims, in, out, NULL, size, team), MODEL_ERROR_NULL);
    EXPECT(model_run_team(&net, dims, in, out, workspace, size - 1, team), MODEL_ERROR_SIZE);

    for (int threads = 1; threads <= MOST; threads++)
        for (int round = 0; round < 8; round++) {
            const int late = round % 4; /* workers come before the first run, between runs, after them, or never */
            pthread_t workers[MOST];
            void *status;
            EXPECT(model_team_init(&net, team, bytes, threads), MODEL_OK);
            for (int run = 0; run < 6; run++) {
                if (run == 2 * late && late < 3)
                    for (intptr_t i = 1; i < threads; i++) EXPECT(pthread_create(&workers[i], NULL, work, (void *)i), 0);
                if (run == 5 && late == 2) model_stop(team);
                rest(run == 3 ? 2000 : run); /* long enough for the workers to fall asleep, or not */
                memset(again, 0, BYTES);
                EXPECT(model_run_team(&net, dims, in, other, workspace, size, team), MODEL_OK);
                EXPECT(memcmp(first, again, BYTES), 0);
            }
            if (late < 2 && threads > 1) {
                while (!(*(volatile int64_t *)((char *)team + 24) & 2)) rest(100); /* until worker 1 has come */
                EXPECT(model_worker(team, 1), MODEL_ERROR_BUSY);
            }
            EXPECT(model_stop(team), MODEL_OK);
            EXPECT(model_stop(team), MODEL_OK);
            for (int i = 1; i < threads && late < 3; i++) {
                EXPECT(pthread_join(workers[i], &status), 0);
                EXPECT((intptr_t)status, MODEL_OK);
            }
            memset(again, 0, BYTES);
            EXPECT(model_run_team(&net, dims, in, other, workspace, size, team), MODEL_OK);
            EXPECT(memcmp(first, again, BYTES), 0);
        }
    free(workspace), free(team);
    return failures != 0;
}
