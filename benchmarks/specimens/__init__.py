"""Models of the kinds that people bring, one catalogue for the tests and the benchmark `zoo`."""

from __future__ import annotations

import importlib
import importlib.util

from benchmarks.specimens.catalogue import SPECIMENS as SPECIMENS
from benchmarks.specimens.catalogue import Specimen as Specimen

OWN = ("functions", "convolutions", "tokens", "papers")
PACKAGES = {"of_transformers": "transformers", "of_timm": "timm", "of_torchvision": "torchvision"}


def load(*groups: str) -> None:
    """Fill the catalogue with these groups."""
    if not set(groups) <= set(OWN):
        importlib.import_module("benchmarks.specimens.vision_ops")
    for group in groups:
        importlib.import_module(f"benchmarks.specimens.{group}")


def missing() -> dict[str, str]:
    """The groups that cannot be loaded here, with the package that each needs."""
    return {group: name for group, name in PACKAGES.items() if importlib.util.find_spec(name) is None}
