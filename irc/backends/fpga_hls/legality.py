"""What cannot become hardware, and why: everything at once, before any work."""

from __future__ import annotations

from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.extent import shape_of
from irc.ir.diagnostics import Diagnostic
from irc.ir.graph import Graph, Module, Value
from irc.ir.op import Op
from irc.ir.ops.quant import Dequantize, Quantize, Requantize
from irc.ir.ops.structure import Const, Kernel
from irc.ir.scalars import integer
from irc.passes.analysis.crossing import takes_64_bits
from irc.passes.specialize import fixing

U32 = integer(32, signed=False)
QUANTIZE_FIRST = "compile with quant8, quant4 or quant4a4, which leave no float in between"


def problems(module: Module, unsupported: list[Diagnostic]) -> list[Diagnostic]:
    """Reasons why the accelerator of a module cannot be built; empty if nothing is known that stands against it."""
    accelerator = module.functions.get(ACCELERATOR)
    if accelerator is None:
        return [Diagnostic("there is nothing to accelerate: main has no integer operation", hint=QUANTIZE_FIRST)]
    found: list[Diagnostic] = []
    for value in accelerator.inputs:
        found += _input(value)
    for value in accelerator.outputs:
        found += _output(value)
    named: set[str] = {d.message + str(d.loc) for d in unsupported}
    found += unsupported
    for op in inner_ops(accelerator):
        reason = _op(op)
        if reason is not None and reason.message + str(reason.loc) not in named:
            found.append(reason)
    return found


def inner_ops(graph: Graph) -> list[Op]:
    """The ops of a function and of its kernels, without constants, terminators and the kernels themselves."""
    return [
        node
        for node in graph.walk()
        if not node.terminator and not isinstance(node, Const | Kernel) and isinstance(node, Op)
    ]


def _input(value: Value) -> list[Diagnostic]:
    if value.type.scalar.is_float:
        message = f"input '{value.name}' enters the accelerator as {value.type.scalar}, not as codes"
        return [Diagnostic(message, hint=QUANTIZE_FIRST)]
    if value.type.static_shape is None:
        return [_dynamic(f"input '{value.name}' is {value.type}", value)]
    return []


def _output(value: Value) -> list[Diagnostic]:
    if value.type.static_shape is not None or shape_of(value) is None:
        return []
    message = f"a result is {value.type}, whose size shows only while it runs; ports carry as much of every sample"
    return [Diagnostic(message, value.loc, hint="token-select{keep=0.7} keeps as many tokens of every sample")]


def _op(op: Op) -> Diagnostic | None:
    """The first thing that stands against an op."""
    result = op.results[0].type
    if isinstance(op, Quantize | Dequantize):
        return Diagnostic(
            f"{op.opname}: floats in the middle of the graph; the accelerator only computes on codes",
            op.loc,
            hint="integerize{islands=none} makes everything between the first quantize and the last dequantize integer",
        )
    floats = [v.type.scalar for v in (*op.results, *op.operands) if v.type.scalar.is_float and not _is_scale(v, op)]
    if floats:
        return Diagnostic(
            f"{op.opname} computes {floats[0]}; the accelerator has no floats", op.loc, hint=QUANTIZE_FIRST
        )
    if shape_of(op.results[0]) is None:
        return _dynamic(f"{op.opname} gives {result}", op.results[0])
    if any(v.type.scalar == U32 for v in (*op.operands, op.results[0])):
        hint = "cast to i32 in the model"
        return Diagnostic(f"{op.opname} works on u32; the accelerator computes in signed 32 bits", op.loc, hint=hint)
    if takes_64_bits(op):
        hint = "cast to i32 in the model; only indices of gather may have 64 bits"
        return Diagnostic(f"{op.opname} works on 64-bit integers; the accelerator has 32 bits", op.loc, hint=hint)
    return None


def _is_scale(value: Value, op: Op) -> bool:
    """Whether a float is the scale of a requantize {mode=float}, which takes and gives integers all the same."""
    return isinstance(op, Requantize) and value is op.m


def _dynamic(what: str, value: Value) -> Diagnostic:
    hint = f"fix every dimension: {fixing(value)}"
    return Diagnostic(f"{what}, whose size is not known before it runs", value.loc, hint=hint)
