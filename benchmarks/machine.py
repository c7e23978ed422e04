"""What a figure depends on: the processor, Python, and the versions of packages."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path


def facts(*packages: str) -> dict[str, str]:
    """`{"cpu": ..., "cores": ..., "python": ..., package: version, ...}`"""
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"cpu": _cpu(), "cores": str(os.cpu_count()), "python": platform.python_version(), **versions}


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
