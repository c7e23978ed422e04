"""Linear layers that unpack their weights from words, as GPTQ and AWQ checkpoints have them, have plain weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from irc import capture
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.ops.linear import Linear
from irc.ir.ops.structure import Const

INPUTS, OUTPUTS, GROUP = 32, 16, 8
NIBBLES = torch.arange(0, 32, 4, dtype=torch.int32)
INTERLEAVED = [0, 2, 4, 6, 1, 3, 5, 7]  # which output each nibble of an AWQ word belongs to


def words(codes: Tensor) -> Tensor:
    """Eight codes of 4 bits along the last axis in a word, the first in its lowest bits."""
    return torch.sum(codes.reshape(*codes.shape[:-1], -1, 8).int() << NIBBLES, -1, dtype=torch.int32)


class Packed(nn.Module):
    """What both formats share: codes 0 .. 15, by group of inputs and by output a zero and a scale."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.codes = torch.randint(0, 16, (INPUTS, OUTPUTS), generator=g)
        self.zeros = torch.randint(0, 15, (INPUTS // GROUP, OUTPUTS), generator=g)
        self.register_buffer("scales", 0.01 + 0.1 * torch.rand(INPUTS // GROUP, OUTPUTS, generator=g))

    def weight(self, offset: int) -> Tensor:
        group = torch.arange(INPUTS) // GROUP
        return ((self.codes - self.zeros[group] - offset) * self.scales[group]).T


class Gptq(Packed):
    """Words along the inputs; zeros are stored less 1."""

    offset = 1

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("qweight", words(self.codes.T).T.contiguous())
        self.register_buffer("qzeros", words(self.zeros))
        self.register_buffer("g_idx", torch.arange(INPUTS) // GROUP)
        self.register_buffer("wf", NIBBLES[None])

    def forward(self, x: Tensor) -> Tensor:
        zeros = torch.bitwise_right_shift(self.qzeros[:, :, None].expand(-1, -1, 8), self.wf[None]).to(torch.int16)
        zeros = (torch.bitwise_and(zeros, 15) + 1).reshape(self.scales.shape)
        weight = torch.bitwise_right_shift(self.qweight[:, None].expand(-1, 8, -1), self.wf[..., None]).to(torch.int16)
        weight = torch.bitwise_and(weight, 15).reshape(-1, OUTPUTS)
        return x @ (self.scales[self.g_idx] * (weight - zeros[self.g_idx]))


class Awq(Packed):
    """Words along the outputs, in the order of an instruction."""

    offset = 0

    def __init__(self) -> None:
        super().__init__()
        for name, codes in (("qweight", self.codes), ("qzeros", self.zeros)):
            self.register_buffer(name, words(codes.reshape(len(codes), -1, 8)[..., INTERLEAVED].flatten(1)))

    def unpacked(self, packed: Tensor) -> Tensor:
        found = (packed[..., None] >> NIBBLES) & 0xF
        return found[..., np.argsort(INTERLEAVED).tolist()].flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        codes, zeros = self.unpacked(self.qweight), self.unpacked(self.qzeros)
        return x @ ((codes - zeros.repeat_interleave(GROUP, 0)) * self.scales.repeat_interleave(GROUP, 0))


def only_linear(module: Module) -> Linear:
    (found,) = [node for node in module.walk() if isinstance(node, Linear)]
    return found


@pytest.mark.parametrize("form", [Gptq, Awq])
def test_packed_weights_become_those_of_a_linear(form: type[Gptq] | type[Awq]) -> None:
    model, x = form(), torch.randn(3, INPUTS, generator=torch.Generator().manual_seed(1))
    captured = capture(model, (x,))
    clean = captured.apply("clean")
    assert [node.opname for node in clean.walk()] == ["const", "linear", "return"]
    weight = only_linear(clean).w.node
    assert isinstance(weight, Const)
    np.testing.assert_array_equal(weight.value.array, model.weight(form.offset).numpy())
    quantized = captured.apply("quant8", calib={"x": x.numpy()})
    assert str(only_linear(quantized).w.type.scalar) == "i8"
    (out,) = interpret(quantized, [x.numpy()])
    np.testing.assert_allclose(out, model(x).numpy(), atol=0.05)
