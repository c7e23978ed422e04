"""Saved programs (`.pt2`): a checked copy of the file's data is what torch gets to see, never the file.

`torch.export.load` runs code that a file asks for: pickles of weights, constants and sample inputs; Python expressions
of sizes; imports named in the structure of arguments; attribute chains that start at `torch`; names pasted into
generated source. Here the graph is read as JSON and written anew, and everything that is text is either of a closed
form (identifiers, ATen overloads, size expressions), replaced (parameter names, locations, argument structure), or
dropped. Tensors are read from raw bytes.
"""

from __future__ import annotations

import io
import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch._export.serde import schema
from torch._export.serde import serialize as _untyped_serialize
from torch.utils import _pytree as pytree

from irc.frontend.archive import Archive, damaged
from irc.frontend.aten import is_importable, refused
from irc.frontend.expressions import checked_expression, is_symbol
from irc.frontend.lost import Lost
from irc.frontend.provenance import recorded
from irc.frontend.saved_parts import before, place_of, steps_of_saved, user_inputs_of_saved, without
from irc.frontend.stored import Tensors, last_line, load_plain, read_json, unsafe
from irc.frontend.untyped import is_dict, is_list, quiet
from irc.ir.diagnostics import Diagnostic, IrcError
from irc.ir.location import Loc

_serialize = cast(Any, _untyped_serialize)

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_OPERATOR = re.compile(r"torch\.ops(\.[A-Za-z0-9_]+){2,3}|torch\.sym_[a-z]+|(_operator|math)\.[a-z_]+")
_NUMBER = re.compile(r"-?(nan|inf|infinity)", re.IGNORECASE)
_ARITHMETIC = ("add", "sub", "mul", "floordiv", "mod", "truediv", "neg")
_RELATIONS = ("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_")
SYMBOLIC_OPS = frozenset(
    {
        "math.trunc",
        *(f"_operator.{name}" for name in (*_ARITHMETIC, *_RELATIONS)),
        *(f"torch.sym_{name}" for name in ("int", "float", "max", "min", "not", "ite")),
    }
)
REGIONS = frozenset(f"torch.ops.higher_order.wrap_with_{name}" for name in ("set_grad_enabled", "autocast"))
_TEXT_KEYS = frozenset({"as_string", "as_strings"})  # plain string arguments of ops, `approximate = "tanh"`
_WEIGHT_KEYS = frozenset({"parameter_name", "buffer_name", "tensor_constant_name"})
_DEVICE_KEYS = frozenset({"device", "as_device"})
_OBJECT_KEYS = frozenset({"as_custom_obj", "custom_obj", "custom_obj_values", "class_fqn", "as_string_to_argument"})
_NUMERIC = re.compile(r"as_(sym_)?(int|float|bool)s?")


@dataclass
class SavedProgram:
    """A program from a file, and what was kept from torch: true names and locations by the stand-ins torch saw, and
    operators that are not supported, without which it is.
    """

    program: torch.export.ExportedProgram
    samples: tuple[tuple[Any, ...], dict[str, Any]] | None
    names: dict[str, str] = field(default_factory=dict[str, str])
    locations: dict[str, Loc] = field(default_factory=dict[str, Loc])
    lost: Lost | None = None


def read_program(archive: Archive, stop_at: str = "") -> SavedProgram:
    """The program of a `.pt2` archive, or the part of it before the module `stop_at`.

    Raises UnsafeInputError for anything that would run code, IrcError for damage.
    """
    archive.require_stored()
    name = _model_name(archive)
    _refuse_code(archive)
    data = read_json(archive, f"models/{name}.json")
    samples = _samples(archive, f"data/sample_inputs/{name}.pt")
    tensors = Tensors(archive)
    weights = tensors.read("data/weights/", f"{name}_weights_config.json")
    constants = tensors.read("data/constants/", f"{name}_constants_config.json")
    clean = _Cleaner(archive.place, [*weights, *constants])
    graph = clean.program(data, stop_at)
    renamed = [{clean.stand_ins[k]: v for k, v in store.items()} for store in (weights, constants)]
    try:
        with quiet():
            program = _rebuild(graph, *renamed)
    except Exception as error:  # whatever torch stumbles over: data that passed the checks are damaged, not harmful
        if clean.lost is not None:
            raise clean.lost.alone() from error
        raise damaged(archive.place, f"{type(error).__name__}: {last_line(error)}") from error
    names = {stand_in: true for true, stand_in in clean.stand_ins.items()}
    return SavedProgram(program, samples, names, clean.locations, clean.lost)


