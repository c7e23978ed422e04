"""Verbs, help, start-up, listings."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import irc as package
from irc.cli import VERBS

ROOT = Path(__file__).parents[2]


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_help_lists_every_verb(irc):
    text = irc("--help").stdout
    assert all(f"  {verb} " in text for verb in VERBS)
    assert "Exit codes" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(irc, verb):
    assert irc(verb, "--help").stdout.startswith(f"Usage: main {verb}")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom irc.cli import main\nmain(['--help'], standalone_mode=False)\n"
        "print('heavy:', sorted({'numpy', 'torch', 'rich', 'safetensors'} & set(sys.modules)))"
    )
    assert "heavy: []" in python(code)


def test_ir_work_does_not_import_torch(model, tmp_path):
    words = ["opt", str(model), "--passes", "clean", "-o", str(tmp_path / "out.irc")]
    code = f"import sys\nfrom irc.cli import main\nmain({words}, standalone_mode=False)\nprint('torch' in sys.modules)"
    assert python(code).strip() == "False"


def test_import_irc_is_lazy():
    assert python("import sys, irc; print('numpy' in sys.modules)").strip() == "False"


def test_every_public_name_resolves():
    for name in dir(package):
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_version_is_the_one_of_the_package(irc):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert irc("--version").stdout.strip() == f"irc {project['version']}"


def test_unknown_verb(irc):
    assert "there is no verb 'compil'; did you mean 'compile'?" in irc("compil", code=2).stderr


def test_unknown_option_is_a_usage_error(irc):
    assert "--nonsense" in irc("opt", "x.irc", "--nonsense", code=2).stderr


def test_passes(irc):
    listed = irc("passes").stdout
    assert "canonicalize" in listed
    assert "quant8" in listed
    found = {p["name"]: p for p in json.loads(irc("passes", "--json").stdout)}
    assert found["specialize"]["effect"] == "exact"
    assert [o["name"] for o in found["specialize"]["options"]] == ["batch", "dims"]
    assert found["specialize"]["from"] == "irc"
    assert "values" in irc("passes", "specialize").stdout
    assert "canonicalize" in irc("passes", "clean").stdout
    assert "unknown pass 'cleam'" in irc("passes", "cleam", code=2).stderr


def test_ops(irc):
    assert "y = x @ w.T + b" in irc("ops").stdout
    assert "x_zp" in irc("ops", "linear").stdout
    found = json.loads(irc("ops", "--backend", "reference", "--json").stdout)
    assert {op["backend"] for op in found} == {"yes"}
    assert "did you mean 'linear'" in irc("ops", "linaer", code=2).stderr


def test_targets(irc):
    assert "reference: the interpreter" in irc("targets").stdout
    (reference,) = json.loads(irc("targets", "reference", "--json").stdout)
    assert reference["default target"] == "any"
    assert "unknown backend 'referense'" in irc("targets", "referense", code=2).stderr
