"""What rules want to know of a program: its functions, loops, calls, pragmas, and which expressions are constant."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from irc.backends.fpga_hls.lint.pragmas import Pragma, read_pragma
from irc.backends.fpga_hls.lint.tree import Node, Place, Program

FUNCTIONS = {"FUNCTION_DECL", "FUNCTION_TEMPLATE", "CXX_METHOD", "CONSTRUCTOR", "DESTRUCTOR", "CONVERSION_FUNCTION"}
CLASSES = {"CLASS_DECL", "STRUCT_DECL", "CLASS_TEMPLATE", "CLASS_TEMPLATE_PARTIAL_SPECIALIZATION"}
LOOPS = {"FOR_STMT", "WHILE_STMT", "DO_STMT", "CXX_FOR_RANGE_STMT"}
CONSTANTS = {"TEMPLATE_NON_TYPE_PARAMETER", "ENUM_CONSTANT_DECL", *FUNCTIONS}
WRAPPERS = {"UNEXPOSED_EXPR", "PAREN_EXPR", "PACK_EXPANSION_EXPR"}


@dataclass(eq=False)
class Loop:
    """A loop with the pragmas in its body. Of a `for`: its variables, condition and step."""

    node: Node
    pragmas: list[Pragma] = field(default_factory=list[Pragma])

    @property
    def body(self) -> Node:
        return self.node.children[-1]

    @cached_property
    def _cuts(self) -> list[int]:
        """Offsets of the two semicolons of a `for`."""
        depth, cuts = 0, list[int]()
        for i, ch in enumerate(self.node.text):
            depth += {"(": 1, ")": -1}.get(ch, 0)
            if ch == ";" and depth == 1 and len(cuts) < 2:
                cuts.append(self.node.begin + i)
        return cuts

    def _part(self, index: int) -> list[Node]:
        head = [c for c in self.node.children if c is not self.body]
        return [c for c in head if bisect_right(self._cuts, c.begin) == index]

    @property
    def variables(self) -> list[Node]:
        return [n for part in self._part(0) for n in part.children if n.kind == "VAR_DECL"]

    @property
    def condition(self) -> Node | None:
        return next(iter(self._part(1)), None)

    @property
    def step(self) -> list[Node]:
        return self._part(2)

    def pragma(self, name: str) -> Pragma | None:
        return next((p for p in self.pragmas if p.name == name), None)

    @property
    def unrolled(self) -> bool:
        unroll = self.pragma("UNROLL")
        return unroll is not None and "off" not in unroll.options


@dataclass(eq=False)
class Call:
    """A call: which functions of the program it may reach, with which arguments."""

    node: Node
    name: str
    callees: list[Function]
    arguments: list[Node]


@dataclass(eq=False)
class Function:
    """A function with a body, and the pragmas directly in it."""

    node: Node
    body: Node
    pragmas: list[Pragma] = field(default_factory=list[Pragma])
    loops: list[Loop] = field(default_factory=list[Loop])
    calls: list[Call] = field(default_factory=list[Call])
    is_method: bool = False

    @property
    def name(self) -> str:
        return self.node.name

    @cached_property
    def parameters(self) -> list[Node]:
        return [c for c in self.node.children if c.kind == "PARM_DECL"]

    @property
    def variadic(self) -> bool:
        return bool(self.parameters) and self.parameters[-1].type.endswith("...")

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        if self.variadic:
            return count >= len(self.parameters) - 1
        required = sum("=" not in p.text for p in self.parameters)
        return required <= count <= len(self.parameters)

    def parameter(self, index: int) -> Node:
        """Where an argument goes."""
        return self.parameters[min(index, len(self.parameters) - 1)]

    @cached_property
    def at_compile_time(self) -> bool:
        """Whether it is only for constants."""
        return re.search(r"\bconstexpr\b", self.node.source[self.node.begin : self.body.begin]) is not None

    def has(self, pragma: str) -> bool:
        return any(p.name == pragma for p in self.pragmas)


@dataclass(eq=False)
class Scope:
    """A block: the function it is in, and what it is the body of."""

    block: Node
    owner: Node
    function: Function

    @property
    def place(self) -> str:
        if self.owner.kind in LOOPS:
            return "loop"
        return "function" if self.owner is self.function.node else "block"


def bare(node: Node) -> Node:
    """An expression without parentheses and conversions."""
    while node.kind in WRAPPERS and len(node.children) == 1:
        node = node.children[0]
    return node


class Facts:
    """A program, looked through once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.declarations: dict[Place, Node] = {}
        self.scopes: list[Scope] = []
        self.functions: list[Function] = []
        for root in program.roots:
            self._declare(root, in_class=False)
        self._by_place = {f.node.place: f for f in self.functions}
        for function in self.functions:
            self._block(function.body, function.node, function)
        self.pragmas = list(self._read_pragmas())
        self.placed = {pragma: self._scope_of(pragma) for pragma in self.pragmas}
        self._attach()
        self.unrolled = {v.place for loop in self.loops if loop.unrolled for v in loop.variables}

    @property
    def loops(self) -> Iterator[Loop]:
        return (loop for function in self.functions for loop in function.loops)

    @property
    def hardware(self) -> list[Function]:
        """The functions that become hardware."""
        return [f for f in self.functions if not f.at_compile_time]

    # -- reading

    def _declare(self, node: Node, *, in_class: bool) -> None:
        if node.kind.endswith(("_DECL", "_PARAMETER")) or node.kind in FUNCTIONS:
            self.declarations.setdefault(node.place, node)
        if node.kind in FUNCTIONS and node.children and node.children[-1].kind == "COMPOUND_STMT":
            self.functions.append(Function(node, node.children[-1], is_method=in_class))
            self.declarations[node.place] = node
        for child in node.children:
            self._declare(child, in_class=node.kind in CLASSES)

    def _block(self, node: Node, owner: Node, function: Function) -> None:
        """Collect the scopes, loops and calls of a function."""
        if node.kind == "COMPOUND_STMT":
            self.scopes.append(Scope(node, owner, function))
        elif node.kind in LOOPS:
            function.loops.append(Loop(node))
        elif node.kind == "CALL_EXPR" and node.children:
            function.calls.append(self.call(node))
        for child in node.children:
            self._block(child, node, function)

    def call(self, node: Node) -> Call:
        """A call expression."""
        target, arguments = bare(node.children[0]), node.children[1:]
        found: list[Function] = []
        if target.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR"):
            places = [p for n in (node, *target.walk()) for p in n.refers]
            found = [self._by_place[p] for p in dict.fromkeys(places) if p in self._by_place]
        name = re.sub(r"<.*", "", target.text, flags=re.DOTALL).strip()
        if not found and target.kind == "MEMBER_REF_EXPR":
            method = name.rpartition(".")[2]
            found = [f for f in self.functions if f.name == method and f.is_method]
        return Call(node, name, [f for f in found if f.takes(len(arguments))], arguments)

    def _read_pragmas(self) -> Iterator[Pragma]:
        """The pragmas of the text that is compiled: the compiler warns of each."""
        for note in self.program.notes:
            if note.is_pragma:
                lines = self.program.files[note.file].split("\n")
                text, last = lines[note.line - 1], note.line
                while text.endswith("\\") and last < len(lines):
                    text = f"{text[:-1]} {lines[last]}"
                    last += 1
                pragma = read_pragma(note.file, note.line, re.sub(r"//.*|/\*.*?\*/", "", text).strip())
                if pragma is not None:
                    yield pragma

    def offset(self, file: str, line: int) -> int:
        """Where a line starts."""
        text = self.program.files[file]
        return sum(len(each) + 1 for each in text.split("\n")[: line - 1])

    def _scope_of(self, pragma: Pragma) -> Scope | None:
        offset = self.offset(pragma.file, pragma.line)
        around = [s for s in self.scopes if s.block.holds(pragma.file, offset)]
        return min(around, key=lambda s: s.block.end - s.block.begin, default=None)

    def _attach(self) -> None:
        loops = {loop.node: loop for loop in self.loops}
        for pragma, scope in self.placed.items():
            if scope is not None and scope.place == "loop":
                loops[scope.owner].pragmas.append(pragma)
            elif scope is not None and scope.place == "function":
                scope.function.pragmas.append(pragma)

    # -- names

    def variable(self, pragma: Pragma) -> tuple[Place, str] | None:
        """The declaration that the variable of a pragma names, and the path of a member behind it (`.lane`)."""
        scope = self.placed[pragma]
        if scope is None or pragma.variable is None:
            return None
        base, dot, path = pragma.variable.partition(".")
        before = self.offset(pragma.file, pragma.line)
        declared = [
            n
            for n in scope.function.node.walk()
            if n.kind in ("VAR_DECL", "PARM_DECL") and n.name == base and n.begin < before
        ]
        visible = [n for n in declared if n.kind == "PARM_DECL" or self._visible(n, scope)]
        return (visible[-1].place, dot + path) if visible else None

    def _visible(self, node: Node, scope: Scope) -> bool:
        """Whether a declaration of the same function is in a block around another one."""
        around = [s.block for s in self.scopes if s.block.holds(node.file, node.begin)]
        around = [b for b in around if b.begin >= scope.function.body.begin]
        innermost = min(around, key=lambda b: b.end - b.begin, default=None)
        return innermost is not None and innermost.begin <= scope.block.begin and scope.block.end <= innermost.end

    # -- constants

    def varying(self, node: Node, ignore: Sequence[Place] = ()) -> list[str]:
        """The names in an expression whose values change at run time. Those of unrolled loops are constants."""
        found: list[str] = []
        self._varying(node, set(ignore), found)
        return list(dict.fromkeys(found))

    def _varying(self, node: Node, seen: set[Place], found: list[str]) -> None:
        if node.kind.startswith("SIZE_OF") or node.kind == "CXX_UNARY_EXPR":
            return
        if node.kind in ("DECL_REF_EXPR", "MEMBER_REF_EXPR"):
            for place in node.refers:
                declared = self.declarations.get(place)
                if declared is not None and place not in seen:
                    self._of_declaration(declared, node, seen | {place}, found)
        for child in node.children:
            self._varying(child, seen, found)

    def _of_declaration(self, declared: Node, use: Node, seen: set[Place], found: list[str]) -> None:
        constant = declared.kind in CONSTANTS or re.search(r"\bconstexpr\b", declared.text)
        if constant or declared.place in self.unrolled:
            return
        if declared.kind == "VAR_DECL" and declared.type.startswith("const ") and declared.children:
            for child in declared.children:
                self._varying(child, seen, found)
        elif declared.kind in ("VAR_DECL", "PARM_DECL", "FIELD_DECL"):
            found.append(use.text)
