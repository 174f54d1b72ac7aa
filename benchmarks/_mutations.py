"""Damage to files, drawn from a generator: bytes flipped, cut, inserted and moved, JSON values of other kinds, and
things in the place of a file that are none.

Nothing here knows the project, and nothing is imported but the standard library; the tests load this file as well.
"""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import os
import random
import zlib
from pathlib import Path
from typing import Any

_LONGEST_PART = 400
_HOSTILE_BYTES = (
    b"",
    b"\0",
    b"\xff" * 8,
    b"\xff\xfe",
    b"[" * 5000,
    b'"',
    b"\n" * 50,
    b"\t",
    b"{}",
    b"\xed\xa0\x80",
    b"%s",
)
_HOSTILE_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, 1e308, float("inf"), float("nan"), 2**31, 2**63, 10**12, 10**9, 10**30),
    *(10**400, "", "x", "\0", "\ud800", "\x1b[2J\n", "../../etc/passwd", "/dev/zero", "true", "x" * 20_000, [], {}),
    *([[]], {"": None}, ["a", "a"], [0] * 3000),
)
_MARK = "the place of an item that is written twice"


def mutate_file(name: str, content: bytes, chance: random.Random, other: bytes = b"") -> bytes:
    """Damage the content of a file in a way that suits its name; `other` is what parts may be taken from."""
    if name.endswith(".gz") and chance.random() < 0.5:
        with contextlib.suppress(OSError, EOFError, zlib.error):
            return gzip.compress(mutate_file(name[:-3], gzip.decompress(content), chance, other), 1, mtime=0)
    if chance.random() < 0.6:
        with contextlib.suppress(ValueError, IndexError, RecursionError):
            if name.endswith(".json"):
                return write_json(mutate_json(json.loads(content), chance), chance)
            if name.endswith(".jsonl"):
                return _mutate_line(content, chance)
            if name.endswith(".safetensors"):
                return _mutate_safetensors(content, chance)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        content = mutate_bytes(content, chance, other)
    return content


def mutate_bytes(content: bytes, chance: random.Random, other: bytes = b"") -> bytes:
    """Change some bytes, and leave the rest as it was; beginnings and ends, where formats speak, are met more often."""
    start = min(
        chance.choice((0, len(content), chance.randrange(len(content) + 1), chance.randrange(64))), len(content)
    )
    stop = min(len(content), start + chance.choice((1, 1, 2, 4, 8, chance.randrange(_LONGEST_PART))))
    before, part, after = content[:start], content[start:stop], content[stop:]
    kind = chance.randrange(8)
    if kind == 0:  # flip one bit of each of some bytes
        return before + bytes(byte ^ (1 << chance.randrange(8)) for byte in part) + after
    if kind == 1:  # cut off what follows
        return before
    if kind == 2:  # leave out
        return before + after
    if kind == 3:  # write twice, or many times
        return before + part * chance.choice((2, 3, 200)) + after
    if kind == 4:  # put in
        return before + chance.choice((*_HOSTILE_BYTES, chance.randbytes(1 + chance.randrange(16)))) + part + after
    if kind == 5:  # a number where a length or an offset may stand
        size = chance.choice((1, 2, 4, 8))
        number = chance.choice((0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), chance.randrange(2 ** (8 * size))))
        return before + number.to_bytes(size, chance.choice(("little", "big"))) + content[start + size :]
    if kind == 6 and other:  # go on with another file
        return before + other[chance.randrange(len(other) + 1) :]
    return before + after + part  # move to the end


def mutate_json(value: Any, chance: random.Random) -> Any:
    """Return a copy of a JSON value with one to three of its items changed, taken out, renamed or made hostile."""
    holder = [copy.deepcopy(value)]
    for _ in range(chance.choice((1, 1, 2, 3))):
        parent, place = chance.choice(list(_places(holder))[:3000])
        kind = chance.randrange(6)
        if kind == 0 and parent is not holder:
            del parent[place]
        elif kind == 1 and isinstance(parent, dict):
            parent[chance.choice((place + "x", "", "../x", "__class__", _MARK + place))] = copy.deepcopy(parent[place])
        elif kind == 2:
            other, there = chance.choice(list(_places(holder))[:3000])
            parent[place] = copy.deepcopy(other[there])
        elif kind == 3:
            parent[place] = _nested(parent[place], chance.choice((3, 60, 300)))
        else:
            parent[place] = copy.deepcopy(chance.choice(_HOSTILE_VALUES))
    return holder[0]


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Where every item stands, as the list or object that holds it and its place there."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys: list[Any] = list(one) if isinstance(one, dict) else list(range(len(one)))
        found += [(one, key) for key in keys]
        waiting += [one[key] for key in keys if isinstance(one[key], dict | list)]
    return found


def write_json(value: Any, chance: random.Random) -> bytes:
    """Write JSON, with NaN and half surrogate pairs where a value has some, and now and then one key twice."""
    text = json.dumps(value, ensure_ascii=chance.random() < 0.8)
    return text.replace(_MARK, "").encode("utf-8", "surrogatepass")


def _mutate_line(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    place = chance.randrange(len(lines))
    lines[place] = write_json(mutate_json(json.loads(lines[place]), chance), chance)
    return b"\n".join(lines)


def _mutate_safetensors(content: bytes, chance: random.Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header, tensors = content[8 : 8 + length], content[8 + length :]
    if chance.random() < 0.2:
        length = chance.choice((0, 1, max(0, length - 8), length + 8, len(content), 2**32, 2**60, 2**63, 2**64 - 1))
        return length.to_bytes(8, "little") + header + tensors
    changed = json.loads(header)
    tensors_named = [one for one in changed.values() if isinstance(one, dict)] if isinstance(changed, dict) else []
    if tensors_named and chance.random() < 0.3:
        one = chance.choice(tensors_named)
        one[chance.choice(("dtype", "shape", "data_offsets"))] = chance.choice(
            ("F64", "I8", "BOOL", "F8_E4M3", "X", [10**9, 10**9], [0], [2**63], [0, 2**62], [8, 0], [0, 0], [-1], None)
        )
    else:
        changed = mutate_json(changed, chance)
    header = write_json(changed, chance)
    return len(header).to_bytes(8, "little") + header + tensors


def replace_file(path: Path, chance: random.Random) -> str:
    """Put something else in the place of a file, and say what."""
    path.unlink()
    kinds = ("nothing", "empty", "folder", "pipe", "link outside", "device", "link to itself", "two gigabytes")
    kind = chance.choice(kinds)
    if kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link outside":
        path.symlink_to(__file__)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "two gigabytes":
        with path.open("wb") as file:
            file.truncate(2**31)
    return kind
