"""The backend test suite of the ONNX project (`onnx.backend.test`) on the interpreter and on the backend `cpu`.

Each test passes, or is in the list of those that do not, with its reason; one that is in the list and passes is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx
import pytest
from onnx.backend.base import Backend
from onnx_suite import Count, OnCpu, OnInterpreter, excluded, stored, suite

LISTED_FOR = "1.23"  # the version of onnx whose tests the list is about


def counted(tests: Mapping[str, Callable[[], object]], known: Mapping[str, str]) -> Count:
    """Run the tests, and assert that those fail that are expected to."""
    count = Count()
    for name, test in tests.items():
        count.run(name, test)
    assert count.crashed == {}
    assert {name: why for name, why in {**count.refused, **count.wrong}.items() if name not in known} == {}
    assert [name for name in count.passed if name in known] == []
    return count


needs_these_tests = pytest.mark.skipif(
    not onnx.__version__.startswith(LISTED_FOR), reason=f"the list is about the tests of onnx {LISTED_FOR}"
)
both = pytest.mark.parametrize("backend", [OnInterpreter, OnCpu])


@needs_these_tests
@pytest.mark.filterwarnings("ignore")
def test_models_that_are_files():
    count = counted(stored(OnInterpreter), excluded())
    assert len(count.passed) >= 124


@needs_these_tests
@pytest.mark.filterwarnings("ignore")
def test_models_that_are_files_on_the_cpu():
    every_third = dict(list(stored(OnCpu).items())[::3])
    count = counted(every_third, excluded())
    assert len(count.passed) >= 40


@needs_these_tests
@both
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_everything(backend: type[Backend], capsys: pytest.CaptureFixture[str]):
    tests, known = suite(backend), excluded()
    count = counted(tests, known)
    assert set(known) == count.failed
    with capsys.disabled():
        print(
            f"\nonnx backend tests, {backend.__name__}: {len(count.passed)} of {len(tests)} pass, "
            f"{len(count.refused)} are refused with a message, {len(count.wrong)} differ, for the reasons listed"
        )
