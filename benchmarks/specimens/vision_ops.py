"""Importing torchvision beside a PyTorch that its compiled operators were not built for, as a CPU build is.

It then registers rules for operators that do not exist, and fails, and with it timm and transformers. Declaring them is
enough for models that do without them.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import torch

_NAMES = re.compile(r'register_meta\("(\w+)"\)|"torchvision::(\w+)"')


def declare() -> torch.library.Library | None:
    """Declare the operators that torchvision registers rules for, if it is there and its own do not load.

    They last as long as the library that is returned.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    try:
        torch.ops.load_library(folder / "_C.so")
        return None
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
    text = (folder / "_meta_registrations.py").read_text(encoding="utf-8")
    for name in sorted({first or second for first, second in _NAMES.findall(text)}):
        library.define(f"{name}(...) -> Tensor")
    return library


OPERATORS = declare()
