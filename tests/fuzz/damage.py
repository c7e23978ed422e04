"""Ways to damage what a loader reads: bytes, tokens of a text, values of JSON, fields of a Protocol Buffers message."""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TRAP = Path(tempfile.gettempdir()) / "irc-fuzz-trap"
"""A folder that nothing may write to; payloads try."""

PAYLOADS = (
    f"__import__('os').system('touch {TRAP}/a')",
    f"open('{TRAP}/b','w').close()",
    f"x=open('{TRAP}/c','w').close()",
    f"a\"),open('{TRAP}/d','w').close(),(\"",
    f"Symbol('s0')+0*len(str(open('{TRAP}/e','w')))",
    f"{TRAP}/f",
    f"../../../../../../../..{TRAP}/g",
    "/etc/passwd",
    "../../../../../../etc/passwd",
    "torch.ops.aten.from_file.default",
    "torch.serialization.os.system",
    "torch.ops.irc.no_such_op.default",
)
TEXTS = ("", "x", "main", "relu", "s77", "aten", "é", "\u202e", "\x00", "a" * 3000, "9" * 400, "Add", "Loop", *PAYLOADS)
INTEGERS = (0, 1, -1, 2, 7, 8, 16, 127, -128, 255, 2**15, 2**20, 2**31 - 1, -(2**31), 2**32, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, 1e308, float("inf"), float("-inf"), float("nan"))
VALUES: tuple[Any, ...] = (None, True, False, *INTEGERS, 2**70, *FLOATS, *TEXTS, [], {}, [1], [[]], {"as_int": 3})
PIECES = (
    *'()[]{}<>:,=*+-"%@#\\.;\n\x00',
    *("->", "<=", "//", "func", "where", "in", "at", "via", "return", "yield", "kernel", "call", "const", "none", "_"),
    *("true", "false", "inf", "nan", "-1", "0", "1", "2", "999999999", "9" * 30, "9" * 3000, "1e400", "0.5", "4x16"),
    *("n", "n*n*n", "floordiv(n, 0)", "axis", "group", "group=9999999", "zp", "binary", "mask", "%x", "@main", "@f"),
    *("#0123456789abcdef", '"text"', '"\\u{ffffff}"', "f32", "i8", "u4", "i1", "i64", "bool", "bf16", "é"),
    *("shift = 99999", "stride = [0]", "kernel = [-1]", "order = [5]", "axes = [9, 9]", "groups = 0", "step = 0"),
)
TOKEN = re.compile(r'\s+|"[^"]*"|[%@#]?[\w.$]+|->|<=|.', re.DOTALL)


