"""An op, a pass, a preset, a backend and a lowering that are installed with pip and found by their entry point."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(__file__).parent / "package"

TEXT = """func @main(%x: f32[b, 4]) -> f32[b, 4] where b in [1, 8] {
  %y = mul %x, %x : f32[b, 4]  at "head.square" (Square) net.py:3
  %c = const [1.0, 2.0, 3.0, 4.0] : f32[4]
  %z = mul %y, %c : f32[b, 4]  at "head.scale" (Scale) net.py:4
  return %z
}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed by pip."""
    source = tmp_path_factory.mktemp("source") / "package"
    shutil.copytree(PACKAGE, source)
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    subprocess.run([*pip, "--target", str(target), str(source)], check=True, env=environment)
    return target


@pytest.fixture
def irc(site: Path, tmp_path: Path):
    """Runs `irc` in a process that sees the installed package."""
    (tmp_path / "net.irc").write_text(TEXT)

    def run(*arguments: object, code: int = 0, path: Path = site) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(path)}
        words = [sys.executable, "-m", "irc", *map(str, arguments)]
        result = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert result.returncode == code, result.stdout + result.stderr
        return result

    return run


def test_listed_with_their_owner(irc):
    listed = {p["name"]: p["from"] for p in json.loads(irc("passes", "--json").stdout)}
    assert listed["use-square"] == listed["squared"] == "irc-square"
    assert listed["dce"] == "irc"
    ops = {o["name"]: o for o in json.loads(irc("ops", "--backend", "listing", "--json").stdout)}
    assert ops["square"]["from"] == "irc-square"
    assert ops["square"]["backend"] == ops["mul"]["backend"] == "yes"
    assert ops["gelu"]["backend"] == "write it with erf"
    text = irc("targets", "listing").stdout
    assert "listing: a line of Python a node" in text
    assert "walrus" in text


def test_pass_and_op_in_text(irc):
    out = irc("opt", "net.irc", "--passes", "squared").stdout
    assert 'square %x : f32[b, 4]  at "head.square" (Square) net.py:3 via use-square' in out
    misses = irc("opt", "net.irc", "--passes", "use-square", "--explain", "MulToSquare").stderr
    assert "the factors differ" in misses


def test_compile_run_verify(irc, tmp_path):
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    options = ("--passes", "squared", "--backend", "listing{header=hello}", "--target", "py37", "--calib", "x.npz")
    irc("compile", "net.irc", *options, "-o", "art")
    listing = (tmp_path / "art/src/listing.py").read_text()
    assert listing.startswith("# hello for py37\n")
    assert "np.square(x0)" in listing
    manifest = json.loads((tmp_path / "art/manifest.json").read_text())
    assert manifest["options"] == "listing{header=hello}"
    assert manifest["pipeline"] == "canonicalize,use-square,dce"
    assert "src/listing.py" in manifest["files"]
    report = json.loads((tmp_path / "art/report.json").read_text())
    assert report["summary"]["lines"] == 6
    assert {row["layer"]: row["lines"] for row in report["layers"] if "lines" in row} == {
        "head.square": 1,
        "head.scale": 1,
    }
    assert "bit-equal" in irc("verify", "art", "--data", "x.npz").stdout
    irc("run", "art", "--data", "x.npz", "-o", "y.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["output0"], x * x * np.float32([1, 2, 3, 4]))


def test_unsupported_op_gives_the_reason(irc, tmp_path):
    (tmp_path / "net.irc").write_text(TEXT.replace("mul %y, %c : f32[b, 4]", "gelu %y : f32[b, 4]"))
    error = irc("compile", "net.irc", "--backend", "listing", code=1).stderr
    assert '"head.scale" (Scale) net.py:4: gelu: the backend listing cannot run it' in error
    assert "hint: write it with erf" in error


def test_artifact_without_its_plugin(irc, tmp_path):
    irc("compile", "net.irc", "--backend", "listing", "-o", "art")
    error = irc("run", "art", code=2, path=tmp_path).stderr
    assert "unknown backend 'listing'" in error


def test_plugin_that_cannot_be_loaded(irc, site, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(site, broken)
    (broken / "irc_square.py").write_text("import nothing_of_this_name\n")
    error = irc("passes", code=2, path=broken).stderr
    assert "irc-square: the plug-in square cannot be loaded: ModuleNotFoundError" in error
    (broken / "irc_square.py").write_text("PLUGIN = 3\n")
    assert "irc_square:PLUGIN is no irc.Plugin" in irc("passes", code=2, path=broken).stderr


def test_clash_with_a_name_of_irc(irc, site, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(site, other)
    text = (other / "irc_square.py").read_text()
    (other / "irc_square.py").write_text(text.replace('"use-square":', '"dce":'))
    assert "pass 'dce' of irc-square clashes with the one of irc" in irc("passes", code=2, path=other).stderr
