"""Stage functions: configuration, epilogue and the call of a template."""

from __future__ import annotations

import re

from irc.backends.fpga_hls.emit.writer import WIDTH, Writer, folded, loc_lines
from irc.backends.fpga_hls.extent import Extent
from irc.backends.fpga_hls.identifiers import camel, identifier
from irc.backends.fpga_hls.resources import COUNTED
from irc.backends.fpga_hls.stage import EPILOGUE, Config, Epilogue, Parameter, Rom, Stage, Statement

INPUT_NAMES = {
    "matmul": ["x", "w"],
    "masked_int_softmax": ["x", "mask"],
    "gather_rows": ["index"],
    "select_rows": ["scores", "x"],
    "select_above": ["scores", "x"],
}


def group_of(stage: Stage) -> str:
    """The file of a stage: named after the top-level module it belongs to, `blocks_0` for `blocks.0.attn.qkv`."""
    match = re.match(r"[^.]+(\.\d+(?=\.|$))?", stage.loc.path)
    return identifier(match[0] if match else "", "model")


def grouped(stages: list[Stage]) -> dict[str, list[Stage]]:
    """The stages by file, in order of execution."""
    groups: dict[str, list[Stage]] = {}
    for stage in stages:
        groups.setdefault(group_of(stage), []).append(stage)
    return groups


def write_stage(writer: Writer, stage: Stage) -> None:
    """Everything of one stage but its ROMs."""
    for text in loc_lines(stage.loc):
        writer.comment(text)
    if stage.config:
        _config(writer, f"{camel(stage.name)}Config", stage.config)
    if stage.epilogue is not None and not stage.epilogue.is_identity:
        _epilogue(writer, f"{camel(stage.name)}Epilogue", stage.epilogue)
    _function(writer, stage)
    writer.line()


def _config(writer: Writer, name: str, config: Config) -> None:
    with writer.block(f"struct {name}", "};"):
        for field, value in config.items():
            if isinstance(value, str):
                writer.line(f"using {field} = {value};")
            elif isinstance(value, bool):
                writer.line(f"static constexpr bool {field} = {str(value).lower()};")
            else:
                kind = "int" if -(2**31) < value < 2**31 else "int64_t"
                most = f" // {value.text()}, at most" if isinstance(value, Extent) else ""
                writer.line(f"static constexpr {kind} {field} = {value};{most}")
        sizes = {field: value for field, value in config.items() if isinstance(value, Extent)}
        if sizes:
            _sizes(writer, sizes)
    writer.line()


def _sizes(writer: Writer, sizes: dict[str, Extent]) -> None:
    """What a count of n makes of them."""
    writer.line()
    writer.comment("The sizes of a sample with a count of n.")
    with writer.block("template <class Config> struct Counted : Config", "};"):
        for field in sizes:
            writer.line(f"int {field};")
        values = ", ".join(f"{field}({value.text()})" for field, value in sizes.items())
        writer.line(f"explicit Counted(int n) : {values} {{}}")


def _epilogue(writer: Writer, name: str, epilogue: Epilogue) -> None:
    given = [(epilogue.type, epilogue.parameter), ("int", "index"), ("int", "channel"), *epilogue.operands]
    parameters = [f"{kind} {word}" if epilogue.uses(word) else kind for kind, word in given]
    operator = f"{epilogue.result_type} operator()({', '.join(parameters)}) const"
    with writer.block(f"struct {name}", "};"), writer.block(operator):
        writer.pragma("INLINE")
        *first, last = epilogue.statements
        for statement in first:
            _statement(writer, f"const {statement.type} {statement.name} =", statement)
        if last.name == epilogue.result:
            _statement(writer, "return", last)
        else:
            _statement(writer, f"const {last.type} {last.name} =", last)
            writer.line(f"return {epilogue.result};")
    writer.line()


def _statement(writer: Writer, head: str, statement: Statement) -> None:
    """A statement with its note behind it, or above where the line would be too long."""
    text = f"{head} {statement.expression};"
    behind = f"{text} // {statement.note}"
    if statement.note and len(behind) + 8 > WIDTH:
        writer.comment(statement.note)
    writer.line(behind if statement.note and len(behind) + 8 <= WIDTH else text)


def _function(writer: Writer, stage: Stage) -> None:
    names = stream_names(stage)
    streams = [*stage.inputs, *stage.outputs]
    parameters = [f"stream<{s.code.storage}>& {n}" for s, n in zip(streams, names, strict=True)]
    head = folded(f"inline void {stage.name}(", parameters, ")")
    with writer.block(head):
        writer.pragma("DATAFLOW")
        if stage.counting is not None:
            writer.line("int n;")
            writer.line("irc::take_count(count, n);")
        writer.line(folded(f"{_callee(stage)}(", _arguments(stage, names), ");", "    "))


def _callee(stage: Stage) -> str:
    parameters = ", ".join(_parameter(stage, p, i) for i, p in enumerate(stage.parameters))
    return f"irc::{stage.template}<{parameters}>" if parameters else f"irc::{stage.template}"


def _parameter(stage: Stage, parameter: Parameter, place: int) -> str:
    """The first of those that a count can bound is a number of iterations."""
    if isinstance(parameter, Extent):
        return f"Times<{parameter.factor}, {parameter.power}, {parameter.count.most}>"
    if isinstance(parameter, int):
        return f"Fixed<{parameter}>" if stage.template in COUNTED and place == 0 else str(parameter)
    if parameter == EPILOGUE and (stage.epilogue is None or stage.epilogue.is_identity):
        return "Identity"
    return f"{camel(stage.name)}{parameter.suffix}"


def _arguments(stage: Stage, names: list[str]) -> list[str]:
    inputs = iter(names[: len(stage.inputs)])
    outputs = iter(names[len(stage.inputs) :])
    texts: list[str] = []
    if stage.counting is not None:
        texts.append("n")
    elif stage.template in COUNTED:
        texts.append("FIXED")
    for argument in stage.arguments:
        if isinstance(argument, Rom):
            texts.append(argument.name)
        else:
            texts.append(next(outputs if any(argument is s for s in stage.outputs) else inputs))
    return texts


def stream_names(stage: Stage) -> list[str]:
    """Parameter names of the inputs, then of the outputs."""
    known = list(INPUT_NAMES.get(stage.template, []))
    skips = [name for _, name in stage.epilogue.operands] if stage.epilogue else []
    counted = ["count"] if stage.counting is not None else []
    plain = len(stage.inputs) - len(skips) - len(counted)
    known += [f"x{i}" if plain > 1 else "x" for i in range(len(known), plain)]
    outputs = ["y"] if len(stage.outputs) == 1 else [f"y{i}" for i in range(len(stage.outputs))]
    taken = {*known[:plain], *outputs, "count", "n"}
    return [*known[:plain], *(f"{s}_stream" if s in taken else s for s in skips), *counted, *outputs]
