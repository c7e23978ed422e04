"""The backend test suite of the ONNX project (`onnx.backend.test`) on the interpreter.

Each test passes, or is in the list of those that do not, with its reason; one that is in the list and passes is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx
import pytest
from onnx_suite import Count, excluded, stored, suite

LISTED_FOR = "1.23"  # the version of onnx whose tests the list is about


def counted(tests: Mapping[str, Callable[[], object]]) -> Count:
    """Run the tests, and assert that those fail that are expected to."""
    count = Count()
    for name, test in tests.items():
        count.run(name, test)
    assert count.crashed == {}
    known = excluded()
    assert {**count.refused, **count.wrong} == {
        name: why for name, why in {**count.refused, **count.wrong}.items() if name in known
    }
    assert [name for name in count.passed if name in known] == []
    return count


needs_these_tests = pytest.mark.skipif(
    not onnx.__version__.startswith(LISTED_FOR), reason=f"the list is about the tests of onnx {LISTED_FOR}"
)


@needs_these_tests
@pytest.mark.filterwarnings("ignore")
def test_models_that_are_files():
    count = counted(stored())
    assert len(count.passed) >= 124


@needs_these_tests
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_everything(capsys: pytest.CaptureFixture[str]):
    tests = suite()
    count = counted(tests)
    assert set(excluded()) == count.failed
    with capsys.disabled():
        print(
            f"\nonnx backend tests: {len(count.passed)} of {len(tests)} pass, {len(count.refused)} are refused with a "
            f"message, {len(count.wrong)} differ, for the reasons of onnx_suite_excluded.txt"
        )
