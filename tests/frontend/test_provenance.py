"""Every node says which module and which source line of the user it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_support import assert_round_trip, check

from irc.frontend.capture import capture
from irc.frontend.provenance import recorded
from irc.ir.equal import difference

ODD = 'we"ird\n,;\\key'


class Inner(nn.Module):
    """A layer and a function."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.proj(x))


class Outer(nn.Module):
    """Nested modules, one used twice, one with an odd name."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Inner(), Inner())
        self.odd = nn.ModuleDict({ODD: nn.Linear(4, 4)})
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.blocks(x))
        return self.act(self.odd[ODD](x)) + 1


def line_of(code: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(i for i, line in enumerate(lines, start=1) if code in line)


def test_paths_classes_and_lines() -> None:
    module = check(Outer(), torch.randn(2, 4)).module
    found = [str(n.loc) for n in module.main.nodes if n.opname in ("linear", "tanh", "relu", "add")]
    here = Path(__file__).name
    inner, first, last = (line_of(code) for code in ("return torch.tanh", "x = self.act(self.bl", "return self.act("))
    odd = 'we\\"ird\\n,;\\\\key'
    assert found == [
        f'at "blocks.0.proj" (Linear) {here}:{inner}',
        f'at "blocks.0" (Inner) {here}:{inner}',
        f'at "blocks.1.proj" (Linear) {here}:{inner}',
        f'at "blocks.1" (Inner) {here}:{inner}',
        f'at "act" (ReLU) {here}:{first}',
        f'at "odd.{odd}" (Linear) {here}:{last}',
        f'at "act" (ReLU) {here}:{last}',
        f'at "" (Outer) {here}:{last}',
    ]


def test_odd_names_survive_the_text_and_a_saved_program(tmp_path: Path) -> None:
    model, x = Outer().eval(), torch.randn(2, 4)
    module = capture(model, x).module
    assert_round_trip(module)
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "outer.pt2")
    assert not difference(capture(tmp_path / "outer.pt2").module, module)


def test_ops_inside_a_region_and_its_own_frames() -> None:
    class Quiet(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return x * 2

    (node,) = [n for n in check(Quiet(), torch.ones(2)).module.main.nodes if n.opname == "mul"]
    assert "<" not in node.loc.sources[0].file


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"nn_module_stack": "L__self__,,m.Net;L__self__a.b,a.b,torch.nn.Linear"}, 'at "a.b" (Linear)'),
        ({"nn_module_stack": "L__self__,,m.Net"}, 'at "" (Net)'),
        ({"nn_module_stack": "L__self__a@1,a,torch.nn.ReLU"}, 'at "a" (ReLU)'),
        ({"nn_module_stack": "old,a.c,m.C"}, 'at "a.c" (C)'),
        ({"nn_module_stack": "garbage"}, 'at ""'),
        ({"nn_module_stack": 7, "stack_trace": 3}, 'at ""'),
        ("nothing", ""),
        (
            {"stack_trace": 'File "/home/u/net.py", line 8, in f\n  x\nFile "/x/torch/nn/a.py", line 9'},
            'at "" net.py:8',
        ),
        ({"stack_trace": 'File "/x/torch/nn/a.py", line 9'}, 'at "" a.py:9'),
        ({"stack_trace": 'File "C:\\\\u\\\\net.py", line 8'}, 'at "" net.py:8'),
        (
            {"stack_trace": 'File "/v/site-packages/hf/bert.py", line 5\nFile "/v/site-packages/torch/x.py", line 6'},
            'at "" bert.py:5',
        ),
        ({"stack_trace": 'File "<eval>", line 5'}, 'at ""'),
        ({"stack_trace": 'File "x.py", line 99999999999999'}, 'at ""'),
    ],
)
def test_recorded_metadata(metadata: object, expected: str) -> None:
    assert str(recorded(metadata)) == expected
