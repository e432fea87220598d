"""File names as text, in names of other files, and on the terminal.

On Linux file names are bytes. In Python, bytes that are not UTF-8 become lone surrogates, which open the file
but cannot be printed, drawn or written as UTF-8.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys

MAX_BYTES = 200
"""Maximum length of names from :func:`safe_file_name`; with a number and a suffix they stay within the 255
bytes that file systems allow."""


def printable(name: str) -> str:
    r"""Return a file name as text; bytes that are not UTF-8 become ``\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def safe_file_name(name: str) -> str:
    """Return a name for a derived file: ``name``, or a short form with a hash if it is too long or not
    UTF-8."""
    data = os.fsencode(name)
    text = printable(name)
    if text == name and len(data) <= MAX_BYTES:
        return name
    digest = hashlib.sha256(data).hexdigest()[:8]
    prefix = text.replace("\\", "_").encode()[: MAX_BYTES - len(digest) - 1].decode("utf-8", "ignore")
    return f"{prefix}_{digest}"


def escape_unprintable() -> None:
    r"""Let ``print`` write characters that the terminal cannot show as ``\xNN`` or ``\uNNNN``, and not
    raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
