"""The command: what it writes, lists and refuses."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from motion_data.commands.data import main
from motion_data.looking import MAX_VALUE_CHARACTERS, facts
from motion_data.manifest import Corpus
from tests.conftest import skip_or_fail
from tests.looking_pairs import make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"), 3.0)


@pytest.mark.slow
def test_several_outputs_at_once(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("ffmpeg") is None:
        skip_or_fail("ffmpeg is not installed")
    outputs = [tmp_path / "new" / name for name in ("a.png", "a.svg", "a.mp4", "a.html")]
    arguments = ["inspect", str(corpus.folder), "steps", "--start", "0.5", "--seconds", "1"]
    assert main([*arguments, *(word for path in outputs for word in ("-o", str(path)))]) == 0
    assert all(path.stat().st_size > 5_000 for path in outputs)
    assert capsys.readouterr().err.count("wrote ") == 4
    assert "0.5 to 1.5 s of 3.0 s" in outputs[-1].read_text(encoding="utf-8")


def test_the_first_pair_and_the_list(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(corpus.folder)]) == 0
    said = capsys.readouterr().out
    assert "name         made\n" in said
    assert "licence      CC0-1.0" in said
    assert "audio        clicks.wav" in said
    assert main(["inspect", str(corpus.folder), "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["made", "steps"]
    assert "120.0 bpm" in lines[0]
    assert "steps without joints" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mad"], "no pair 'mad' among 2; did you mean made?"),
        (["other"], "no pair 'other' among 2; --list names them all"),
        (["made", "--start", "9", "-o", "a.png"], "pair 'made': a stretch from 9 s"),
    ],
)
def test_what_is_not_there(
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", str(corpus.folder), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("motionbeat data inspect: ")
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_facts_of_a_source_do_not_hide_those_of_the_pair(corpus: Corpus) -> None:
    pair = replace(corpus.pairs[0], provenance={"take": "reel 7", "note": "", "notes": list(range(1000))})
    told = facts(pair)
    assert (told["take"], told["take (source)"]) == ("made", "reel 7")
    assert "note" not in told
    assert len(told["notes"]) <= MAX_VALUE_CHARACTERS + 2
    assert told["notes"].endswith(" …")


def test_another_suffix_is_refused(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["inspect", str(corpus.folder), "-o", "a.gif"])
    assert (
        "a.gif: unknown format; expected a name that ends in .png, .pdf, .svg, .mp4, .html"
        in capsys.readouterr().err
    )


def test_a_folder_that_is_no_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path)]) == 2
    assert "no prepared corpus" in capsys.readouterr().err
