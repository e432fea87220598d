"""Names of files as text, in names of other files, and on the terminal.

On Linux a file's name is bytes. Python holds those that are not UTF-8 as lone surrogates, which open the file
but cannot be printed, drawn or written as UTF-8.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys

LONGEST = 200
"""Bytes of a name made by :func:`fit_name`: with a number and a suffix it stays within the 255 bytes that
file systems allow."""


def printable(name: str) -> str:
    r"""A name as text; bytes that are not UTF-8 become ``\xNN``, other names stay as they are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def fit_name(name: str) -> str:
    """A name for files made from ``name``: itself, or with a hash where it is too long or not UTF-8."""
    data = os.fsencode(name)
    text = printable(name)
    if text == name and len(data) <= LONGEST:
        return name
    digest = hashlib.sha256(data).hexdigest()[:8]
    kept = text.replace("\\", "_").encode()[: LONGEST - len(digest) - 1].decode("utf-8", "ignore")
    return f"{kept}_{digest}"


def print_any_name() -> None:
    r"""Let ``print`` write what the terminal cannot show as ``\xNN`` or ``\uNNNN``; without it, it raises."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
