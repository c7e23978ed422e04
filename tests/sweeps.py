"""Sweeps over seeds: the first of each are quick, the others slow."""

from __future__ import annotations

from typing import Any

import pytest


def sweep(quick: int, total: int) -> list[Any]:
    """The seeds below `total` as parameters of a test, those from `quick` on marked slow."""
    return [*range(quick), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(quick, total))]