def _rebuild(graph: dict[str, Any], weights: dict[str, Any], constants: dict[str, Any]) -> Any:
    """torch's own reader on checked data. This is the one place that depends on torch's internals."""
    program = _serialize._dict_to_dataclass(schema.ExportedProgram, graph)
    return _serialize.ExportedProgramDeserializer().deserialize(program, weights, constants, None)


# -- the archive


def _model_name(archive: Archive) -> str:
    models = [n.removeprefix("models/").removesuffix(".json") for n in archive.under("models/") if n.endswith(".json")]
    if len(models) != 1:
        compiled = "; it is a compiled AOTInductor package" if archive.under("data/aotinductor/") else ""
        raise IrcError(
            Diagnostic(
                f"expected one program, the archive has {len(models)}{compiled}",
                place=archive.place,
                hint="save one program a file: torch.export.save(torch.export.export(model, inputs), 'model.pt2')",
            )
        )
    return models[0]


def _refuse_code(archive: Archive) -> None:
    for name in archive.records:
        folder, _, file = name.rpartition("/")
        if folder in ("data/weights", "data/constants") and file.endswith(".pt"):
            raise unsafe(archive.place, f"weights are pickled ('{name}', an archive of an older torch)")
        if folder == "data/constants" and (file.startswith(("custom_obj", "opaque_obj"))):
            raise unsafe(archive.place, f"it contains a pickled custom object ('{name}')")


