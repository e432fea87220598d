"""Licences read from copyright files, in Debian's format and in none; NC and ND refused."""

from __future__ import annotations

import pytest

from motion_data.corpora.recordings.licence import track_licence
from motion_data.errors import DataError

TEXT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: A game

Files: *
Copyright: 2001 A
License: GPL-2+

Files: data/music/*
Copyright: 2002 B
License: CC-BY-SA-3.0

Files: data/music/theme.mod sounds/intro*.wav
Copyright: 2003 C
License: CC-BY-{theme}
 Text of it.

Files: data/pictures/*
Copyright: 2004 D
License: CC-BY-NC-3.0

Files: debian/*
Copyright: 2005 E
License: Expat or CC-BY-NC-3.0

License: GPL-2+
 Anyone may copy this occasionally and noncommercially; see below.

License: CC-BY-NC-3.0
 Attribution-NonCommercial 3.0
"""


def licence(track: str, theme: str = "3.0") -> str:
    return track_licence(TEXT.format(theme=theme), track, "game-data")


class TestFormat:
    @pytest.mark.parametrize(
        ("track", "expected"),
        [
            ("usr/share/game/music/level.ogg", "CC-BY-SA-3.0"),
            ("usr/share/game/music/theme.ogg", "CC-BY-3.0"),
            ("usr/share/game/sounds/intro2.ogg", "CC-BY-3.0"),
            ("usr/share/game/sounds/bang.ogg", "GPL-2+"),
        ],
    )
    def test_the_last_paragraph_that_matches_counts(self, track: str, expected: str) -> None:
        assert licence(track) == f"{expected} (copyright file of game-data)"

    @pytest.mark.parametrize("theme", ["NC-3.0", "ND-4.0", "NC-SA-2.5", "NC-ND-3.0", "nc"])
    def test_restricted_tracks_are_refused_and_no_others(self, theme: str) -> None:
        with pytest.raises(DataError, match=r"theme\.ogg is under CC-BY-"):
            licence("usr/share/game/music/theme.ogg", theme)
        assert licence("usr/share/game/music/level.ogg", theme).startswith("CC-BY-SA-3.0")

    def test_a_choice_with_a_free_licence_is_free(self) -> None:
        assert licence("usr/share/debian/x.ogg").startswith("Expat or")

    def test_a_name_that_its_text_explains(self) -> None:
        text = TEXT.format(theme="3.0").replace("CC-BY-SA-3.0", "Artist")
        text += "\nLicense: Artist\n Creative Commons Attribution-NonCommercial-NoDerivs 2.0\n"
        with pytest.raises(DataError, match="is under Artist"):
            track_licence(text, "usr/share/game/music/level.ogg", "game-data")

    def test_where_nothing_matches_all_count(self) -> None:
        text = "Format: x\n\nFiles: a/b.ogg\nLicense: MIT\n\nFiles: a/c.ogg\nLicense: CC-BY-NC-2.0\n"
        with pytest.raises(DataError, match="CC-BY-NC"):
            track_licence(text, "usr/share/d.ogg", "p")
        assert track_licence(text, "usr/share/b.ogg", "p").startswith("MIT")

    def test_a_licence_without_a_name(self) -> None:
        text = "Format: x\n\nFiles: *\nLicence:\n Put into the public\n domain by its author.\n"
        assert track_licence(text, "a.ogg", "p").startswith("public-domain (")


class TestPlainText:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("It may be used under the GNU General Public License, noncommercially or not.", "GPL"),
            ("The music is Creative Commons Attribution-ShareAlike 3.0.", "CC-BY-SA"),
            ("Released under CC-BY 3.0", "CC-BY"),
            ("In the public domain.", "public-domain"),
        ],
    )
    def test_free(self, text: str, name: str) -> None:
        assert track_licence(text, "a.ogg", "p") == f"{name} (copyright file of p)"

    @pytest.mark.parametrize(
        "text",
        [
            "Music: CC BY-NC-SA 3.0",
            "Creative Commons Attribution-NonCommercial 2.0",
            "Creative Commons\n Attribution-\n  NonCommercial 2.5",
            "Creative Commons\n Attribution-NoDerivs 2.5",
            "http://creativecommons.org/licenses/by-nd/3.0/",
            "You may copy it for non-commercial use.",
            "It may not be sold.",
        ],
    )
    def test_restricted(self, text: str) -> None:
        with pytest.raises(DataError, match="forbids commercial use or changed versions"):
            track_licence(text, "a.ogg", "p")
