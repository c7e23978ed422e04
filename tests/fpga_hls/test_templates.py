"""The HLS templates against the formulas of docs/numerics.md, in plain, sanitized and ap_types builds."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from template_cases import Case, Ints, all_cases

import irc

TEMPLATES = Path(irc.__file__).parent / "backends" / "fpga_hls" / "templates"
HERE = Path(__file__).parent
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
FLAGS = {
    "plain": ["-O1"],
    "sanitized": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "ap_types": ["-O0", "-DIRC_AP_TYPES"],
}
CASES = all_cases()
"""Vendor types are slow to compile and to run: one case of each kind is enough to show their widths."""
