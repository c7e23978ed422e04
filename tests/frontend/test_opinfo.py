"""PyTorch's own samples of its operators (OpInfo), against the interpreter.

Each sample whose ATen overloads are all in our table passes, or is refused for a reason that is listed.
"""

from __future__ import annotations

import re

import pytest
import torch

pytest.importorskip("expecttest", reason="PyTorch's samples need it: pip install -e '.[suites]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not torch.__version__.startswith("2.13"), reason="the list is about the samples of torch 2.13"),
]

from opinfo import Count, claimed_names, count_of, excluded  # noqa: E402

QUICK = ["add", "clamp", "mean", "nn.functional.conv2d", "softmax", "where"]


def good(count: Count) -> None:
    known = excluded()
    assert count.wrong == {}
    assert {n: why for n, why in count.refused.items() if not any(re.search(text, why) for text in known)} == {}


def test_some_samples() -> None:
    count = count_of(QUICK, types=(torch.float32,), most=4)
    good(count)
    assert len(count.passed) >= 20
    whole = count_of(["nn.functional.linear", "nn.functional.avg_pool2d"], types=(torch.int64,), most=2)
    good(whole)
    assert len(whole.passed) == 4


@pytest.mark.slow
def test_all_operators(capsys: pytest.CaptureFixture[str]) -> None:
    count = count_of(claimed_names(), most=4)
    with capsys.disabled():
        print(
            f"\nOpInfo: {len(count.passed)} of {count.claimed} samples of claimed overloads pass, {len(count.met)} "
            f"overloads met; {len(count.unclaimed)} samples have others"
        )
    good(count)
    assert len(count.passed) >= 0.98 * count.claimed
