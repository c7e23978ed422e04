"""Bad input through the command line: one clear message, the right exit code, no traceback, nothing written."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_model import two_layers

from irc.ir.files import write_module

ROOT = Path(__file__).parents[2]
SAVED = ROOT / "examples" / "digits_cnn.pt2"
BROKEN = Path(__file__).parent / "broken_things.py"

MODELS = '''
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return torch.special.i0(self.fc(x))


class Unsupported(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return torch.linalg.det(x.reshape(1, 2, 2))


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Strange(nn.Module):
    """The name of its layer tries to end strings, comments and lines."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.name = 'a"b\\n#error */ \\\\ "); system("true"); //<script>'
        self.add_module(self.name, nn.Linear(4, 3))

    def forward(self, x):
        return self.get_submodule(self.name)(x)


def nan():
    model = nn.Sequential(nn.Linear(4, 4))
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    return model, (torch.zeros(1, 4),)


def unsupported():
    return Unsupported(), (torch.zeros(1, 4),)


def branch():
    return Branch(), (torch.zeros(1, 4),)


def strange():
    return Strange(), (torch.zeros(1, 4),)


def plain():
    return nn.Linear(4, 3)


def fails():
    raise RuntimeError("no checkpoint")
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `irc_bad_models.py` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "irc_bad_models.py").write_text(MODELS)
    sys.modules.pop("irc_bad_models", None)
    return tmp_path


@pytest.fixture
def refused(irc, folder: Path) -> Callable[..., str]:
    """Runs `irc`, checks the exit code and that no file came or went; gives what it said."""

    def run(code: int, *arguments: Any) -> str:
        before = files(folder)
        result = irc(*arguments, code=code)
        assert files(folder) == before
        assert result.stdout == ""
        return result.stderr

    return run


def files(folder: Path) -> dict[str, bytes]:
    """All files but caches of Python, with their content."""
    found = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


# -- model files


