"""Every message of the IR to a user is expected somewhere: in an ERROR line of a file test, or in a Python test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RAISING = {"fail", "found", "IrcError", "UsageError", "Diagnostic", "Miss"}
RETURNING = re.compile(".*problem|check_mask|_check_nm")  # functions whose result is a message
MODULES = sorted((ROOT / "irc" / "ir").rglob("*.py"))


def messages(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and regular expression of each message in a module; those of an op start with its name."""
    for top in module.body:
        names = [k.value.value for k in getattr(top, "keywords", []) if k.arg == "name"]
        for node in ast.walk(top):
            if isinstance(node, ast.Call) and node.args and _called(node) in RAISING:
                prefix = f"{names[0]}: " if names and _called(node) == "fail" else ""
                yield from ((line, prefix + text) for line, text in _patterns(node.args[0]))
            elif isinstance(node, ast.FunctionDef) and RETURNING.fullmatch(node.name):
                returned = (n.value for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None)
                yield from (found for value in returned for found in _patterns(value))


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _patterns(message: ast.expr) -> Iterator[tuple[int, str]]:
    if isinstance(message, ast.IfExp):
        yield from _patterns(message.body)
        yield from _patterns(message.orelse)
        return
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    texts = [re.escape(p.value) if isinstance(p, ast.Constant) else ".*" for p in parts if _is_text(p)]
    if any(text != ".*" for text in texts) and "".join(texts):
        yield message.lineno, "".join(texts)


def _is_text(part: ast.expr) -> bool:
    return isinstance(part, ast.FormattedValue) or (isinstance(part, ast.Constant) and isinstance(part.value, str))


@cache
def expectations() -> str:
    """All text in which a message can be expected."""
    files = [*(ROOT / "tests" / "filetests").rglob("*.irc"), *(ROOT / "tests").rglob("test_*.py")]
    return "\n".join(f.read_text(encoding="utf-8") for f in files if f != Path(__file__))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_messages_are_expected_somewhere(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = [f"{path.name}:{line}: {text}" for line, text in messages(tree) if not re.search(text, expectations())]
    assert not missing, "no test expects:\n" + "\n".join(missing)
