"""What tests of the HLS backend share."""

from __future__ import annotations

from functools import partial

import pytest

from irc.backends.fpga_hls import simulation
from irc.backends.fpga_hls.toolchain import FLAGS, compile_simulation


@pytest.fixture
def unoptimized(monkeypatch: pytest.MonkeyPatch) -> None:
    """C simulations without optimization: the bits are the same, and a few images take less time than the optimizer."""
    flags = ["-O0" if flag == "-O2" else flag for flag in FLAGS]
    monkeypatch.setattr(simulation, "compile_simulation", partial(compile_simulation, flags=flags))
