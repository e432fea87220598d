"""Import direction: recipes → motion_data → motionbeat_upstream, and within it commands → nn → beats."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FORBIDDEN = {
    "motionbeat_upstream": ("motion_data", "recipes", "tests"),
    "motion_data": ("recipes", "tests"),
    "recipes": ("tests",),
    "motionbeat_upstream/tracking": ("motionbeat_upstream.nn", "motionbeat_upstream.commands"),
    "motionbeat_upstream/nn": ("motionbeat_upstream.commands", "s3prl", "fairseq2", "safetensors"),
}


@pytest.mark.slow
@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_package_imports_nothing_that_builds_on_it(folder: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for module in imported(file)
        for forbidden in FORBIDDEN[folder]
        if f"{module}.".startswith(f"{forbidden}.")
    ]
    assert not wrong


def imported(file: Path) -> Iterator[str]:
    """Modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
