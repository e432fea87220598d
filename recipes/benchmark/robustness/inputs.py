"""Inputs for a parser: a valid file with values replaced and bytes damaged.

All choices are those of a ``random.Random``. A number is enough to make an input again, and hypothesis, which
the tests use, hands out a ``Random`` whose choices it shrinks to the simplest input that shows a fault.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from recipes.benchmark.robustness.parsers import Parser

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

NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")

ENCODINGS = ("utf-16", "utf-8-sig", "latin-1", "utf-32")


def make_input(parser: Parser, samples: Sequence[Any], random: Random) -> bytes:
    """A file for a parser, made from one of its samples: up to three values changed, up to three damages."""
    value = random.choice(samples)
    changes = 0 if isinstance(value, bytes) else random.choice((0, 1, 1, 2, 3))
    if changes:
        value = copy.deepcopy(value)
        for _ in range(changes):
            value = _changed(random, value)
    data = parser.encode(value)
    damages = 0 if changes and random.randrange(4) else random.choice((1, 1, 2, 3))
    for _ in range(damages):
        data = _damaged(random, data)
    return data


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
