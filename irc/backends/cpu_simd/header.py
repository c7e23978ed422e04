"""The C header of a library, its example, and how to build with it. This text is the documentation of the interface.

Names from a model stand in comments only, where nothing but harmless characters of theirs is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from irc.backends.cpu_simd.abi import ABI_VERSION, ELEMENTS, HEADER_BYTES, STATUS, element_of
from irc.backends.cpu_simd.isa import Isa
from irc.ir.graph import Graph, Value
from irc.version import __version__

C_TYPES = {
    "bool": "uint8_t",
    **{f"{sign}{bits}": f"{'u' * (sign == 'u')}int{bits}_t" for sign in "iu" for bits in (8, 16, 32, 64)},
    "f16": "uint16_t",
    "f32": "float",
    "f64": "double",
}
"""How C says the type of an element; half floats are their bits."""


@dataclass(frozen=True)
class Interface:
    """A library as C sees it: its prefix, its graph, what it was built for, and the bytes of its weights."""

    name: str
    graph: Graph
    isa: Isa
    embed: bool
    weights: int

    @property
    def macro(self) -> str:
        return self.name.upper()


def harmless(text: str) -> str:
    """Text of a model that neither ends a comment nor continues its line."""
    return re.sub(r"[^A-Za-z0-9_.$<>=+\-, \[\]]", "?", text)[:200]


def header(i: Interface) -> str:
    """`NAME.h`"""
    n, m = i.name, i.macro
    return f"""\
/* {n}.h: a neural network as a library, compiled by irc {__version__} for {i.isa.name}. C99 and C++.

   The library needs no other library, allocates nothing, keeps no state and never writes to its arguments but where
   it says so. Any number of threads may run it at once, each with a workspace of its own; several
   may also run it together (see {n}_run_team).

       {n} net;
       {n}_init(&net, {m}_ABI_VERSION, {"NULL, 0" if i.embed else "weights, weights_bytes"});
       {n}_run(&net, dims, inputs, outputs, workspace, workspace_bytes);

   Inputs, in order, in C order without gaps:
{_tensors(i.graph.inputs, [v.name for v in i.graph.inputs])}
   Outputs:
{_tensors(i.graph.outputs, [f"output{k}" for k in range(len(i.graph.outputs))])}
   Sizes that vary, the numbers of `dims` in this order{"" if i.graph.symbols else ": none, `dims` may be NULL"}
{_dims(i.graph)}*/

#ifndef {m}_H
#define {m}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {m}_ABI_VERSION {ABI_VERSION}u
#define {m}_ALIGNMENT 64 /* bytes, of the workspace{"" if i.embed else " and the weights"} */
#define {m}_INPUTS {len(i.graph.inputs)}
#define {m}_OUTPUTS {len(i.graph.outputs)}
#define {m}_DIMS {len(i.graph.symbols)}

/* What functions return. {n}_status_text says it in words. */
enum {{
{_statuses(m)}
}};

/* Types of elements in memory; half floats are their 16 bits, truth values a byte that is 0 or 1. */
enum {{
{_elements(m)}
}};

/* A tensor: its name, its type as irc writes it, its element type (above) and the bytes of one, its rank. */
typedef struct {n}_tensor {{
    const char *name;
    const char *type;
    int32_t element;
    int32_t element_bytes;
    int32_t rank;
    int32_t reserved;
}} {n}_tensor;

/* A size that varies, in least .. most. */
typedef struct {n}_dim {{
    const char *name;
    int64_t least;
    int64_t most;
}} {n}_dim;

typedef struct {n}_info {{
    uint32_t abi_version;
    int32_t inputs;
    int32_t outputs;
    int32_t dims;
    const {n}_tensor *input;  /* [inputs] */
    const {n}_tensor *output; /* [outputs] */
    const {n}_dim *dim;       /* [dims] */
    const char *target;
    const char *compiler;
    int64_t weights_bytes; /* of the file of weights; 0 if they are part of the library */
}} {n}_info;

/* An initialised model. Filled in by {n}_init and only read afterwards; there is nothing to free. */
typedef struct {n} {{
    const void *weights;
    uint64_t seal;
}} {n};

/* What the library is and takes. Needs no initialised model. */
const {n}_info *{n}_describe(void);

