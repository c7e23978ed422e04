"""What all tests share: collection of `.irc` file tests, `--bless`, the profile of property tests, and fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest
from filetests.collector import IrcFile
from hypothesis import HealthCheck, settings

from irc.backends.cpu_simd.isa import ISAS
from irc.backends.fpga_hls import simulation, toolchain
from irc.backends.fpga_hls.engine import watch
from irc.tables import BACKENDS, LOWERINGS, OPS, PASSES, PRESETS

# The same examples on every run and machine; time limits of single examples would make slow machines fail.
settings.register_profile(
    "irc", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("irc")


@pytest.fixture
def unoptimized(monkeypatch: pytest.MonkeyPatch) -> None:
    """C simulations without optimization: the bits are the same, and a few images take less time than the optimizer."""
    flags = tuple("-O0" if flag == "-O2" else flag for flag in toolchain.FLAGS)
    assert flags != toolchain.FLAGS
    for module in (simulation, watch):
        monkeypatch.setattr(module, "FLAGS", flags)


@pytest.fixture
def fresh_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test loads is forgotten behind it."""
    for table in (BACKENDS, LOWERINGS, OPS, PASSES, PRESETS):
        monkeypatch.setattr(table, "_rows", dict(table._rows))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="rewrite the generated expectations of file tests")
    parser.addoption(
        "--target", choices=list(ISAS), help="run the graphs of tests/cpu_simd as code for this target, on its machine"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> IrcFile | None:
    return IrcFile.from_parent(parent, path=file_path) if file_path.suffix == ".irc" else None