def _samples(archive: Archive, name: str) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The sample inputs (arguments, keyword arguments), which are a pickle: only tensors and plain containers pass."""
    raw = archive.read(name) if name in archive.records else b""
    if not raw:
        return None
    found = load_plain(io.BytesIO(raw), f"{archive.place}: sample inputs")
    if not is_list(found) or len(found) != 2 or not is_list(found[0]) or not is_dict(found[1]):
        raise damaged(archive.place, "sample inputs are not (args, kwargs)")
    return tuple(found[0]), found[1]


# -- the graph


class _Cleaner:
    """Writes the JSON of a program anew. Whatever is not known to be harmless is refused."""

    def __init__(self, place: str, weights: Sequence[str]) -> None:
        self.place = place
        self.stand_ins = {name: f"w{i}" for i, name in enumerate(dict.fromkeys(weights))}
        self.locations: dict[str, Loc] = {}
        self.lost: Lost | None = None
        self._unsupported: list[Diagnostic] = []
        self._others = 0  # operators that are supported by name

    def program(self, data: Any, stop_at: str) -> dict[str, Any]:
        try:
            if stop_at:
                data["graph_module"] = before(data["graph_module"], stop_at)
            return self._program(data)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError, RecursionError) as error:
            raise damaged(self.place, f"the program: {error!r}") from error

    def _program(self, data: Any) -> dict[str, Any]:
        module = data["graph_module"]
        nodes, lost = self._nodes(module["graph"]["nodes"])
        clean = {
            "graph": self._value("graph", {**module["graph"], "nodes": []}) | {"nodes": nodes},
            "signature": self._value("signature", module["signature"]),
        }
        if lost:
            clean, stand_ins, unread = without(clean, lost)
            self.lost = Lost(
                tuple(self._unsupported),
                frozenset(stand_ins),
                unjudged=unread + sum(lost.values()),
                others=self._others,
                steps=steps_of_saved(module["graph"]),
                places=[place_of(node) for node in module["graph"]["nodes"]],
                numbers=frozenset(lost),
                given=frozenset(user_inputs_of_saved(module)),
            )
        ranges = {self._symbol(k): self._value("range", v) for k, v in data["range_constraints"].items()}
        return {
            "graph_module": {**clean, "module_call_graph": [{"fqn": "", "signature": _flat_call(clean["signature"])}]},
            "opset_version": {"aten": int(data["opset_version"]["aten"])},
            "range_constraints": ranges,
            "schema_version": {k: int(data["schema_version"][k]) for k in ("major", "minor")},
            "verifiers": [v for v in data.get("verifiers", ()) if v in ("TRAINING", "ATEN")],
        }

    def _nodes(self, nodes: Sequence[Any]) -> tuple[list[Any], dict[int, int]]:
        """Copies of the operators; the numbers of those that are not supported, or are regions with one that is not,
        with how many others are in the region.
        """
        copies: list[Any] = []
        lost: dict[int, int] = {}
        for number, node in enumerate(nodes):
            refused_before, others_before = len(self._unsupported), self._others
            copies.append(self._value("nodes", node))
            if len(self._unsupported) > refused_before:
                lost[number] = self._others - others_before if node["target"] in REGIONS else 0
        return copies, lost

    def _value(self, key: str, value: Any) -> Any:
        """A copy of one JSON value that stands under `key`."""
        if key == "expr_str":
            return self._expression(str(value))
        if key in _DEVICE_KEYS and value is not None:
            return {"type": "cpu", "index": None}  # wherever the model was exported
        if key in _OBJECT_KEYS and value != {}:
            raise unsafe(self.place, "the program uses custom objects")
        if is_dict(value):
            if "target" in value and "inputs" in value:
                return self._node(value)
            return {self._identifier(k): self._value(k, v) for k, v in value.items()}
        if is_list(value):
            return [self._value(key, v) for v in value]
        if isinstance(value, str):
            return self._string(key, value)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise unsafe(self.place, f"a number beyond 64 bits under '{key}'")
        return value

    def _string(self, key: str, value: str) -> str | float:
        if key in _TEXT_KEYS:
            return value
        if key in _WEIGHT_KEYS:
            return self.stand_ins.setdefault(value, f"w{len(self.stand_ins)}")
        if key in ("as_float", "as_floats") and _NUMBER.fullmatch(value):
            return float(value)
        return self._identifier(value) if value else value

    def _identifier(self, name: str) -> str:
        # Names become names in Python source that torch generates and executes.
        if not _IDENTIFIER.fullmatch(name) or keyword.iskeyword(name):
            raise unsafe(self.place, f"the name {name!r} in the program is not an identifier")
        return name

    def _symbol(self, name: str) -> str:
        if not is_symbol(name):
            raise unsafe(self.place, f"the name {name!r} of a size")
        return name

    def _node(self, node: dict[str, Any]) -> dict[str, Any]:
        loc = recorded(node.get("metadata", {}))
        token = f"irc.{len(self.locations)}"
        self.locations[token] = loc
        copy = {k: self._value(k, v) for k, v in node.items() if k not in ("target", "metadata")}
        target = self._target(node["target"], loc)
        if target in SYMBOLIC_OPS and not all(_NUMERIC.fullmatch(k) for entry in node["inputs"] for k in entry["arg"]):
            raise unsafe(self.place, f"the program calls {target} on something else than numbers")
        return copy | {"target": target, "metadata": {"nn_module_stack": f"irc,{token},irc"}}

    def _target(self, target: str, loc: Loc) -> str:
        if target in SYMBOLIC_OPS or target in REGIONS:
            return target
        if not _OPERATOR.fullmatch(target):
            raise unsafe(self.place, f"the program calls {target!r}, which is no operator")
        name = target.removeprefix("torch.ops.")
        if is_importable(name):
            self._others += 1
        else:
            self._unsupported.append(refused(name, loc))
        return target

    def _expression(self, text: str) -> str:
        try:
            return checked_expression(text)
        except ValueError as error:
            shown = text if len(text) < 80 else text[:77] + "..."
            raise unsafe(self.place, f"the size {shown!r} in the program is no plain expression ({error})") from error


def _flat_call(signature: Mapping[str, Any]) -> dict[str, Any]:
    """The structure of arguments and results, flattened: every input an argument, every output in one tuple.

    torch would import what the structure in the file names.
    """
    inputs = [s for s in signature["input_specs"] if "user_input" in s or "constant_input" in s]
    outputs = [s for s in signature["output_specs"] if "user_output" in s]
    spec = pytree.tree_structure(((0,) * len(inputs), {}))
    return {
        "inputs": [],
        "outputs": [],
        "in_spec": pytree.treespec_dumps(spec),
        "out_spec": pytree.treespec_dumps(pytree.tree_structure((0,) * len(outputs))),
        "forward_arg_names": [_input_name(s, i) for i, s in enumerate(inputs)],
    }


def _input_name(spec: Mapping[str, Any], index: int) -> str:
    """The name of an input in the graph, which is what the user calls it."""
    if "constant_input" in spec:
        return spec["constant_input"]["name"]
    (argument,) = spec["user_input"]["arg"].values()
    name = argument.get("name") or argument.get("as_name") if is_dict(argument) else None
    return name or f"arg_{index}"
