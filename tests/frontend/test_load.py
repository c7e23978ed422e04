"""Files and factories: what they may be, and clear errors for everything else."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch_support import assert_same, outputs_of

from irc.frontend.capture import capture
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.interpret import interpret

SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.fc = nn.Linear(4, width)
    def forward(self, x):
        return self.fc(x)

def build():
    return Net()

def with_inputs():
    return Net(), {"x": "f32[2, 4]"}

def wide():
    return Net(5)

def fails():
    raise RuntimeError("no such checkpoint")

def wrong():
    return 7

def needs(argument):
    return Net()

made = Net()
number = 3

class Space:
    @staticmethod
    def build():
        return Net()
"""


class Net(nn.Module):
    """The same module as in SOURCE."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "user_net.py").write_text(SOURCE)
    (tmp_path / "user_broken.py").write_text("import no_such_package_at_all\n")
    (tmp_path / "user_syntax.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


X = torch.linspace(-1, 1, 8).reshape(2, 4)


def assert_net(source: str | Path, model: nn.Module, **options: str) -> None:
    captured = capture(source, X, **options)
    assert_same(interpret(captured.module, captured.sample_inputs), outputs_of(model, X))


# -- factories


@pytest.mark.parametrize("name", ["Net", "build", "with_inputs", "made", "Space.build"])
def test_factories(folder: Path, name: str) -> None:
    captured = capture(f"user_net:{name}", None if name == "with_inputs" else [(2, 4)])
    assert captured.sample_inputs["x"].shape == (2, 4)
    assert captured.name == name.replace(".", "_")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("no_such_module:f", UsageError, "there is no Python module 'no_such_module'"),
        ("user_net:bild", UsageError, "user_net:bild: there is no 'bild'\n  hint: did you mean 'build'"),
        ("user_net:number", UsageError, "user_net:number is int, expected a function or class"),
        ("user_net:wrong", UsageError, "user_net:wrong gives int, expected a torch.nn.Module or a pair"),
        ("user_net:fails", IrcError, r"user_net:fails\(\) failed: RuntimeError: no such checkpoint"),
        ("user_net:needs", IrcError, r"user_net:needs\(\) failed: TypeError: .*argument"),
        ("user_broken:f", IrcError, "importing user_broken failed: No module named 'no_such_package_at_all'"),
        ("user_syntax:f", IrcError, "importing user_syntax failed: SyntaxError"),
        ("no_file.pt2", UsageError, "there is no file 'no_file.pt2'"),
        (".", UsageError, "'.' is a folder"),
        ("compiled.cpu", UsageError, "'compiled.cpu' is compiled already: irc run, irc verify and irc inspect take it"),
        ("/dev/null", UsageError, "'/dev/null' is no regular file"),
        ("data.npz", UsageError, "data.npz holds arrays, not a model\n  hint: calib= and data= take such files"),
    ],
)
def test_factory_errors(folder: Path, name: str, error: type[IrcError], message: str) -> None:
    (folder / "compiled.cpu").mkdir()
    (folder / "compiled.cpu/manifest.json").touch()
    (folder / "data.npz").touch()
    with pytest.raises(error, match=message) as caught:
        capture(name, X)
    assert type(caught.value) is error


# -- weights


def test_state_dicts(folder: Path) -> None:
    model = Net()
    weights = model.state_dict()
    torch.save(weights, "plain.pth")
    torch.save({"state_dict": weights, "epoch": 3}, "wrapped.pt")
    torch.save({"model": weights}, "wrapped2.pt")
    save_file(weights, "plain.safetensors")
    for name in ("plain.pth", "wrapped.pt", "wrapped2.pt", "plain.safetensors"):
        assert_net(name, model, arch="user_net:build")
        assert capture(name, arch="user_net:with_inputs").random_samples
        with pytest.raises(UsageError, match=r"the file holds weights only.*\n.*arch=package.module:factory") as caught:
            capture(Path(name), X)
        assert caught.value.exit_code == 2


def test_weights_of_another_model(folder: Path) -> None:
    save_file({"fc.weight": torch.ones(3, 4), "extra": torch.ones(1)}, "w.safetensors")
    with pytest.raises(IrcError) as caught:
        capture("w.safetensors", X, arch="user_net:wide")
    text = str(caught.value)
    assert "w.safetensors: the weights do not fit user_net:wide" in text
    assert "note: missing: fc.bias" in text
    assert "note: not in the model: extra" in text
    assert "note: of another shape: fc.weight is [3, 4] instead of [5, 4]" in text


def test_file_of_something_else(folder: Path) -> None:
    torch.save([1, 2], "list.pt")
    with pytest.raises(IrcError, match="the file holds list, expected a module or a state dict"):
        capture("list.pt", X)


def test_options_that_do_not_fit(folder: Path) -> None:
    torch.export.save(torch.export.export(Net().eval(), (X,)), "net.pt2")
    with pytest.raises(UsageError, match=r"net.pt2 is a whole program; arch= goes with a file of weights"):
        capture("net.pt2", arch="user_net:build")
    with pytest.raises(UsageError, match="arch= goes with a file of weights, not with the factory"):
        capture("user_net:build", X, arch="user_net:build")


def test_pickled_module_whose_code_is_gone(folder: Path) -> None:
    torch.save({"object": slice(1)}, "odd.pt")
    with pytest.raises(IrcError, match="the file holds dict, expected a module or a state dict"):
        capture("odd.pt", X, trust_pickle=True)
    data = Path("odd.pt").read_bytes().replace(b"slice", b"slize")
    Path("odd.pt").write_bytes(data)
    with pytest.raises(IrcError, match=r"(unpickling failed|damaged or truncated)"):
        capture("odd.pt", X, trust_pickle=True)


# -- programs


def test_program_under_any_suffix(folder: Path) -> None:
    model = Net().eval()
    torch.export.save(torch.export.export(model, (X,)), "net.pt2")
    Path("net.pt2").rename("net.pt")
    assert_net("net.pt", model)


@pytest.fixture
def saved(folder: Path) -> Path:
    path = folder / "net.pt2"
    torch.export.save(torch.export.export(Net().eval(), (X,)), path)
    return path


def test_every_truncation_is_told(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in (0, 3, 10, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(IrcError, match=r"net.pt2: the file (is empty|is no model file|is damaged or truncated)"):
            capture(saved)


def test_flipped_bytes(saved: Path) -> None:
    """A damaged record is told by its checksum."""
    whole = bytearray(saved.read_bytes())
    place = whole.index(b'"graph_module"')
    whole[place + 3] ^= 1
    saved.write_bytes(whole)
    with pytest.raises(IrcError, match=r"the file is damaged or truncated \(record 'models/model.json': Bad CRC"):
        capture(saved)


@pytest.mark.parametrize("content", [b"hello, I am text\n", b"\x7fELF\x02\x01\x01" + bytes(50), b"{}"])
def test_files_of_another_kind(folder: Path, content: bytes) -> None:
    Path("x.pt2").write_bytes(content)
    with pytest.raises(IrcError, match=r"x.pt2: the file is no model file") as caught:
        capture("x.pt2")
    assert "torch.export.save" in str(caught.value)


def test_unreadable_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match=r"cannot read '.*net.pt2': Permission denied"):
        capture(saved)


def test_damaged_torchscript(folder: Path) -> None:
    with zipfile.ZipFile("s.pt", "w") as archive:
        archive.writestr("s/constants.pkl", b"nonsense")
    with pytest.raises(IrcError, match=r"s.pt: the file is damaged or truncated"):
        capture("s.pt", X, trust_pickle=True)


def test_damaged_safetensors(folder: Path) -> None:
    save_file({"fc.weight": torch.ones(3, 4)}, "w.safetensors")
    data = Path("w.safetensors").read_bytes()
    Path("w.safetensors").write_bytes(data[:-8])
    with pytest.raises(IrcError, match=r"w.safetensors: not a readable safetensors file"):
        capture("w.safetensors", X, arch="user_net:build")


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        records = {i.filename.partition("/")[2]: archive.read(i) for i in archive.infolist()}
    change(records)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            archive.writestr(f"net/{name}", data)


def _no_model(records: dict[str, bytes]) -> None:
    del records["models/model.json"]


def _two_models(records: dict[str, bytes]) -> None:
    records["models/other.json"] = records["models/model.json"]


def _not_json(records: dict[str, bytes]) -> None:
    records["models/model.json"] = b"{"


def _deep_json(records: dict[str, bytes]) -> None:
    records["models/model.json"] = b"[" * 100_000


def _no_graph(records: dict[str, bytes]) -> None:
    records["models/model.json"] = b'{"graph_module": {}}'


def _no_weight(records: dict[str, bytes]) -> None:
    del records["data/weights/weight_0"]


def _no_config(records: dict[str, bytes]) -> None:
    del records["data/weights/model_weights_config.json"]


def _bad_config(records: dict[str, bytes]) -> None:
    records["data/weights/model_weights_config.json"] = b'{"config": {"fc.weight": {}}}'


def _endless_schema(records: dict[str, bytes]) -> None:
    program = json.loads(records["models/model.json"])
    records["models/model.json"] = json.dumps({**program, "schema_version": {"major": 1e999, "minor": 1}}).encode()


def _short_pickle(records: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(records["data/sample_inputs/model.pt"])) as archive:
        inner = {i.filename: archive.read(i) for i in archive.infolist()}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in inner.items():
            archive.writestr(name, b"\x80\x02." if name.endswith("data.pkl") else data)
    records["data/sample_inputs/model.pt"] = written.getvalue()


def _bad_samples(records: dict[str, bytes]) -> None:
    records["data/sample_inputs/model.pt"] = b"nonsense"


def _odd_samples(records: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    torch.save({"x": torch.ones(2)}, buffer)
    records["data/sample_inputs/model.pt"] = buffer.getvalue()


def _compiled(records: dict[str, bytes]) -> None:
    del records["models/model.json"]
    records["data/aotinductor/model/code.so"] = b"x"


def _unknown_value(records: dict[str, bytes]) -> None:
    data = json.loads(records["models/model.json"])
    data["graph_module"]["graph"]["outputs"][0]["as_tensor"]["name"] = "nowhere"
    records["models/model.json"] = json.dumps(data).encode()


def _future_schema(records: dict[str, bytes]) -> None:
    data = json.loads(records["models/model.json"])
    data["schema_version"]["major"] = 99
    records["models/model.json"] = json.dumps(data).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_no_model, "expected one program, the archive has 0"),
        (_two_models, "expected one program, the archive has 2"),
        (_not_json, "record 'models/model.json' is not JSON"),
        (_deep_json, "record 'models/model.json' is not JSON"),
        (_no_graph, r"damaged or truncated \(the program: KeyError"),
        (_no_weight, "the record of tensor '.*' is missing"),
        (_no_config, "the archive has no 'data/weights/model_weights_config.json'"),
        (_bad_config, r"damaged or truncated \('data/weights/model_weights_config.json': KeyError"),
        (_bad_samples, "net.pt2: sample inputs: the file is damaged or truncated"),
        (_short_pickle, "net.pt2: sample inputs: the file is damaged or truncated"),
        (_endless_schema, r"damaged or truncated \(the program: OverflowError"),
        (_odd_samples, r"sample inputs are not \(args, kwargs\)"),
        (_compiled, "the archive has 0; it is a compiled AOTInductor package"),
        (_unknown_value, "damaged or truncated"),
        (_future_schema, "Serialized schema version .* does not match"),
    ],
)
def test_damaged_programs(saved: Path, change: Callable[[dict[str, bytes]], None], message: str) -> None:
    rewritten(saved, change)
    with pytest.raises(IrcError, match=message) as caught:
        capture(saved)
    assert caught.value.exit_code == 1


def test_records_that_are_not_as_listed(saved: Path) -> None:
    """The name in front of a record is no text; the list has a checksum and a stored size of 0."""
    whole = saved.read_bytes()
    with zipfile.ZipFile(saved) as archive:
        info = archive.getinfo("net/data/weights/weight_0")
    listed = whole.rindex(b"PK\x01\x02", 0, whole.rindex(info.filename.encode()))
    for at, bad, said in (
        (info.header_offset + 30, b"\x80", "'utf-8' codec can't decode"),
        (listed + 16, bytes(8), "has 0 bytes, not those that the archive lists"),
    ):
        saved.write_bytes(whole[:at] + bad + whole[at + len(bad) :])
        with pytest.raises(IrcError, match=rf"damaged or truncated \(record 'data/weights/weight_0'.*{said}"):
            capture(saved)


def test_archive_without_records(saved: Path) -> None:
    with zipfile.ZipFile(saved, "w") as archive:
        archive.mkdir("net")
    with pytest.raises(IrcError, match=r"net.pt2: the file is damaged or truncated \(no records\)"):
        capture(saved)


def test_program_without_sample_inputs(saved: Path) -> None:
    rewritten(saved, lambda records: records.update({"data/sample_inputs/model.pt": b""}))
    assert capture(saved).sample_inputs == {}


def test_custom_ops_are_told_before_anything_runs(saved: Path) -> None:
    def custom(records: dict[str, bytes]) -> None:
        records["models/model.json"] = records["models/model.json"].replace(
            b"torch.ops.aten.linear.default", b"torch.ops.mylib.magic.default"
        )

    rewritten(saved, custom)
    with pytest.raises(IrcError, match=r'"fc" \(Linear\) test_load.py:\d+: mylib.magic.default is not supported'):
        capture(saved)


def test_program_from_another_device(saved: Path) -> None:
    def cuda(records: dict[str, bytes]) -> None:
        for name in ("models/model.json", "data/weights/model_weights_config.json"):
            records[name] = records[name].replace(b'"type": "cpu", "index": null', b'"type": "cuda", "index": 0')
            assert b"cuda" in records[name]

    expected = capture(saved)
    rewritten(saved, cuda)
    assert str(capture(saved).module) == str(expected.module)
