"""The grammar of symbolic sizes in a saved program. torch evaluates these strings as Python, so nothing else may pass.

    size   := Symbol('s77', positive=True, integer=True) | s77 | Integer(4) | 4 | -size | size OP size | NAME(size, ...)
    OP     := + - * // % ** == != < <= > >=
    NAME   := one of FUNCTIONS

Powers have a small constant exponent and are not nested, so that no expression grows beyond its text.
"""

from __future__ import annotations

import ast
import re

LONGEST = 4000  # characters of an expression
LARGEST_POWER = 8

_SYMBOL = re.compile(r"[a-z]{1,4}[0-9]{1,6}")
_ASSUMPTIONS = frozenset({"positive", "nonnegative", "nonzero", "integer", "real"})
FUNCTIONS = frozenset(
    {
        *(
            "Add",
            "Mul",
            "FloorDiv",
            "CleanDiv",
            "CeilDiv",
            "Mod",
            "PythonMod",
            "ModularIndexing",
            "Max",
            "Min",
            "Identity",
        ),
        *("Equality", "Unequality", "StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan"),
        *("Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not"),
        *("ToFloat", "IntTrueDiv", "FloatTrueDiv", "TruncToInt", "FloorToInt", "CeilToInt", "RoundToInt"),
    }
)
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def is_symbol(name: str) -> bool:
    """Whether a name is one torch gives to a symbolic size: `s77`, `u0`."""
    return _SYMBOL.fullmatch(name) is not None


def checked_expression(text: str) -> str:
    """The expression, written anew from its parse. Raises ValueError if it is not of the grammar."""
    if len(text) > LONGEST:
        raise ValueError(f"{len(text)} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError("not an expression") from error
    _check(tree.body, power_allowed=True)
    return ast.unparse(tree)


def _check(node: ast.expr, *, power_allowed: bool) -> None:
    match node:
        case ast.Constant(value=int(value)):  # True and False included
            if abs(value) >= 2**63:
                raise ValueError("a number beyond 64 bits")
        case ast.Name(id=name):
            if not is_symbol(name):
                raise ValueError(f"the name '{name}'")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check(operand, power_allowed=power_allowed)
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            _check_power(base, exponent, power_allowed)
        case ast.BinOp(left=left, op=operator, right=right) if isinstance(operator, _OPERATORS):
            _check(left, power_allowed=power_allowed)
            _check(right, power_allowed=power_allowed)
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if isinstance(operator, _COMPARISONS):
            _check(left, power_allowed=power_allowed)
            _check(right, power_allowed=power_allowed)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            _check_call(name, args, keywords, power_allowed)
        case _:
            raise ValueError(f"{type(node).__name__} is not allowed")


def _check_call(name: str, args: list[ast.expr], keywords: list[ast.keyword], power_allowed: bool) -> None:
    if name == "Symbol":
        _check_symbol(args, keywords)
    elif keywords:
        raise ValueError(f"keywords of {name}")
    elif name == "Integer":
        if len(args) != 1 or not isinstance(_number(args[0]), int):
            raise ValueError("Integer of something else than a number")
        _check(args[0], power_allowed=False)
    elif name == "Pow" and len(args) == 2:
        _check_power(args[0], args[1], power_allowed)
    elif name in FUNCTIONS:
        for arg in args:
            _check(arg, power_allowed=power_allowed)
    else:
        raise ValueError(f"the function '{name}'")


def _check_symbol(args: list[ast.expr], keywords: list[ast.keyword]) -> None:
    match args:
        case [ast.Constant(value=str(name))] if is_symbol(name):
            pass
        case _:
            raise ValueError("the name of a symbol")
    for keyword in keywords:
        if keyword.arg not in _ASSUMPTIONS or not isinstance(keyword.value, ast.Constant):
            raise ValueError(f"the assumption '{keyword.arg}' of a symbol")
        if not isinstance(keyword.value.value, bool):
            raise ValueError("an assumption that is not True or False")


def _check_power(base: ast.expr, exponent: ast.expr, allowed: bool) -> None:
    match exponent:
        case ast.Call(func=ast.Name(id="Integer"), args=[number], keywords=[]):
            value = _number(number)
        case _:
            value = _number(exponent)
    if not allowed:
        raise ValueError("a power within a power")
    if value is None or not 0 <= value <= LARGEST_POWER:
        raise ValueError(f"an exponent that is not within 0 .. {LARGEST_POWER}")
    _check(base, power_allowed=False)


def _number(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return -value
        case _:
            return None
