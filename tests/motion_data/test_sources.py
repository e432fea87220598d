"""Licences of corpora: names as SPDX has them, one table, and what export refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion_data.commands.licences import main as licences
from motion_data.corpora.recordings.licence import is_copyleft, is_restricted, licence_label, licence_names
from motion_data.errors import DataError
from motion_data.manifest import Corpus, write_manifest
from motion_data.pair import MotionPair
from motion_data.sources import check_licences, has_copyleft, licence_rows, package_table
from motionbeat_upstream.checkpoint import is_private


def made_pair(name: str, licence: str, split: str = "train", **facts: object) -> MotionPair:
    return MotionPair(
        name,
        "recordings",
        f"piece {name}",
        f"take {name}",
        split,
        licence,
        1800.0,
        0.0,
        (),
        {},
        provenance=facts,
    )


class TestNames:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("GPL-2+ (copyright file of x-3.0)", "GPL-2.0-or-later"),
            ("GPL-2", "GPL-2.0-only"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("LGPL, GPL, BSD (copyright file of a)", "LGPL, GPL, BSD"),
            ("Expat or GPL-2 or GPL-3", "MIT or GPL-2.0-only or GPL-3.0-only"),
            ("GPL-3 or later", "GPL-3.0-or-later"),
            ("CC-BY-SA-3.0+", "CC-BY-SA-3.0"),
            ("CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
            ("Creative Commons Attribution-NonCommercial 2.0", "CC-BY-NC-2.0"),
            ("Creative Commons, GPL", "Creative-Commons-unspecified, GPL"),
            ("tune in the public domain; arrangement and dance: Apache-2.0", "public-domain, Apache-2.0"),
            ("CC0", "CC0-1.0"),
            ("CC0-1.0", "CC0-1.0"),
            ("BSD-2-clause", "BSD-2-Clause"),
            ("music: a database's own terms, for research that is not commercial", "non-commercial"),
            ("the user's own", "the user's own"),
            ("", "not stated"),
        ],
    )
    def test_what_packages_and_pairs_say(self, text: str, names: str) -> None:
        assert licence_label(text) == names

    @given(
        st.sampled_from(("", "NC", "ND", "SA", "NC-SA", "NC-ND")),
        st.sampled_from(("1.0", "2.0", "2.5", "3.0", "4.0")),
        st.sampled_from(("CC-BY", "CC BY", "cc-by")),
        st.sampled_from("- "),
    )
    def test_creative_commons(self, kind: str, version: str, start: str, between: str) -> None:
        text = f"{start}{'-' + kind if kind else ''}{between}{version}"
        assert licence_names(text) == (f"CC-BY-{kind + '-' if kind else ''}{version}",)
        assert is_restricted(text) == ("NC" in kind or "ND" in kind)
        assert is_copyleft(text) == ("SA" in kind)
        # A name that was found is found again.
        assert licence_names(licence_names(text)[0]) == licence_names(text)

    def test_a_choice_is_enough(self) -> None:
        assert not is_restricted("CC-BY-NC-3.0 or GPL-2")
        assert is_restricted("CC-BY-NC-3.0 and GPL-2")
        assert not is_copyleft("Expat or GPL-2")
        assert is_copyleft("CC-BY-SA-4.0 or GPL-2 or later")


PAIRS = (
    made_pair("a", "GPL-2+ (copyright file of p)", package="p"),
    made_pair("b", "GPL-2+ (copyright file of q)", package="q"),
    made_pair("c", "CC-BY-3.0 (copyright file of p)", "test", package="p"),
    made_pair("d", "CC0"),
)


def corpus_of(folder: Path, *pairs: MotionPair) -> Corpus:
    return write_manifest(folder, pairs, "recordings", {}, {"p/x.ogg": "no tatum", "r/y.ogg": "no tatum"})


class TestTable:
    def test_a_row_a_licence(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        rows = {row.licence: (row.sources, row.pieces, row.hours) for row in licence_rows(PAIRS)}
        assert rows == {
            "CC-BY-3.0": (("p",), 1, 0.5),
            "CC0-1.0": (("recordings",), 1, 0.5),
            "GPL-2.0-or-later": (("p", "q"), 2, 1.0),
        }
        corpus_of(tmp_path / "a", *PAIRS)
        corpus_of(tmp_path / "b", made_pair("e", "CC BY-NC 4.0"))
        assert licences([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
        told = capsys.readouterr().out
        assert "| GPL-2.0-or-later | p, q | 2 | 1.00 |" in told
        assert "\n1 pairs must not be used commercially" in told
        assert "CC BY-SA, the GPL" in told
        assert licences([str(tmp_path / "a"), "--split", "test"]) == 0
        assert "GPL" not in capsys.readouterr().out
        assert licences([str(tmp_path / "none")]) == 2

    def test_what_was_kept_of_packages(self, tmp_path: Path) -> None:
        lines = package_table(corpus_of(tmp_path, *PAIRS))
        assert "| p | CC-BY-3.0 | 1 | 1 | 0.50 | 0.00 | 0, 0, 0 |" in lines
        assert "| q | GPL-2.0-or-later | 1 | 0 | 0.50 | 0.00 | 0, 0, 0 |" in lines
        assert "| r | | 0 | 1 | 0.00 | 0.00 | |" in lines
        assert lines[-1].startswith("| all | | 4 (67 %) | 2 | 2.00 |")


class TestExport:
    def test_restricted_pairs_that_are_trained_on(self, tmp_path: Path) -> None:
        check_licences([corpus_of(tmp_path / "a", *PAIRS, made_pair("n", "CC BY-NC 4.0", "test"))])
        for split in ("train", "dev"):
            corpus = corpus_of(tmp_path / split, *PAIRS, made_pair("n", "CC BY-ND 4.0", split))
            with pytest.raises(DataError, match=r"1 pairs of train and dev .*\(n: CC-BY-ND-4\.0\)"):
                check_licences([corpus])

    def test_copyleft(self) -> None:
        assert has_copyleft(PAIRS)
        assert not has_copyleft([replace(pair, licence="CC-BY-4.0") for pair in PAIRS])

    def test_private_weights_stay_private(self) -> None:
        private = {"private": True}
        assert is_private(private)
        assert is_private({"private": False, "init": {"details": private}})
        assert is_private({"mean_of": [{"details": {}}, {"details": {"init": {"details": private}}}]})
        assert not is_private({"init": None, "private": False})
