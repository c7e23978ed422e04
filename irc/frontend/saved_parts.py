"""Parts of a saved program, as JSON: what comes before a module, and what remains without some operators."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from irc.frontend.cut import Step, cut
from irc.frontend.provenance import recorded
from irc.frontend.untyped import is_dict, is_list
from irc.ir.location import Loc


def before(module: dict[str, Any], stop_at: str) -> dict[str, Any]:
    """The graph and signature of the part before a module, still unchecked. Raises UsageError as `cut`."""
    graph = module["graph"]
    found = cut(steps_of_saved(graph), stop_at, user_inputs_of_saved(module))
    results = [_tensor(name) for name in found.results if name in graph["tensor_values"]]
    nodes = [graph["nodes"][number] for number in found.kept]
    return {
        **module,
        "graph": {**graph, "nodes": nodes, "outputs": results, "is_single_tensor_return": False},
        "signature": {**module["signature"], "output_specs": [_result(r) for r in results]},
    }


def without(module: dict[str, Any], lost: Collection[int]) -> tuple[dict[str, Any], list[str], int]:
    """The graph and signature without the operators `lost`, whose tensors become inputs; the names of these inputs; how
    many operators went with them, since they read what is no tensor.

    What the others make and nothing reads are results, so that torch keeps it.
    """
    graph, signature = module["graph"], module["signature"]
    kept: list[Any] = []
    stand_ins: list[str] = []
    gone: set[str] = set()
    for number, node in enumerate(graph["nodes"]):
        if number not in lost and gone.isdisjoint(_read(node)):
            kept.append(node)
            continue
        made = _names(node["outputs"])
        tensors = [name for name in made if name in graph["tensor_values"]]
        stand_ins += tensors
        gone.update(name for name in made if name not in tensors)
    specs = [s for s in signature["output_specs"] if gone.isdisjoint(_names(s))]
    told = {name for spec in specs for name in _names(spec)}
    read = {name for node in kept for name in _read(node)}
    unread = [name for node in kept for name in _names(node["outputs"]) if name not in read | told]
    specs += [_result(_tensor(name)) for name in unread if name in graph["tensor_values"]]
    part = {
        "graph": {
            **graph,
            "nodes": kept,
            "inputs": [*graph["inputs"], *map(_tensor, stand_ins)],
            "outputs": [_argument(spec) for spec in specs],
            "is_single_tensor_return": False,
        },
        "signature": {
            **signature,
            "input_specs": [*signature["input_specs"], *({"user_input": {"arg": _tensor(n)}} for n in stand_ins)],
            "output_specs": specs,
        },
    }
    return part, stand_ins, len(graph["nodes"]) - len(kept) - len(lost)


def steps_of_saved(graph: Mapping[str, Any]) -> list[Step[str]]:
    """What a saved program does, in order."""
    return [
        Step((place_of(node).path,), _read(node), _names(node["outputs"]), writes=writes_operands(str(node["target"])))
        for node in graph["nodes"]
    ]


def place_of(node: Mapping[str, Any]) -> Loc:
    """Where an operator comes from."""
    return recorded(node.get("metadata", {}))


def user_inputs_of_saved(module: Mapping[str, Any]) -> set[str]:
    """The names of what a caller gives."""
    specs = module["signature"]["input_specs"]
    return {name for spec in specs if "user_input" in spec for name in _names(spec["user_input"])}


def writes_operands(target: str) -> bool:
    """Whether an overload is the in-place form, `aten.relu_.default`."""
    name = target.removeprefix("torch.ops.").split(".")[1:2]
    return bool(name) and name[0].endswith("_") and not name[0].startswith("_")


def _read(node: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for entry in node["inputs"] for name in _names(entry["arg"]))


def _names(argument: Any) -> tuple[str, ...]:
    """The values that an argument stands for, in order."""
    if is_dict(argument):
        own = [v for k, v in argument.items() if k in ("name", "as_name") and isinstance(v, str)]
        return (*own, *(name for v in argument.values() for name in _names(v)))
    return tuple(name for item in argument for name in _names(item)) if is_list(argument) else ()


def _tensor(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}


def _result(argument: dict[str, Any]) -> dict[str, Any]:
    return {"user_output": {"arg": argument}}


def _argument(spec: Mapping[str, Any]) -> Any:
    """What an output of the signature is in the graph."""
    ((kind, said),) = spec.items()
    return said["arg"] if kind == "user_output" else {"as_tensor": said["arg"]}