class Payload:
    """Creates the file `ran` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


def torch_saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def repacked(changes: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A copy of a saved program with other or further records."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(SAVED) as source, zipfile.ZipFile(buffer, "w", compression) as target:
        root = source.namelist()[0].partition("/")[0]
        records = {name: source.read(name) for name in source.namelist()}
        records |= {f"{root}/{name}": content for name, content in changes.items()}
        for name, content in records.items():
            target.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "code", "message", "remedy"),
    [
        (lambda: b"", 1, "bad.pt2: the file is empty", "torch.export.save"),
        (lambda: b"not a model\n" * 9, 1, "bad.pt2: the file is no model file", "torch.export.save"),
        (lambda: b"\xff\xfe\x00", 1, "bad.pt2: the file is no model file", "torch.export.save"),
        (lambda: SAVED.read_bytes()[:2000], 1, "bad.pt2: the file is damaged or truncated", "save the model again"),
        (lambda: repacked({"models/model.json": b"{"}), 1, "record 'models/model.json' is not JSON", "save the model"),
        (lambda: repacked({"models/model.json": b"[" * 10**5}), 1, "is not JSON", "save the model again"),
        (lambda: repacked({"data/sample_inputs/model.pt": torch_saved(Payload())}), 6, "it holds pickled objects", ""),
        (lambda: repacked({"data/weights/weights.pt": torch_saved({})}), 6, "weights are pickled", "plain tensors"),
        (
            lambda: repacked({"../../evil": b"x"}),
            6,
            "is outside the folder of the archive",
            "torch does not write such",
        ),
        (lambda: repacked({"bomb": bytes(10**7)}, zipfile.ZIP_DEFLATED), 6, "is compressed or encrypted", ""),
        (lambda: torch_saved(Payload()), 6, "it holds pickled objects, not only tensors", "--trust-pickle"),
        (lambda: torch_saved(torch.nn.Linear(2, 2)), 6, "it holds pickled objects", "torch.export.save"),
        (lambda: pickle.dumps(Payload()), 6, "it is a pickle (the format of torch before 1.6)", "--trust-pickle"),
        (lambda: torch_saved([1, 2]), 1, "the file holds list, expected a module or a state dict", ""),
        (lambda: torch_saved(torch.nn.Linear(2, 2).state_dict()), 2, "the file holds weights only", "--arch"),
        (lambda: b"\x08\0\0\0\0\0\0\0{broken}", 1, "not a readable safetensors file", ""),
        (lambda: b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", 1, "not a readable safetensors file", ""),
    ],
)
def test_model_files(refused, folder: Path, content: Callable[[], bytes], code: int, message: str, remedy: str) -> None:
    (folder / "bad.pt2").write_bytes(content())
    error = refused(code, "compile", "bad.pt2", "-o", "art")
    assert message in error
    assert remedy in error
    assert not (folder / "ran").exists()


def test_folders_links_and_missing_files(refused, folder: Path) -> None:
    (folder / "folder.pt2").mkdir()
    assert "'folder.pt2' is a folder" in refused(2, "compile", "folder.pt2")
    (folder / "loop.pt2").symlink_to("loop.pt2")
    assert "loop.pt2" in refused(2, "compile", "loop.pt2")
    (folder / "dangling.pt2").symlink_to("nowhere")
    assert "there is no file 'dangling.pt2'" in refused(2, "compile", "dangling.pt2")
    assert "there is no file 'model.pt3'" in refused(2, "compile", "model.pt3")
    assert "file name too long" in refused(2, "compile", "x" * 300)


def test_weights_for_a_factory(refused, folder: Path) -> None:
    save_file({"weight": torch.ones(3, 5), "bias": torch.ones(3)}, "w.safetensors")
    error = refused(1, "compile", "w.safetensors", "--arch", "irc_bad_models:plain", "--input", "input=f32[1,4]")
    assert "the weights do not fit irc_bad_models:plain" in error
    assert "weight is [3, 5] instead of [3, 4]" in error
    assert "did you mean 'plain'" in refused(2, "compile", "w.safetensors", "--arch", "irc_bad_models:plian")
    assert "no Python module 'nowhere'" in refused(2, "compile", "w.safetensors", "--arch", "nowhere:plain")
    assert "fails() failed: RuntimeError: no checkpoint" in refused(1, "compile", "irc_bad_models:fails")
    assert "example inputs are needed" in refused(2, "compile", "irc_bad_models:plain")
    for text in ("input=f32[", "input=x", "input=f32[4.5]", "input=f32[-1, 4]", "input=f32[0x10]"):
        assert "error: " in refused(2, "compile", "irc_bad_models:plain", "--input", text)


# -- models


def test_all_unsupported_ops_at_once(refused) -> None:
    error = refused(1, "compile", "irc_bad_models:unsupported", "-o", "art")
    line = 1 + MODELS.split("\n").index("        return torch.special.i0(self.fc(x))")
    assert f'error: "blocks.0" (Block) irc_bad_models.py:{line}: aten.i0.default is not supported' in error
    assert f'and 1 more: "blocks.1" (Block) irc_bad_models.py:{line}' in error
    assert "(Unsupported) irc_bad_models.py:" in error
    assert "det.default is not supported" in error


def test_control_flow_that_depends_on_data(refused) -> None:
    error = refused(1, "compile", "irc_bad_models:branch", "-o", "art")
    line = 1 + MODELS.split("\n").index("        return x if x.sum() > 0 else -x")
    assert error.startswith(f"error: irc_bad_models.py:{line}: branch: the control flow of forward depends on the data")
    assert "torch.where" in error


def test_weights_that_are_not_numbers(refused) -> None:
    error = refused(1, "compile", "irc_bad_models:nan", "-o", "art")
    assert "0.weight" in error
    assert "NaN" in error


@pytest.mark.tool("g++")
def test_names_with_quotes_and_newlines(irc, folder: Path) -> None:
    """They are data everywhere: in the text, the page, the C++ and its comments."""
    np.savez("x.npz", x=np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4))
    irc("compile", "irc_bad_models:strange", "--passes", "quant8,fuse", "--backend", "hls", "--calib", "x.npz")
    assert "bit-equal" in irc("verify", "strange.hls").stdout
    assert "#error" not in [line[:6] for line in irc("inspect", "strange.hls").stdout.splitlines()]
    assert "<script>" not in (folder / "strange.hls/report.html").read_text()
    for path in (folder / "strange.hls/src").rglob("*.[ch]*"):
        assert "\n#error" not in path.read_text()
        assert path.name.isascii()
    assert 'at "a\\"b\\n#error' in irc("inspect", "strange.hls", "--text").stdout


# -- options, data


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        (["--passes", "quant8,fuze"], "unknown pass 'fuze'", "did you mean 'fuse'?"),
        (["--passes", "quantize{weights=four}"], "option 'weights' is 'four', expected int", "--passes:1:1"),
        (["--passes", "quantize{wieghts=4}"], "quantize has no option 'wieghts'", "did you mean 'weights'?"),
        (["--passes", "quantize{weights=4"], "'}' is missing", "--passes:1:19"),
        (["--backend", "hsl"], "unknown backend 'hsl'", "did you mean 'hls'?"),
        (["--backend", "hls{clock=fast}"], "hls: option 'clock' is 'fast', expected number", ""),
        (["--part", "zcu103", "--backend", "hls"], "the backend hls has no target 'zcu103'", "did you mean 'zcu102'?"),
        (["--target", "zcu102"], "the backend reference has no target 'zcu102'", "--backend=hls has it"),
        (["--seed", "-1"], "-1 is not in the range x>=0", "--seed"),
        (["--verify", "twice"], "'twice' is not one of 'ir', 'run'", "--verify"),
        (["--stop-after", "fuse"], "the pipeline does not run 'fuse'", ""),
        (["--print-after", "fold2"], "the pipeline does not run 'fold2'", "did you mean 'fold'?"),
        (["--load", "nothing.py"], "is no Python file that can be loaded", "--load nothing.py"),
        (["--input", "x=f32[1, 8]"], "--input goes with a PyTorch model", "mlp.irc is text IR"),
        (["--dynamic", "b"], "--dynamic goes with a PyTorch model", ""),
        (["--arch", "a:b"], "--arch goes with a PyTorch model", ""),
        (["--calib", "bad.npz"], "input 'x': float32[4, 9], expected [samples, 8] of f32", "--calib=bad.npz"),
        (["--calib", "nothing.npz"], "there is no such file", "--calib=nothing.npz"),
        (["--calib", "mlp.irc"], "is neither .npz, .npy nor a folder", "data.npz, data.npy"),
        (["-o", "mlp.irc"], "mlp.irc: exists already", "--force replaces it"),
        (["-o", "mlp.irc", "--force"], "mlp.irc: is no irc artifact, so --force does not replace it", ""),
        (["-o", "mlp.irc/art"], "mlp.irc/art: cannot write: mlp.irc is not a folder", ""),
        (["-o", "y" * 300], "file name too long", ""),
        (["--dump-ir", "mlp.irc"], "cannot write to mlp.irc", ""),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_options(refused, folder: Path, arguments: list[str], message: str, remedy: str) -> None:
    write_module(two_layers("b"), folder / "mlp.irc")
    np.savez(folder / "bad.npz", x=np.zeros((4, 9), np.float32))
    error = refused(2, "compile", "mlp.irc", *arguments)
    assert message in error
    assert remedy in error


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("2147483648, 2147483648, 2147483648", "too large for made-up samples"),
        ("1, 2147483648, 2147483648", "too large for made-up samples"),
    ],
)
def test_inputs_that_are_too_large(refused, folder: Path, shape: str, message: str) -> None:
    text = f"func @main(%x: f32[{shape}]) -> f32[{shape}] {{\n  return %x\n}}\n"
    (folder / "odd.irc").write_text(text)
    assert message in refused(1, "compile", "odd.irc", "-o", "art")


def test_a_value_that_fits_no_memory(refused, folder: Path) -> None:
    lines = ["  %c = const 1.0 : f32[]", "  %y = expand %c : f32[1, 1000000000000]", "  return %y"]
    text = "\n".join(["func @main(%x: f32[1, 4]) -> f32[1, 1000000000000] {", *lines, "}\n"])
    (folder / "huge.irc").write_text(text)
    assert "expand failed on (float32[])" in refused(1, "compile", "huge.irc", "--passes", "", "-o", "art")


def test_long_lines_are_cut(refused, folder: Path) -> None:
    (folder / "deep.irc").write_text("func @main(%x: f32[" + "min(1, " * 10_000 + "]) -> f32[1] { return %x }")
    error = refused(1, "opt", "deep.irc")
    assert "nested deeper than" in error
    assert max(map(len, error.splitlines())) < 200
    caret = error.splitlines()[2].index("^")
    assert error.splitlines()[1][caret : caret + 3] == "1, "


def test_text_from_stdin_that_is_none(irc) -> None:
    found = subprocess.run([*IRC, "opt", "-"], input=b"\xff\xfe\0", capture_output=True, env=ENVIRONMENT)
    assert found.returncode == 2
    assert found.stderr == b"error: <stdin>: it is not a text file\n"


# -- outputs

IRC = [sys.executable, "-m", "irc"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def graph(folder: Path) -> Path:
    write_module(two_layers("b"), folder / "mlp.irc")
    return folder / "mlp.irc"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
def test_a_full_disk(irc, graph: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "/dev/full: cannot write: no space left on device" in irc("opt", graph, "-o", "/dev/full", code=2).stderr
    assert Path("/dev/full").is_char_device()
    for arguments in (["opt", graph], ["ops", "--json"], ["opt", "nothing.irc", "--json"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([*IRC, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr

    def full_disk(path: Path, value: Any) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("irc.backends.contents.write_json", full_disk)
    before = files(folder)
    assert "report.json: no space left on device" in irc("compile", graph, "-o", "art", code=2).stderr
    assert files(folder) == before
    assert not list(folder.glob(".*"))


def test_devices_are_written_to(irc, graph: Path) -> None:
    assert irc("opt", graph, "-o", "/dev/null").stdout == ""
    assert Path("/dev/null").is_char_device()


def test_links_are_followed(irc, graph: Path, folder: Path) -> None:
    (folder / "real").mkdir()
    irc("compile", graph, "-o", "real/art")
    (folder / "link").symlink_to("real/art")
    irc("compile", graph, "--passes", "", "-o", "link", "--force")
    assert (folder / "link").is_symlink()
    assert '"pipeline": ""' in (folder / "real/art/manifest.json").read_text()
    (folder / "text.irc").symlink_to("real/text.irc")
    irc("opt", graph, "-o", "text.irc")
    assert (folder / "text.irc").is_symlink()
    assert (folder / "real/text.irc").read_text() == graph.read_text()
    assert not [p for p in folder.rglob("*") if p.name.endswith((".old", ".partial"))]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(refused, graph: Path, folder: Path) -> None:
    (folder / "locked").mkdir(mode=0o500)
    assert "locked/art: cannot write: permission denied" in refused(2, "compile", "mlp.irc", "-o", "locked/art")


def test_two_at_once(graph: Path, folder: Path) -> None:
    """One wins, whole; the other says so. With --force both end well."""
    words = [*IRC, "compile", "mlp.irc", "--quiet", "-o", "art"]
    for force, codes in ((), [0, 2]), (("--force",), [0, 0]):
        running = [
            subprocess.Popen([*words, *force], cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        errors = [process.communicate()[1] for process in running]
        assert sorted(process.returncode for process in running) == codes, errors
        assert subprocess.run([*IRC, "verify", "art", "--quiet"], cwd=folder, env=ENVIRONMENT).returncode == 0
        assert not list(folder.glob(".*"))


@pytest.mark.parametrize(("sent", "code", "said"), [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "")])
def test_ended_from_outside(graph: Path, folder: Path, sent: signal.Signals, code: int, said: str) -> None:
    """Ctrl-C or a polite kill in the middle of a pass, of the process itself."""
    (folder / "slow.py").write_text(
        "import time\nfrom dataclasses import dataclass\nfrom pathlib import Path\nfrom irc import Pass\n"
        "@dataclass(frozen=True)\nclass Slow(Pass):\n    name = 'slow'\n"
        "    def run(self, module, cx):\n        Path('started').touch()\n        time.sleep(600)\n"
    )
    words = [*IRC, "compile", "mlp.irc", "--load", "slow.py", "--passes", "slow", "-o", "art"]
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background ignores Ctrl-C, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (folder / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(sent)
    _, error = process.communicate()
    assert process.returncode == code
    assert error == said
    assert sorted(files(folder)) == ["irc_bad_models.py", "mlp.irc", "slow.py", "started", "weights.safetensors"]
