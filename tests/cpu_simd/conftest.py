"""`--target`: tests of the CPU backend judge what another machine gives."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cpu_running import run_elsewhere
from machines import need

from irc.backends.cpu_simd.isa import ISAS


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """With `--target`, run a test on this machine and once more on that of the target (see `run_elsewhere`)."""
    if name := pyfuncitem.config.getoption("--target"):
        need(ISAS[name])
        test = pyfuncitem.obj

        def elsewhere(**arguments: Any) -> None:
            with TemporaryDirectory() as folder:
                run_elsewhere(lambda: test(**arguments), ISAS[name], Path(folder))

        pyfuncitem.obj = elsewhere
    return (yield)
