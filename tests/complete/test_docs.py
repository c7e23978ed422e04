"""The pages in `docs/` that are written from the declarations are up to date; `pytest --bless` writes them."""

from __future__ import annotations

import pytest
from messages import ROOT

from irc.cli.docs import main, pages

DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", list(pages()))
def test_reference_pages_are_up_to_date(name: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("bless"):
        main(DOCS)
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name], "python -m irc.cli.docs"
