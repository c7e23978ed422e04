"""Files that try to run code: torch itself would run it (shown first), `capture` does not."""

from __future__ import annotations

import io
import json
import pickle
import random
import shutil
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch_support import assert_round_trip, assert_same, outputs_of

from irc.frontend.capture import capture
from irc.frontend.untyped import quiet
from irc.ir.diagnostics import IrcError, UnsafeInputError, UsageError
from irc.ir.interpret import interpret

TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])
Records = dict[str, bytes]
Edit = Callable[[Records, Path], None]
MODEL = "models/model.json"


class Small(nn.Module):
    """A weight, a constant, a size that varies."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.fc(x)) * torch.tensor([1.0, 2.0, 3.0])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "small.pt2"
    batch = torch.export.Dim("b", min=1, max=9)
    with quiet():
        program = torch.export.export(Small().eval(), (torch.randn(2, 4),), dynamic_shapes={"x": {0: batch}})
        torch.export.save(program, path)
    return path


def edited(saved: Path, tmp_path: Path, edit: Edit) -> tuple[Path, Path]:
    """A changed copy of the archive, and the file whose appearance shows that code ran."""
    mark = tmp_path / "ran"
    with zipfile.ZipFile(saved) as archive:
        records = {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
    edit(records, mark)
    path = tmp_path / "edited.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            archive.writestr(f"edited/{name}", data)
    return path, mark


class Payload:
    """Creates the mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return shutil.copyfile, (__file__, str(self.mark))


def torch_saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def in_json(name: str, change: Callable[[Any, Path], None]) -> Edit:
    def edit(records: Records, mark: Path) -> None:
        data = json.loads(records[name])
        change(data, mark)
        records[name] = json.dumps(data).encode()

    return edit


# -- the payloads


def sample_inputs(records: Records, mark: Path) -> None:
    records["data/sample_inputs/model.pt"] = torch_saved(((Payload(mark),), {}))


def pickled_weight(records: Records, mark: Path) -> None:
    config = json.loads(records["data/weights/model_weights_config.json"])
    name, meta = next(iter(config["config"].items()))
    config["config"][name] = meta | {"use_pickle": True}
    records["data/weights/model_weights_config.json"] = json.dumps(config).encode()
    records[f"data/weights/{meta['path_name']}"] = torch_saved(Payload(mark))


def pickled_constant(records: Records, mark: Path) -> None:
    config = json.loads(records["data/constants/model_constants_config.json"])
    name, meta = next(iter(config["config"].items()))
    config["config"][name] = meta | {"use_pickle": True}
    records["data/constants/model_constants_config.json"] = json.dumps(config).encode()
    records[f"data/constants/{meta['path_name']}"] = torch_saved(Payload(mark))


def opaque_object(records: Records, mark: Path) -> None:
    config = json.loads(records["data/constants/model_constants_config.json"])
    config["config"]["evil"] = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    records["data/constants/model_constants_config.json"] = json.dumps(config).encode()
    records["data/constants/opaque_obj_0"] = pickle.dumps(Payload(mark))


def legacy_weights(records: Records, mark: Path) -> None:
    records["data/weights/model.pt"] = torch_saved({"fc.weight": Payload(mark)})


def legacy_constants(records: Records, mark: Path) -> None:
    records["data/constants/model.pt"] = torch_saved({"c": Payload(mark)})


