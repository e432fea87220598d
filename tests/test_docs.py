"""Links of the documents lead to files of the repository, and the reference lists every command."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from motion_data.commands.data import COMMANDS as DATA
from recipes.benchmark.__main__ import COMMANDS as BENCHMARKS

ROOT = Path(__file__).parents[1]

PATTERNS = ("*.md", "docs/*.md", "motionbeat_upstream/weights/*.md", "recipes/downstream/*/weights/*.md")
DOCUMENTS = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text)
    for path, heading in links:
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name}: {path}"
        assert not heading or heading in headings(target), f"{document.name}: {path}#{heading}"


def test_the_reference_lists_every_command() -> None:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = config["options.entry_points"]["motionbeat.commands"].strip().splitlines()
    names = {line.split("=")[0].strip() for line in lines} - {"data", "benchmark"}
    names |= {f"data {name}" for name in DATA} | {f"benchmark {name}" for name in BENCHMARKS}
    assert names == set(re.findall(r"^\| `motionbeat ([^`]+)`", page, re.MULTILINE))


def test_modules_of_the_reference_exist() -> None:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:motionbeat_upstream|motion_data|recipes)\.[\w.]+)`", page):
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name
