"""Random models of NNSmith: PyTorch, the interpreter and the backend `cpu` agree, or a message says why not."""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("nnsmith", reason="NNSmith is not installed: pip install -e '.[suites]'")
pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():  # of a program that draws graphs, which is not needed
    warnings.simplefilter("ignore")
    from nnsmith_graphs import Count, count_of


def good(count: Count, least: float) -> None:
    assert count.wrong == {}
    total = len(count.passed) + len(count.refused)
    assert len(count.passed) >= least * total
    assert all(count.refused.values())


@pytest.mark.slow
@pytest.mark.parametrize("share", range(10))
def test_500_graphs(share: int, capsys: pytest.CaptureFixture[str]) -> None:
    count = count_of(range(50 * share, 50 * share + 50), 5 + share % 8)
    with capsys.disabled():
        print(
            f"\nNNSmith, share {share}: {len(count.passed)} agree, {len(count.refused)} are refused at capture and "
            f"{len(count.cpu_refused)} by the backend cpu"
        )
    good(count, 0.8)
