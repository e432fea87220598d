"""What a command does, in one line, without importing it."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path


def first_line(module: str) -> str:
    """The first line of a module's docstring, without the ``name:`` at its beginning."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return "(not installed)"
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    line = text.partition("\n")[0]
    return (line.partition("``: ")[2] or line).rstrip(".")
