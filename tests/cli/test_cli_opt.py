"""`irc opt` and everything that watches a pipeline."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from irc.ir.files import read_module
from irc.ir.parser import parse

BROKEN = Path(__file__).parent / "broken_things.py"
EXAMPLE = Path(__file__).parents[2] / "examples" / "my_pass.py"

TEXT = """func @main(%x: f32[2, 4]) -> f32[2, 4] {
  %y = relu %x : f32[2, 4]
  %z = relu %y : f32[2, 4]
  %unused = relu %z : f32[2, 4]
  return %y
}
"""


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "graph.irc"
    path.write_text(TEXT)
    return path


def test_prints_what_it_reads(irc, text):
    assert irc("opt", text).stdout == TEXT


def test_stdin_to_stdout(irc):
    assert irc("opt", "-", "--passes", "dce", stdin=TEXT).stdout.count("relu") == 1


def test_output_file_has_its_weights_beside_it(irc, model, tmp_path):
    irc("opt", model, "--passes", "clean", "-o", "out/copy.irc")
    copy = read_module(tmp_path / "out/copy.irc")
    assert all(n.value.loaded for n in copy.walk() if n.opname == "const")


def test_weights_of_two_files_share_one_folder(irc, model, tmp_path):
    irc("opt", model, "--load", EXAMPLE, "--passes", "drop-small{below=0.5}", "-o", "small.irc")
    for name in ("small.irc", model.name):
        assert all(n.value.loaded for n in read_module(tmp_path / name).walk() if n.opname == "const")


def test_missing_weights_are_named(irc, model, tmp_path):
    (tmp_path / "weights.safetensors").rename(tmp_path / "elsewhere.safetensors")
    assert irc("opt", model).stdout == model.read_text()
    error = irc("opt", model, "--passes", "quant8", "--calib", "x.npz", code=2).stderr
    assert "there is no such file" in error
    error = irc("opt", model, "--load", EXAMPLE, "--passes", "drop-small", code=1).stderr
    assert "are not loaded" in error
    assert "--weights" in error
    irc("opt", model, "--load", EXAMPLE, "--passes", "drop-small", "--weights", "elsewhere.safetensors")


def test_existing_output_needs_force(irc, text):
    assert "exists already" in irc("opt", text, "-o", text, code=2).stderr
    irc("opt", text, "--passes", "dce", "-o", text, "--force")
    assert text.read_text().count("relu") == 1


def test_unwritable_output(irc, text):
    assert "cannot write: graph.irc is not a folder" in irc("opt", text, "-o", text / "x.irc", code=2).stderr


def test_unknown_file(irc):
    assert "nothing.irc: no such file or directory" in irc("opt", "nothing.irc", code=2).stderr


@pytest.mark.parametrize(
    ("line", "message", "column"),
    [
        ("  %y = relu %q : f32[2, 4]", "%q", "2:13"),
        ("  %y = relu %x : f32[2, 5]", "relu gives f32[2, 4]", "2:18"),
        ("  %y = rleu %x : f32[2, 4]", "did you mean 'relu'", "2:8"),
        ("  %y = relu %x : f32[2, 4", "expected", "3:3"),
    ],
)
def test_mistakes_in_text_show_their_place(irc, line, message, column):
    error = irc("opt", "-", stdin=TEXT.replace("  %y = relu %x : f32[2, 4]", line), code=1).stderr
    assert f"<stdin>:{column}" in error
    assert message in error
    assert "^" in error


def test_binary_file_is_no_text(irc, tmp_path):
    (tmp_path / "bad.irc").write_bytes(b"\xff\xfe\x00")
    assert "it is not a text file" in irc("opt", "bad.irc", code=2).stderr


# -- pipelines


def test_unknown_pass(irc, text):
    error = irc("opt", text, "--passes", "dce,canonicalise", code=2).stderr
    assert "unknown pass 'canonicalise'" in error
    assert "did you mean 'canonicalize'?" in error
    assert "--passes:1:5" in error


def test_unknown_option_of_a_pass(irc, text):
    error = irc("opt", text, "--passes", "specialize{bach=1}", code=2).stderr
    assert "specialize has no option 'bach'" in error
    assert "did you mean 'batch'?" in error


def test_wrong_type_of_an_option(irc, text):
    error = irc("opt", text, "--passes", "specialize{batch=one}", code=2).stderr
    assert "option 'batch' is 'one', expected int|none" in error


def test_option_without_a_default(irc, text, tmp_path):
    source = EXAMPLE.read_text().replace("below: float = 0.01", "below: float")
    (tmp_path / "mine.py").write_text(source)
    error = irc("opt", text, "--load", "mine.py", "--passes", "drop-small", code=2).stderr
    assert "drop-small needs the option below" in error
    assert "needed" in irc("passes", "drop-small", "--load", "mine.py").stdout


def test_broken_pipeline_text(irc, text):
    assert "'}' is missing" in irc("opt", text, "--passes", "specialize{", code=2).stderr


def test_print_after(irc, text):
    shown = irc("opt", text, "--passes", "cse,dce", "--print-after", "dce").stderr
    assert shown.startswith("// IR behind dce\nfunc @main")
    error = irc("opt", text, "--passes", "cse,dce", "--print-after", "dec", code=2).stderr
    assert "the pipeline does not run 'dec'" in error
    assert "did you mean 'dce'?" in error


def test_print_after_all_and_changed(irc, text):
    shown = irc("opt", text, "--passes", "cse,dce,dce", "--print-after-all").stderr
    assert [line for line in shown.splitlines() if line.startswith("//")] == [
        "// IR behind cse (no change)",
        "// IR behind dce",
        "// IR behind dce (no change)",
    ]
    assert irc("opt", text, "--passes", "cse,dce,dce", "--print-changed").stderr.count("// IR behind") == 1


def test_dump_ir(irc, text, tmp_path):
    irc("opt", text, "--passes", "cse,dce", "--dump-ir", "dump")
    assert sorted(p.name for p in (tmp_path / "dump").iterdir()) == ["00-input.irc", "01-cse.irc", "02-dce.irc"]


def test_stop_after(irc, text):
    assert irc("opt", text, "--passes", "cse,dce", "--stop-after", "cse").stdout == TEXT
    assert "does not run 'fold'" in irc("opt", text, "--passes", "cse", "--stop-after", "fold", code=2).stderr


def test_time_passes(irc, text):
    assert "all passes" in irc("opt", text, "--passes", "cse,dce", "--time-passes").stderr


def test_explain(irc, model):
    shown = irc("opt", model, "--passes", "canonicalize", "--explain", "NoSuchRule").stderr
    assert shown.startswith("NoSuchRule: no near miss")
    shown = irc("opt", model, "--passes", "fold", "--explain", "FoldConstants").stderr
    assert "FoldConstants: return" in shown
    assert "return is no computation" in shown


def test_calibration_needs_samples(irc, model):
    error = irc("opt", model, "--passes", "calibrate", code=1).stderr
    assert "--calib" in error
    assert "while running the pass calibrate" in error


# -- a pass that fails


def test_crash_leaves_a_reproducer(irc, model, data, tmp_path):
    error = irc("opt", model, "--calib", data, "--load", BROKEN, "--passes", "cse,crash,dce", code=70).stderr
    assert "the pass crash failed: KeyError: 'lost' (broken_things.py:" in error
    assert "irc-reproducer/command.txt shows it again" in error
    folder = tmp_path / "irc-reproducer"
    assert "KeyError" in (folder / "error.txt").read_text()
    assert parse((folder / "before.irc").read_text()).main.inputs[0].name == "x"
    words = shlex.split((folder / "command.txt").read_text())
    again = [folder / w if (folder / w).exists() else w for w in words[1:]]
    assert "the pass crash failed" in irc(*again, "--load", BROKEN, code=70).stderr
    assert (tmp_path / "irc-reproducer-2").exists()


def test_invalid_ir_is_the_fault_of_the_pass(irc, model):
    error = irc("opt", model, "--load", BROKEN, "--passes", "break-types", code=70).stderr
    assert "relu: result is f32[1, 2, 3], expected f32[b, 16]" in error
    assert "the pass break-types left the IR like this" in error
    assert "mlp.py:20" in error


def test_verify_run_catches_a_pass_that_is_not_exact(irc, model, data):
    irc("opt", model, "--calib", data, "--load", BROKEN, "--passes", "lie")
    error = irc("opt", model, "--calib", data, "--load", BROKEN, "--passes", "lie", "--verify=run", code=3).stderr
    assert "the pass lie calls itself exact but changed output 0" in error


def test_interrupted(irc, model, tmp_path):
    assert "interrupted" in irc("opt", model, "--load", BROKEN, "--passes", "interrupt", code=130).stderr
    assert (
        "interrupted" in irc("compile", model, "--load", BROKEN, "--passes", "interrupt", "-o", "art", code=130).stderr
    )
    assert not [p for p in tmp_path.iterdir() if "art" in p.name]


# -- --load


def test_example_pass(irc, model):
    shown = irc("opt", model, "--load", EXAMPLE, "--passes", "drop-small{below=0.5}", "--print-changed").stderr
    assert "// IR behind drop-small{below=0.5}" in shown
    assert "Set weights to 0" in irc("passes", "--load", EXAMPLE).stdout


def test_presets_of_a_loaded_plugin(irc, model):
    shown = irc("opt", model, "--load", BROKEN, "--passes", "grumbling").stderr
    assert shown == "warning: the weather is bad\n"  # once, though two passes say it
    assert irc("opt", model, "--load", BROKEN, "--passes", "grumbling", "--quiet").stderr == ""


def test_strict(irc, model):
    options = ("--load", BROKEN, "--passes", "grumble")
    error = irc("opt", model, *options, "--strict", "-o", "out.irc", code=1).stderr
    assert "a warning, which --strict makes an error" in error
    assert not Path("out.irc").exists()
    irc("opt", model, *options, "-o", "out.irc")


def test_load_fails(irc, text, tmp_path):
    assert "is no Python file that can be loaded" in irc("opt", text, "--load", "nothing.py", code=2).stderr
    (tmp_path / "bad.py").write_text("x = 1\ny = x / 0\n")
    assert "line 2: ZeroDivisionError" in irc("opt", text, "--load", "bad.py", code=2).stderr
    (tmp_path / "worse.py").write_text("x = = 1\n")
    assert "line 1: SyntaxError" in irc("opt", text, "--load", "worse.py", code=2).stderr
    (tmp_path / "plain.py").write_text(
        "from irc import Pass\nclass P(Pass):\n    'Does nothing.'\n    name = 'plain'\n    below: float = 1.0\n"
    )
    error = irc("opt", text, "--load", "plain.py", code=2).stderr
    assert "the pass plain is no dataclass" in error
    assert "@dataclass(frozen=True)" in error


def test_name_clash_names_both_owners(irc, text, tmp_path):
    source = EXAMPLE.read_text()
    (tmp_path / "mine.py").write_text(source.replace("drop-small", "dce"))
    error = irc("opt", text, "--load", "mine.py", code=2).stderr
    assert "pass 'dce' of mine.py clashes with the one of irc" in error


def test_json_errors(irc, text):
    found = json.loads(irc("opt", text, "--passes", "nothing", "--json", code=2).stdout)
    assert found["exit"] == 2
    assert found["errors"][0]["message"] == "unknown pass 'nothing'"
