"""The messages that the sources can show to a user, as the constant texts in them, and the texts that tests expect."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ERRORS = {"IrcError", "UsageError", "MismatchError", "BudgetError", "ToolError", "UnsafeInputError", "InternalError"}
SPEAKING = {"Diagnostic", "Miss", "warn", *ERRORS}  # what is called with a message
COLLECTORS = {"add", "append"}  # of a list or Collector called `found`
RETURNING = re.compile(".*problem|_?misfits?|check_mask|_check_nm")  # functions whose result is a message
MARGIN = " :,;()'\"\n"
SHORTEST = 8  # characters of an expectation that says which message is meant
LONG = 18  # characters of a piece that belongs to one message only


@dataclass(frozen=True)
class Message:
    """A message in a source: where it is, and the constant texts between its values."""

    place: str
    parts: tuple[str, ...]
    op: str = ""  # whose name is in front of it

    @property
    def core(self) -> str:
        """The longest constant text, by which the message is known."""
        return max(self.parts, key=len)

    def __str__(self) -> str:
        return "...".join(self.parts)


@cache
def speakers() -> frozenset[str]:
    """Functions that make an error or diagnostic from a message, or raise one."""
    names = set(SPEAKING)
    for path in sources():
        for node in functions_in(tree_of(path)):
            if node.returns is not None:
                returned = ast.unparse(node.returns)
                if returned in {*ERRORS, "Diagnostic", "NoReturn", "Miss"}:
                    names.add(node.name)
    return frozenset(names)


@cache
def sources() -> tuple[Path, ...]:
    return tuple(sorted((ROOT / "irc").rglob("*.py")))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions_in(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """All functions below a module or statement, itself included; expressions have none."""
    if isinstance(node, ast.FunctionDef):
        yield node
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for statement in getattr(node, name, ()):
            yield from functions_in(statement)


def messages(path: Path) -> Iterator[Message]:
    """Each message of a module once; values that tell nothing by themselves are left out."""
    seen: set[tuple[int, tuple[str, ...]]] = set()
    for op, scope in _functions(tree_of(path)):
        inside = list(ast.walk(scope))
        names = _assigned(inside)
        for prefixed, candidates in _spoken(scope, inside):
            for line, parts in _first_text(candidates, names):
                if (line, parts) not in seen:
                    seen.add((line, parts))
                    yield Message(f"{path.relative_to(ROOT)}:{line}", parts, op if prefixed else "")


Template = tuple[int, tuple[str, ...]]


def _first_text(candidates: Sequence[ast.expr], names: dict[str, list[ast.expr]]) -> list[Template]:
    """The templates of the first argument that is a text."""
    for candidate in candidates:
        found = list(_templates(candidate, names))
        if found or isinstance(candidate, ast.JoinedStr | ast.Constant):
            return found
    return []


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """All functions, each with the name of the op whose method it is."""
    for top in tree.body:
        named = [keyword.value for keyword in getattr(top, "keywords", []) if keyword.arg == "name"]
        op = str(named[0].value) if named and isinstance(named[0], ast.Constant) else ""
        yield from ((op, node) for node in functions_in(top))


def _spoken(scope: ast.FunctionDef, inside: Sequence[ast.AST]) -> Iterator[tuple[bool, Sequence[ast.expr]]]:
    """Whether the message starts with the op, and arguments: the first text is the message, others hint or place."""
    for node in inside:
        if isinstance(node, ast.Call) and _speaks(node):
            yield ast.unparse(node.func) == "self.fail", node.args
        elif isinstance(node, ast.Return) and RETURNING.fullmatch(scope.name) and node.value is not None:
            yield False, [node.value]


def _speaks(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Name):
        return call.func.id in speakers()
    if not isinstance(call.func, ast.Attribute):
        return False
    collects = call.func.attr in COLLECTORS and ast.unparse(call.func.value) in ("found", "self.found", "problems")
    return collects or call.func.attr in speakers()


def _assigned(inside: Sequence[ast.AST]) -> dict[str, list[ast.expr]]:
    """What names of a function stand for."""
    found: dict[str, list[ast.expr]] = {}
    for node in inside:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
    return found


def _templates(message: ast.expr, names: dict[str, list[ast.expr]]) -> Iterator[Template]:
    if isinstance(message, ast.IfExp):
        yield from _templates(message.body, names)
        yield from _templates(message.orelse, names)
    elif isinstance(message, ast.Name):
        for value in names.get(message.id, ()):
            yield from _templates(value, {})
    elif isinstance(message, ast.List | ast.Tuple):
        for item in message.elts:
            yield from _templates(item, names)
    elif isinstance(message, ast.JoinedStr | ast.Constant):
        values = message.values if isinstance(message, ast.JoinedStr) else [message]
        texts = [v.value.strip(MARGIN) for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)]
        parts = tuple(text for text in texts if re.search(r"[a-z]", text))
        if parts and max(map(len, parts)) >= SHORTEST:
            yield message.lineno, parts


@cache
def expected_texts() -> tuple[str, ...]:
    """What tests write: ERROR lines of file tests, and strings in Python tests that could be about one message."""
    found: list[str] = []
    for path in (ROOT / "tests" / "filetests").rglob("*.irc"):
        found += re.findall(r"// ERROR(?:@\d+)?: (.*)", path.read_text(encoding="utf-8"))
    for path in (ROOT / "tests").rglob("*.py"):
        if path.parent != Path(__file__).parent:
            found += _strings(tree_of(path))
    stripped = (text.strip(MARGIN) for text in found)
    return tuple(text for text in stripped if len(text) >= SHORTEST and " " in text)


def _strings(tree: ast.Module) -> Iterator[str]:
    """All strings but docstrings."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    nodes = list(ast.walk(tree))
    docstrings = {id(getattr(n.body[0], "value", None)) for n in nodes if isinstance(n, documented) and n.body}
    for node in nodes:
        if id(node) in docstrings:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) >= SHORTEST:
            yield node.value
            yield from _literals(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "0" for v in node.values)


def _literals(pattern: str) -> Iterator[str]:
    """The texts that a string matches literally if it is a regular expression."""
    for text in re.split(r"(?<!\\)[.][*+]?|(?<!\\)[()|]|\n|\\[a-z]", pattern):
        yield re.sub(r"\\([^\w\s])", r"\1", text)


def is_expected(message: Message) -> bool:
    """Whether a test expects one of the texts of a message, a piece of it of several words, or a long piece of it."""
    if message.op:
        return any(message.core in text and text.startswith(f"{message.op}: ") for text in expected_texts())
    return any(_expected(part) for part in message.parts if len(part) >= SHORTEST)


def _expected(part: str) -> bool:
    if len(part) < LONG:
        return any(text in part or part in text for text in expected_texts())
    return not pieces_expected().isdisjoint(_pieces(part)) or any(text in part for text in expected_texts())


@cache
def pieces_expected() -> frozenset[str]:
    """All long pieces of the texts that tests expect."""
    return frozenset(piece for text in expected_texts() for piece in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    return (text[i : i + LONG] for i in range(len(text) - LONG + 1))
