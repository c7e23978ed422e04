"""What all tests share: collection of `.irc` file tests, `--bless`, and the profile of property tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from filetests.collector import IrcFile
from hypothesis import HealthCheck, settings

# The same examples on every run and machine; time limits of single examples would make slow machines fail.
settings.register_profile(
    "irc", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("irc")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="rewrite the generated expectations of file tests")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> IrcFile | None:
    return IrcFile.from_parent(parent, path=file_path) if file_path.suffix == ".irc" else None
