"""What every backend can rely on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from irc.backends.cpu_simd.backend import HOST
from irc.backends.reference import REFERENCE
from irc.ir.diagnostics import UsageError
from irc.ir.ops.linear import Linear
from irc.ir.ops.math import Relu
from irc.ir.parser import parse
from irc.tables import BACKENDS, LOWERINGS, OPS

TEXT = """func @main(%x: f32[4]) -> f32[4] {
  %y = relu %x : f32[4]  at "act" (ReLU) m.py:2
  return %y
}
"""


@pytest.fixture
def bare():
    return replace(REFERENCE, name="bare", lowerings={Linear: "mine"}, reasons={"relu": "clamp does the same"})


def test_unsupported_nodes_come_with_their_reason(bare):
    found = bare.unsupported(parse(TEXT).main.nodes)
    assert [d.message for d in found] == [
        "relu: the backend bare cannot run it",
        "return: the backend bare cannot run it",
    ]
    assert found[0].loc.path == "act"
    assert [d.hint for d in found] == ["clamp does the same", "there is no lowering"]


def test_lowerings_of_third_parties(bare, monkeypatch):
    monkeypatch.setattr(LOWERINGS, "_rows", {})
    assert bare.coverage(Relu) == "clamp does the same"
    LOWERINGS.add("bare/relu", "theirs", "someone")
    assert bare.lowering(Relu) == "theirs"
    assert bare.coverage(Relu) == "yes"
    LOWERINGS.add("bare/linear", "theirs", "someone")
    with pytest.raises(UsageError, match="lowering 'bare/linear' of someone clashes with the one of the backend bare"):
        bare.lowering(Linear)


def test_targets_by_name():
    assert REFERENCE.find_target("").name == "any"
    with pytest.raises(UsageError, match="has no target 'many'"):
        REFERENCE.find_target("many")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("avx2", "did you mean 'x86-64-v3' (Intel Haswell, AMD Zen and later: AVX2)?"),
        ("AVX512F", "did you mean 'avx512' ("),
        ("zen4", "did you mean 'avx512-vnni' ("),
        ("neon", "did you mean 'aarch64' (any 64-bit Arm)?"),
        ("vnni", "did you mean 'avx-vnni' ("),
        ("dotprod", "did you mean 'aarch64+dotprod' ("),
        ("x86-64-v2", "did you mean 'x86-64-v3'?"),
        ("e", "known: aarch64, "),
    ],
)
def test_targets_by_what_they_have(asked: str, meant: str):
    with pytest.raises(UsageError, match=f"the backend cpu has no target '{asked}'") as error:
        BACKENDS.get("cpu").find_target(asked)
    assert f"hint: {meant}" in str(error.value)


@pytest.mark.skipif(HOST is None, reason="irc knows nothing of this machine")
def test_this_machine_as_target():
    cpu = BACKENDS.get("cpu")
    assert cpu.find_target("native") == cpu.find_target("host") == cpu.find_target("")


def test_the_interpreter_lowers_every_op():
    assert all(REFERENCE.coverage(OPS.get(name)) == "yes" for name in OPS.names())


def test_registered_backends_go_by_their_own_name():
    for name in BACKENDS.names():
        backend = BACKENDS.get(name)
        assert backend.name == backend.options.name == name
        assert backend.target in backend.targets
        assert all(target.name == key for key, target in backend.targets.items())