/* A status in words. */
const char *{n}_status_text(int32_t status);

/* Fill in `self`. Pass {m}_ABI_VERSION; {_weights_text(i)}
   {m}_ERROR_CPU: this machine lacks instructions{_needs(i.isa)}. */
int32_t {n}_init({n} *self, uint32_t abi_version, const void *weights, size_t weights_bytes);

/* The sizes of a tensor, `shape[rank]`, for these dims. {m}_ERROR_TENSOR: there is none of this number. */
int32_t {n}_input_shape(int32_t index, const int64_t *dims, int64_t *shape);
int32_t {n}_output_shape(int32_t index, const int64_t *dims, int64_t *shape);

/* Bytes of workspace that a run with these dims needs. Below 0: the negative of a status. */
int64_t {n}_workspace_bytes(const int64_t *dims);

/* Run once. `inputs` and `outputs` are tables of pointers to tensors, aligned to their elements; outputs overlap
   neither inputs nor each other. `workspace` is aligned to {m}_ALIGNMENT and may hold anything.
   {m}_ERROR_INDEX: an input led to an index out of range; outputs are then undefined. */
int32_t {n}_run(const {n} *self, const int64_t *dims, const void *const *inputs, void *const *outputs,
    void *workspace, size_t workspace_bytes);

/* Run by several threads. They are the caller's: each calls {n}_worker with a number of its own from 1 to threads - 1,
   which returns when the team is stopped; who calls {n}_run_team is number 0. Workers wait for runs, asleep after some
   microseconds; a run waits for none that does not come. Results do not depend on threads, bit by bit.

       {n}_team_init(&net, team, team_bytes, 2);                  in the other thread:
       {n}_run_team(&net, ..., workspace_bytes, team);            {n}_worker(team, 1);
       {n}_stop(team);

   `team` is memory of {n}_team_bytes(dims, threads) bytes, aligned to {m}_ALIGNMENT, for one run at a time. It
   must stay there until all workers have returned; then {n}_team_init may make a new team of it. */

/* Bytes of a team for runs with these dims, with 1 to 64 threads. Below 0: the negative of a status. */
int64_t {n}_team_bytes(const int64_t *dims, int32_t threads);

/* Make memory a team. */
int32_t {n}_team_init(const {n} *self, void *team, size_t team_bytes, int32_t threads);

/* Work for a team until it is stopped. {m}_ERROR_BUSY: it has a worker of this number. */
int32_t {n}_worker(void *team, int32_t index);

/* Send the workers home; a run that is going on ends as it should. Runs of a stopped team are those of one thread. */
int32_t {n}_stop(void *team);

/* As {n}_run. {m}_ERROR_BUSY: another run of this team is going on. */
int32_t {n}_run_team(const {n} *self, const int64_t *dims, const void *const *inputs, void *const *outputs,
    void *workspace, size_t workspace_bytes, void *team);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _tensors(values: Sequence[Value], names: Sequence[str]) -> str:
    return "".join(
        f"     {harmless(name)}: {harmless(str(value.type))}, {C_TYPES[element_of(value.type.scalar)]} in memory\n"
        for name, value in zip(names, values, strict=True)
    ).rstrip("\n")


def _dims(graph: Graph) -> str:
    return "".join(f"     {harmless(str(symbol))}\n" for symbol in graph.symbols.values())


def _statuses(macro: str) -> str:
    last = len(STATUS) - 1
    return "\n".join(
        f"    {macro}_{name} = {number}{',' * (number < last)} /* {text} */"
        for number, (name, text) in enumerate(STATUS)
    )


def _elements(macro: str) -> str:
    return ",\n".join(f"    {macro}_TYPE_{name.upper()} = {number}" for number, name in enumerate(ELEMENTS))


def _weights_text(i: Interface) -> str:
    if i.embed:
        return "the weights are inside: pass NULL, 0."
    return (
        f"`weights` is the content of {i.name}.weights ({HEADER_BYTES + i.weights} bytes), aligned to\n"
        f"   {i.macro}_ALIGNMENT (mmap does that), which must stay there as long as the model is used."
    )


def _needs(isa: Isa) -> str:
    needed = ", ".join(sorted(isa.needs))
    return f" of {isa.name} ({needed})" if needed else ""
