"""Inputs for a parser: a valid file with values replaced and bytes damaged.

A sample is the bytes of a file, its text, or the values that a file of its suffix holds (``ENCODERS``).

All choices are those of a ``random.Random``. A number is enough to make an input again, and hypothesis, which
the tests use, hands out a ``Random`` whose choices it shrinks to the simplest input that shows a fault.
"""

from __future__ import annotations

import copy
import io
import json
import math
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
import yaml

NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 3, 255, -32768, 65536, 2**31, 2**63, 10**30, -0.0, 0.5, 1e-320, 1e308, -1e308),
    *(math.nan, math.inf, -math.inf, True),
)

TEXTS = (
    *("", " ", "\0", "nan", "-inf", "1e999", "0x10", "1_0", "１２", "-0", "99999999999999999999", "1,5"),
    *("é", "日本", "\ud800", "\u2028", "a\nb", "'", '"', "../../x", "/", "#", "=", ":", "{"),
    *("x" * 3000, "1" * 5000),
)

PLAIN: tuple[Any, ...] = (*NUMBERS, *TEXTS, None, b"\xff\xfe", [], {}, [[]], [None], {"": 0}, [0] * 40)

WORDS = (
    *(b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x80"),
    *(b"\r\n", b"\n", b" ", b"\xef\xbb\xbf"),
)

CELL = re.compile(r"[^\s,;:=]+")
"""What stands between separators in a table, a simfile or a BVH file."""

NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")

ENCODINGS = ("utf-16", "utf-8-sig", "latin-1", "utf-32")


def make_input(suffix: str, samples: Sequence[Any], random: Random) -> bytes:
    """A file made from one of the samples: up to three values changed, up to three damages."""
    value = copy.deepcopy(random.choice(samples))
    changes = 0 if isinstance(value, bytes) else random.choice((0, 1, 1, 2, 3))
    for _ in range(changes):
        value = _changed_file(random, value) if isinstance(value, str) else _changed(random, value)
    data = encode(suffix, value)
    damages = 0 if changes and random.randrange(4) else random.choice((1, 1, 2, 3))
    for _ in range(damages):
        data = _damaged(random, data)
    return data


def _changed_file(random: Random, text: str) -> str:
    """The text of a file with a line or a cell replaced, removed, repeated or exchanged."""
    lines = text.splitlines(keepends=True) or [""]
    if random.randrange(3):
        number = random.randrange(len(lines))
        cells = list(CELL.finditer(lines[number]))
        if cells:
            cell = random.choice(cells)
            changed = _changed(random, cell[0]) if random.randrange(6) else f"{cell[0]} {cell[0]}"
            lines[number] = lines[number][: cell.start()] + _text(changed) + lines[number][cell.end() :]
        return "".join(lines)
    return "".join(_text(line) for line in _items(_changed(random, lines)))


def _changed(random: Random, value: Any) -> Any:
    """The value with something in it replaced, removed, repeated or exchanged."""
    if isinstance(value, dict | list) and value and random.randrange(8):
        keys: Sequence[Any] = list(value) if isinstance(value, dict) else range(len(value))
        key = random.choice(keys)
        match random.randrange(12):
            case 0:
                del value[key]
            case 1 if isinstance(value, list):
                value.insert(key, copy.deepcopy(value[key]))
            case 1 if isinstance(value, dict):
                value[random.choice(TEXTS)] = copy.deepcopy(value[key])
            case 2:
                other = random.choice(keys)
                value[key], value[other] = value[other], value[key]
            case _:
                value[key] = _changed(random, value[key])
        return value
    if isinstance(value, np.ndarray) and random.randrange(8):
        return _changed_array(random, value)
    if isinstance(value, str) and random.randrange(4):
        return _changed_text(random, value)
    if isinstance(value, int | float) and random.randrange(2):
        return random.choice((value + 1, -value, value * 1000, value / 3, str(value), [value]))
    return copy.deepcopy(random.choice(PLAIN))


def _changed_text(random: Random, text: str) -> str:
    """The text with one of its numbers replaced, or with other text in it."""
    found = list(NUMBER.finditer(text))
    if found and random.randrange(2):
        one = random.choice(found)
        return text[: one.start()] + str(random.choice(NUMBERS + TEXTS)) + text[one.end() :]
    start = random.randrange(len(text) + 1)
    return text[:start] + random.choice(("", *TEXTS)) + text[random.randrange(start, len(text) + 1) :]


def _changed_array(random: Random, array: np.ndarray[Any, Any]) -> Any:
    """The array with a value replaced, or of another shape or type."""
    match random.randrange(7):
        case 0 if array.size and array.dtype.kind in "fiu":
            array = array.astype(np.float64)
            array.flat[random.randrange(array.size)] = float(random.choice(NUMBERS))
        case 1 if array.dtype.kind in "fiu":
            kind = random.choice(("f2", "f4", "i8", "u1", "c8", "U8", "S3", "O", "?", "M8[s]"))
            with np.errstate(all="ignore"):
                array = array.astype(kind)
        case 2:
            array = array[: random.randrange(4)] if array.ndim else array[None]
        case 3:
            array = array[..., None] if random.randrange(2) else array.reshape(-1)
        case 4:
            array = array[..., : random.randrange(3)] if array.ndim else np.zeros((0, 3))
        case 5:
            array = array.T.copy()
        case _:
            return array.tolist()
    return array


def _damaged(random: Random, data: bytes) -> bytes:
    """The bytes with a bit flipped, a block removed, repeated or overwritten, or in another encoding."""
    if not data:
        return random.choice(WORDS)
    # Half of the damage goes to the first bytes, where the header is.
    start = random.randrange(min(len(data), 200) if random.randrange(2) else len(data))
    stop = min(len(data), start + random.randrange(1, 17 if random.randrange(2) else len(data) + 1))
    word = random.choice(WORDS)
    match random.randrange(8):
        case 0 | 1:
            flipped = bytearray(data)
            flipped[start] ^= 1 << random.randrange(8)
            return bytes(flipped)
        case 2:
            return data[:start]
        case 3:
            return data[:start] + data[stop:]
        case 4:
            return data[:stop] + data[start:]
        case 5:
            return data[:start] + word + data[start + len(word) :]
        case 6:
            return data[:start] + word + data[start:]
        case _:
            text = data.decode("utf-8", errors="ignore")
            return text.encode(random.choice(ENCODINGS), errors="replace")


# --- encoders: plain values of any kind in, the bytes of a file out -----------------------------------------


def encode(suffix: str, value: Any) -> bytes:
    """The file of a sample, whatever its values have been changed to."""
    if isinstance(value, bytes):
        return value
    return _bytes(value) if isinstance(value, str) else ENCODERS[suffix](value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogatepass")


def _items(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _yaml(value: Any) -> bytes:
    try:
        return _bytes(yaml.safe_dump(value, allow_unicode=True))
    except yaml.YAMLError:
        return _bytes(yaml.dump(value))


def _npy(value: Any) -> bytes:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        array = np.array(str(value))
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _npz(value: Any) -> bytes:
    arrays = value if isinstance(value, dict) else {"joints": value}
    return _zip({f"{_text(name)}.npy": _npy(array) for name, array in arrays.items()})


def _zip(value: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        # Two members of one name are a case to try, and not worth a warning.
        warnings.simplefilter("ignore")
        for name, content in (value if isinstance(value, dict) else {"x": value}).items():
            # A name that a zip can hold: no half of a surrogate pair, and not empty.
            member = _text(name).encode("utf-8", "replace").decode().replace("\0", "0") or "x"
            whole = isinstance(content, bytes | str)
            archive.writestr(member, encode("", content) if whole else pickle.dumps(content))
    return file.getvalue()


def _safetensors(value: Any) -> bytes:
    """{metadata, header: {name: {dtype, shape, data_offsets}}, data}; metadata's own values as JSON."""
    parts = value if isinstance(value, dict) else {"header": value}
    metadata, tensors, data = (parts.get(key) for key in ("metadata", "header", "data"))
    if isinstance(metadata, dict):
        metadata = {key: v if isinstance(v, str) else _json(v) for key, v in metadata.items()}
    tensors = tensors if isinstance(tensors, dict) else {"x": tensors}
    header = _bytes(_json({"__metadata__": metadata, **tensors}))
    return struct.pack("<Q", len(header)) + header + (data if isinstance(data, bytes) else b"")


def safetensors_values(data: bytes) -> Any:
    """What ``_safetensors`` encodes, of a model of this project."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__")
    metadata |= {key: json.loads(metadata[key]) for key in ("config", "provenance")}
    return {"metadata": metadata, "header": header, "data": data[8 + size :]}


ENCODERS: dict[str, Callable[[Any], bytes]] = {
    ".json": lambda value: _bytes(_json(value)),
    ".jsonl": lambda records: _bytes("".join(_json(record) + "\n" for record in _items(records))),
    ".yaml": _yaml,
    ".pkl": pickle.dumps,
    ".npy": _npy,
    ".npz": _npz,
    ".zip": _zip,
    ".safetensors": _safetensors,
}
"""By suffix; samples that are text or bytes need none."""