def imported_enum(records: Records, mark: Path) -> None:
    """The structure of the results names a module, which torch imports."""
    (mark.parent / "planted_module.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    context = json.dumps([{"__enum__": True, "fqn": "planted_module:E", "name": "x"}])
    spec = json.dumps([1, {"type": "builtins.dict", "context": context, "children_spec": []}])
    data = json.loads(records[MODEL])
    data["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = spec
    records[MODEL] = json.dumps(data).encode()


def guards(data: Any, mark: Path) -> None:
    data["guards_code"] = [f"open({str(mark)!r}, 'w').close() is None"]


def _relu(data: Any) -> Any:
    return next(n for n in data["graph_module"]["graph"]["nodes"] if "relu" in n["target"])


def from_file(data: Any, mark: Path) -> None:
    """An ATen op that creates a file."""
    node = _relu(data)
    node["target"] = "torch.ops.aten.from_file.default"
    arguments = {"filename": {"as_string": str(mark)}, "shared": {"as_bool": True}, "size": {"as_int": 3}}
    node["inputs"] = [{"name": k, "arg": v, "kind": 1} for k, v in arguments.items()]


def python_function(data: Any, mark: Path) -> None:
    """A chain of attributes that ends at os.system."""
    node = _relu(data)
    node["target"] = "torch.serialization.os.system"
    node["inputs"] = [{"name": "", "arg": {"as_string": f"touch {mark}"}, "kind": 1}]


def size_expression(records: Records, mark: Path) -> None:
    """Sizes are expressions that torch evaluates as Python."""
    symbol = "Symbol('s77', positive=True, integer=True)"
    records[MODEL] = records[MODEL].replace(
        symbol.encode(), f"{symbol}+0*len(str(open('{mark}','w').close()))".encode()
    )


def input_name(records: Records, mark: Path) -> None:
    """Names of inputs become parameters of a function that torch generates."""
    records[MODEL] = records[MODEL].replace(b'"x"', json.dumps(f"x=open({str(mark)!r},'w').close()").encode())


def load_only(path: Path) -> None:
    torch.export.load(path)


def run(path: Path) -> None:
    torch.export.load(path).module()(torch.randn(2, 4))


def fires(path: Path, mark: Path, use: Callable[[Path], None]) -> None:
    """torch runs the code, so that a test that finds no mark afterwards means something."""
    with quiet():
        try:
            use(path)
        except Exception as error:  # some payloads break the program after they ran
            assert mark.exists(), error  # noqa: PT017
    assert mark.exists()
    mark.unlink()


@pytest.mark.parametrize(
    ("edit", "use", "message"),
    [
        (sample_inputs, load_only, "sample inputs: refused: it holds pickled objects, not only tensors"),
        (pickled_weight, load_only, "refused: the tensor 'fc.weight' is pickled"),
        (pickled_constant, load_only, "refused: the tensor 'lifted_tensor_0' is pickled"),
        pytest.param(
            *(opaque_object, load_only, "refused: it contains a pickled custom object"),
            marks=pytest.mark.skipif(TORCH < (2, 13), reason="older torch knows no opaque objects"),
        ),
        (legacy_weights, load_only, "refused: weights are pickled"),
        (legacy_constants, load_only, "refused: weights are pickled"),
        (size_expression, load_only, r"refused: the size .* is no plain expression"),
        (input_name, run, r"refused: the name .* is not an identifier"),
    ],
)
def test_code_in_a_program_is_refused(
    saved: Path, tmp_path: Path, edit: Edit, use: Callable[[Path], None], message: str
) -> None:
    path, mark = edited(saved, tmp_path, edit)
    fires(path, mark, use)
    with pytest.raises(UnsafeInputError, match=message) as caught:
        capture(path)
    assert caught.value.exit_code == 6
    assert "torch.export.save" in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("edit", "use"), [(imported_enum, load_only), (in_json(MODEL, guards), run)], ids=["import", "guards"]
)
def test_code_that_is_not_needed_is_dropped(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Edit, use: Callable[[Path], None]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path, mark = edited(saved, tmp_path, edit)
    fires(path, mark, use)
    sys.modules.pop("planted_module", None)
    captured = capture(path)
    assert captured.sample_inputs["x"].shape == (2, 4)
    assert not mark.exists()


def test_op_that_writes_a_file_is_not_run(saved: Path, tmp_path: Path) -> None:
    path, mark = edited(saved, tmp_path, in_json(MODEL, from_file))
    fires(path, mark, run)
    with pytest.raises(IrcError, match=r"aten.from_file.default is not supported"):
        capture(path)
    assert not mark.exists()


# -- forms that torch does not run today, and that do not get through either


def rename_weight(records: Records, mark: Path) -> None:
    """Parameter names become source when torch unlifts them."""
    name = json.dumps(f"a\"),open({str(mark)!r},'w').close(),getattr(self,\"fc.weight").encode()
    for record in records:
        if record.endswith(".json"):
            records[record] = records[record].replace(b'"fc.weight"', name)


def test_parameter_names_are_only_data(saved: Path, tmp_path: Path) -> None:
    path, mark = edited(saved, tmp_path, rename_weight)
    captured = capture(path)
    assert any("getattr(self," in str(node.loc) for node in captured.module.walk())
    assert_round_trip(captured.module)
    assert not mark.exists()


def _node_name(data: Any, mark: Path) -> None:
    _relu(data)["name"] = "relu; import os"


def _custom_object(data: Any, mark: Path) -> None:
    _relu(data)["inputs"][0]["arg"] = {"as_custom_obj": {"name": "o", "class_fqn": "evil.C"}}


def _custom_value(data: Any, mark: Path) -> None:
    data["graph_module"]["graph"]["custom_obj_values"] = {"o": {"name": "o", "class_fqn": "evil.C"}}


def _keyword(data: Any, mark: Path) -> None:
    _relu(data)["inputs"][0]["name"] = "lambda"


def _range_name(data: Any, mark: Path) -> None:
    data["range_constraints"]["u999999999999"] = {"min_val": 0, "max_val": 9}


def _text_arithmetic(data: Any, mark: Path) -> None:
    node = _relu(data)
    node["target"] = "_operator.mul"
    node["inputs"] = [{"name": "a", "arg": a, "kind": 1} for a in ({"as_string": "x"}, {"as_int": 2**40})]


def _operator_argument(data: Any, mark: Path) -> None:
    _relu(data)["inputs"][0]["arg"] = {"as_operator": "torch.serialization.os.system"}


def _huge_number(data: Any, mark: Path) -> None:
    _relu(data)["inputs"].append({"name": "n", "arg": {"as_int": 2**70}, "kind": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (python_function, "the program calls 'torch.serialization.os.system', which is no operator"),
        (_node_name, "the name 'relu; import os' in the program is not an identifier"),
        (_custom_object, "the program uses custom objects"),
        (_custom_value, "the program uses custom objects"),
        (_keyword, "the name 'lambda' in the program is not an identifier"),
        (_range_name, "the name 'u999999999999' of a size"),
        (_text_arithmetic, "the program calls _operator.mul on something else than numbers"),
        (_operator_argument, "the name 'torch.serialization.os.system' in the program is not an identifier"),
        (_huge_number, "a number beyond 64 bits under 'as_int'"),
    ],
)
def test_odd_programs_are_refused(
    saved: Path, tmp_path: Path, change: Callable[[Any, Path], None], message: str
) -> None:
    path, mark = edited(saved, tmp_path, in_json(MODEL, change))
    with pytest.raises(UnsafeInputError, match=message):
        capture(path)
    assert not mark.exists()


def test_custom_object_record(saved: Path, tmp_path: Path) -> None:
    path, _ = edited(saved, tmp_path, lambda records, mark: records.update({"data/constants/custom_obj_0": b"x"}))
    with pytest.raises(UnsafeInputError, match="refused: it contains a pickled custom object"):
        capture(path)


VALUES: list[Any] = [
    *(None, 0, -1, 7, 2**62, 1.5, True, float("nan"), "", "x", "relu", "s77", "aten", "__import__('os')", [], {}, [1]),
    *("torch.ops.aten.relu.default", {"as_int": 3}, {"as_none": True}, {"as_tensor": {"name": "x"}}),
]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from _paths(item, (*path, key))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_changed_programs_load_or_are_told(saved: Path, tmp_path: Path, seed: int) -> None:
    """Random edits of the data never end in anything but a module or an IrcError."""
    rng = random.Random(seed)

    def change(data: Any, mark: Path) -> None:
        for _ in range(rng.choice([1, 1, 2])):
            *front, last = rng.choice(list(_paths(data)))
            place = data
            for key in front:
                place = place[key]
            if rng.random() < 0.8:
                place[last] = rng.choice(VALUES)
            else:
                del place[last]

    outcomes = Counter[str]()
    for _ in range(50):
        name = rng.choice([MODEL, MODEL, MODEL, "data/weights/model_weights_config.json"])
        path, _ = edited(saved, tmp_path, in_json(name, change))
        try:
            capture(path)
            outcomes["loaded"] += 1
        except IrcError as error:
            outcomes[type(error).__name__] += 1
    assert outcomes["loaded"] > 0
    assert outcomes["IrcError"] > 0
    assert outcomes["InternalError"] == 0


# -- archives


def repacked(source: Path, target: Path, compression: int = zipfile.ZIP_STORED, root: str = "m") -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for info in old.infolist():
            new.writestr(f"{root}/{info.filename.partition('/')[2]}", old.read(info))


def test_compressed_archive(saved: Path, tmp_path: Path) -> None:
    repacked(saved, tmp_path / "m.pt2", zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsafeInputError, match="is compressed or encrypted"):
        capture(tmp_path / "m.pt2")


def test_record_outside_the_archive(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    for name in ("../evil", "m/../../evil", "/m/x", "other/x", ""):
        repacked(saved, path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name or "nameless", b"")
        if not name:
            path.write_bytes(path.read_bytes().replace(b"nameless", b"\0ameless"))
        with pytest.raises(UnsafeInputError, match="is outside the folder of the archive"):
            capture(path)


def test_too_many_records(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("irc.frontend.archive.MOST_RECORDS", 3)
    with pytest.raises(UnsafeInputError, match=r"refused: \d+ records"):
        capture(saved)


def test_program_of_an_old_torch(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        archive.writestr("old/serialized_exported_program.json", "{}")
    with pytest.raises(UnsafeInputError, match="it is a program saved by an older torch, whose weights are pickled"):
        capture(tmp_path / "old.pt2")


def test_two_records_of_one_name(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    repacked(saved, path)
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("m/archive_format", b"pt2")
    with pytest.raises(UnsafeInputError, match="two records have one name"):
        capture(path)


def test_records_on_top_of_each_other(saved: Path, tmp_path: Path) -> None:
    """A bomb without compression: many names for the same bytes."""
    path = tmp_path / "m.pt2"
    repacked(saved, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("m/extra/big", b"x" * 10_000)
        big = archive.getinfo("m/extra/big")
        for i in range(50):
            copy = zipfile.ZipInfo(f"m/extra/{i}")
            copy.file_size, copy.compress_size, copy.CRC = big.file_size, big.compress_size, big.CRC
            copy.header_offset = big.header_offset
            archive.filelist.append(copy)
    with pytest.raises(UnsafeInputError, match="claim more bytes than the file has"):
        capture(path)


def _bigger(sizes: list[int], strides: list[int]) -> Callable[[Any, Path], None]:
    def change(config: Any, mark: Path) -> None:
        meta = config["config"]["fc.weight"]["tensor_meta"]
        meta["sizes"] = [{"as_int": n} for n in sizes]
        meta["strides"] = [{"as_int": n} for n in strides]

    return change


@pytest.mark.parametrize(
    ("sizes", "strides"),
    [([1 << 40, 4], [4, 1]), ([1 << 20, 1 << 20], [0, 0]), ([3, 4], [-4, 1]), ([3], [4, 1])],
    ids=["beyond the record", "expanded", "negative stride", "ranks differ"],
)
def test_sizes_are_checked_before_allocation(saved: Path, tmp_path: Path, sizes: list[int], strides: list[int]) -> None:
    edit = in_json("data/weights/model_weights_config.json", _bigger(sizes, strides))
    path, _ = edited(saved, tmp_path, edit)
    with pytest.raises(
        IrcError,
        match=r"damaged or truncated \((tensor 'fc.weight' claims .* bytes, its record has|the shape of tensor)",
    ):
        capture(path)


# -- other pickles


class Unsafe(nn.Module):
    """A module that is saved whole."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)


def test_pickled_module(tmp_path: Path) -> None:
    path = tmp_path / "module.pt"
    model = Unsafe()
    torch.save(model, path)
    with pytest.raises(
        UnsafeInputError, match=r"refused: it holds pickled objects, not only tensors \(test_trust.Unsafe\)"
    ) as e:
        capture(path, [(2, 4)])
    assert e.value.exit_code == 6
    assert "torch.export.save" in str(e.value)
    assert "trust_pickle=True loads it all the same" in str(e.value)
    check_same = capture(path, torch.ones(2, 4), trust_pickle=True)
    assert_same(interpret(check_same.module, check_same.sample_inputs), outputs_of(model, torch.ones(2, 4)))


@pytest.mark.parametrize("new_format", [True, False], ids=["zip", "legacy"])
def test_pickle_with_a_payload(tmp_path: Path, new_format: bool) -> None:
    path, mark = tmp_path / "weights.pth", tmp_path / "ran"
    torch.save({"weight": Payload(mark)}, path, _use_new_zipfile_serialization=new_format)
    fires(path, mark, lambda p: torch.load(p, weights_only=False))
    with pytest.raises(UnsafeInputError, match=r"refused: it (holds pickled objects|is a pickle)"):
        capture(path, [(2, 4)], arch="torch.nn:Identity")
    assert not mark.exists()


def test_torchscript(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    model = Unsafe().eval()
    with quiet():
        torch.jit.trace(model, torch.ones(2, 4)).save(path)
    with pytest.raises(UnsafeInputError, match="refused: it is a TorchScript archive"):
        capture(path, torch.ones(2, 4))
    with pytest.raises(UsageError, match="sizes of a TorchScript module cannot vary"):
        capture(path, torch.ones(2, 4), trust_pickle=True, dynamic="b")
    with pytest.raises(UsageError, match=r"script.pt is a TorchScript module; arch= goes with a file of weights"):
        capture(path, torch.ones(2, 4), trust_pickle=True, arch="a:b")
    captured = capture(path, torch.ones(2, 4), trust_pickle=True)
    assert_same(interpret(captured.module, captured.sample_inputs), outputs_of(model, torch.ones(2, 4)))