def times(rng: random.Random) -> int:
    """How many places are damaged: mostly one."""
    return rng.choice((1, 1, 1, 2, 4))


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bits flipped, bytes replaced, taken out, put in or doubled, or the end cut off."""
    data = bytearray(content)
    for _ in range(times(rng)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(data):
                data[at] = rng.randrange(256)
            case 2:
                del data[at : at + rng.randrange(1, 9)]
            case 3:
                data[at:at] = rng.randbytes(rng.randrange(1, 5))
            case 4:
                data[at:at] = data[at : at + rng.randrange(1, 200)]
            case 5:
                data[at : at + 8] = rng.choice(INTEGERS).to_bytes(8, "little", signed=True)
            case _:
                if rng.random() < 0.1:
                    del data[at:]
    return bytes(data)


def damaged_text(text: str, rng: random.Random) -> str:
    """Tokens or characters deleted, doubled, swapped, repeated, or replaced by others."""
    parts = TOKEN.findall(text) if rng.random() < 0.7 else list(text)
    for _ in range(times(rng)):
        at, piece = rng.randrange(len(parts) or 1), rng.choice((*PIECES, *PAYLOADS, *parts[:200]))
        match rng.randrange(7):
            case 0:
                del parts[at : at + rng.choice((1, 1, 1, 5, 50))]
            case 1:
                parts.insert(at, piece)
            case 2:
                parts[at : at + 1] = [piece]
            case 3:
                parts[at:at] = parts[at : at + rng.choice((1, 2, 20))]
            case 4 if parts:
                other = rng.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            case 5:
                parts[at : at + 1] *= rng.choice((3, 100, 3000))
            case _:
                if rng.random() < 0.1:
                    del parts[at:]
    return "".join(parts)


def damaged_json(content: bytes, rng: random.Random) -> bytes:
    """Values deleted, doubled, or replaced by others or by ones from elsewhere."""
    data = [json.loads(content)]
    for _ in range(times(rng)):
        paths = list(_paths(data[0], (0,)))
        *front, last = rng.choice(paths)
        holder: Any = data
        for key in front:
            holder = holder[key]
        match rng.randrange(5):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, list):
                holder.insert(last, _at(holder, (last,)))
            case 2:
                holder[last] = _at(data, rng.choice(paths))
            case _:
                holder[last] = _at(VALUES, (rng.randrange(len(VALUES)),))
        if not data:
            return b""
    return json.dumps(data[0]).encode()


def _paths(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield path
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, item in items:
        yield from _paths(item, (*path, key))


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    """A copy of the value, so that nothing holds itself."""
    for key in path:
        data = data[key]
    return json.loads(json.dumps(data))


def damage_message(message: Any, rng: random.Random) -> None:
    """Change fields of a message: other numbers and texts, entries taken out, doubled, exchanged, fields cleared."""
    for _ in range(times(rng)):
        holders = list(_messages(message))
        holder = rng.choice(holders)
        fields = [f for f, _ in holder.ListFields()] if rng.random() < 0.8 else list(holder.DESCRIPTOR.fields)
        if fields:
            _damage_field(holder, rng.choice(fields), rng)


def _messages(message: Any) -> Iterator[Any]:
    yield message
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for part in value if _is_repeated(descriptor) else (value,):
                yield from _messages(part)


def _is_repeated(descriptor: Any) -> bool:
    return bool(descriptor.is_repeated)


def _damage_field(holder: Any, descriptor: Any, rng: random.Random) -> None:
    name, value = descriptor.name, getattr(holder, descriptor.name)
    if not _is_repeated(descriptor):
        if descriptor.message_type is not None or rng.random() < 0.2:
            holder.ClearField(name)
        else:
            setattr(holder, name, _other(descriptor, value, rng))
        return
    if not len(value) or (descriptor.message_type is None and rng.random() < 0.4):
        value.add() if descriptor.message_type is not None else value.append(_other(descriptor, None, rng))
        return
    at = rng.randrange(len(value))
    match rng.randrange(4):
        case 0:
            del value[at]
        case 1 if descriptor.message_type is not None:
            value.add().CopyFrom(value[at])
        case 2 if descriptor.message_type is not None:
            value[at].CopyFrom(value[rng.randrange(len(value))])
        case _ if descriptor.message_type is None:
            value[at] = _other(descriptor, value[at], rng)


def _other(descriptor: Any, value: Any, rng: random.Random) -> Any:
    kinds = {
        descriptor.CPPTYPE_STRING: lambda: rng.choice(TEXTS) if rng.random() < 0.5 else f"{value}",
        descriptor.CPPTYPE_FLOAT: lambda: rng.choice(FLOATS[:6]),
        descriptor.CPPTYPE_DOUBLE: lambda: rng.choice(FLOATS),
        descriptor.CPPTYPE_ENUM: lambda: rng.choice([v.number for v in descriptor.enum_type.values]),
        descriptor.CPPTYPE_INT32: lambda: rng.choice([i for i in INTEGERS if -(2**31) <= i < 2**31]),
        descriptor.CPPTYPE_INT64: lambda: rng.choice(INTEGERS),
        descriptor.CPPTYPE_UINT64: lambda: rng.choice([i for i in INTEGERS if i >= 0]),
    }
    made = kinds[descriptor.cpp_type]()
    if descriptor.type == descriptor.TYPE_BYTES:
        return damaged_bytes(value if isinstance(value, bytes) else b"", rng)
    return made
