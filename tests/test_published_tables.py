"""Tables as JSON, and the documents that show them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_data.errors import DataError
from recipes.benchmark.docs import fill_document, main
from recipes.results.estimates import Estimate
from recipes.results.published import read_tables, write_tables
from recipes.results.tables import ResultTable

NUMBER = st.floats(-1, 1).map(lambda value: round(value, 6))
ESTIMATE = st.one_of(
    st.builds(Estimate, NUMBER), st.builds(Estimate, NUMBER, NUMBER, NUMBER, st.integers(2, 50))
)


@st.composite
def tables(draw: st.DrawFn) -> ResultTable:
    width = draw(st.integers(1, 3))
    row = st.lists(ESTIMATE, min_size=width, max_size=width)
    names = st.sampled_from(["motionbeat", "fbank", "librosa 0.11"])
    return ResultTable(
        draw(st.sampled_from(["songs", "drums: test"])),
        tuple(f"measure {number}" for number in range(width)),
        draw(st.dictionaries(names, row, min_size=1)),
        draw(st.dictionaries(names.map("{} − other".format), row)),
        draw(
            st.dictionaries(names.map("{} chance".format), st.lists(NUMBER, min_size=width, max_size=width))
        ),
        "a note",
        "tracker",
    )


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(table=tables())
def test_a_table_is_the_same_after_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, table: ResultTable
) -> None:
    path = tmp_path_factory.mktemp("tables") / "tables.json"
    write_tables(path, [table])
    assert read_tables(path)[table.title].lines() == table.lines()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2, "tables": []}', '{"format": 1, "tables": [{"title": "x"}]}']
)
def test_other_files_are_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tables.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"tables\.json"):
        read_tables(path)


def project(folder: Path, value: float) -> Path:
    """A project with one document and results of two data sets."""
    results = [
        ResultTable(
            title,
            ("beat F", "downbeat F"),
            {
                "ours": [Estimate(value, 0.4, 0.9, 8), Estimate(0.25)],
                "theirs": [Estimate(0.3), Estimate(0.2)],
            },
            {"ours − theirs": [Estimate(value - 0.3, 0.1, 0.6, 8), Estimate(0.05)]},
        )
        for title in ("songs", "drums")
    ]
    write_tables(folder / "docs/results/beats.json", results)
    return folder


DOCUMENT = """Ours reaches <!-- figure: beats songs ours "beat F" --><!-- end -->, which is
<!-- figure: beats songs "ours − theirs" "beat F" -->old<!-- end --> more.

<!-- table: beats * "beat F" rows=theirs,ours -->
anything
<!-- end -->
"""


def test_documents_show_what_the_files_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path, 0.5)
    readme = root / "README.md"
    readme.write_text(DOCUMENT)
    assert main(["--check", "--root", str(root)]) == 1
    assert readme.read_text() == DOCUMENT
    assert main(["--root", str(root)]) == 0
    text = readme.read_text()
    assert "0.500 [0.400, 0.900]<!-- end -->" in text
    assert "+0.200 [+0.100, +0.600]<!-- end -->" in text
    assert "| tracker | songs | drums |" not in text  # the heading is that of the file
    assert "| upstream | songs | drums |" in text
    assert text.index("| theirs | 0.300 | 0.300 |") < text.index("| ours | 0.500")
    assert "anything" not in text
    assert "old" not in text
    assert main(["--check", "--root", str(root)]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("table: other songs", "other.json"),
        ("table: beats nothing", "'songs', 'drums'"),
        ("table: beats songs rows=nobody", "no row 'nobody'"),
        ("table: beats songs columns=G", "no measure 'G'"),
        ("table: beats", "expected FILE TITLE"),
        ("table: beats songs colour=red", "colour"),
        ("figure: beats songs ours", "expected FILE TITLE ROW MEASURE"),
        ('figure: beats songs nobody "beat F"', "no row 'nobody'"),
    ],
)
def test_a_comment_that_names_nothing_is_refused(tmp_path: Path, request_: str, message: str) -> None:
    project(tmp_path, 0.5)
    with pytest.raises(DataError, match=message) as error:
        fill_document(f"<!-- {request_} --><!-- end -->", tmp_path / "docs/results", "README.md")
    assert str(error.value).startswith(f"README.md: <!-- {request_} -->")


def test_the_documents_of_the_project_are_up_to_date() -> None:
    root = Path(__file__).parents[1]
    assert main(["--check", "--root", str(root)]) == 0
    assert all(json.loads(path.read_text())["command"] for path in (root / "docs/results").glob("*.json"))
