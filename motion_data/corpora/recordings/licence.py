"""Licence of a recording in a Debian package; licences with NC and ND terms are refused.

Copyright files in Debian's machine-readable format (DEP-5) give a licence for each glob of files. Globs refer
to the source package, whose folders may differ from those of the installed files. A glob therefore matches a
track if its last part matches the track's name, or its last folder is a folder of the track. As in the format
itself, the last matching paragraph counts; ``*`` matches everything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from motion_data.errors import DataError

RESTRICTED = re.compile(
    r"\bby(?:-sa)?-n[cd]\b|\bn[cd]-(?:sa|nd|[0-9])|-n[cd]\b"
    r"|attribution[-, ]+non-?commercial|non-?commercial[-, ]+(?:share|no-?deriv)"
    r"|\bno-?deriv(?:ative|ation|s\b)|\bno derivative works\b"
    r"|\bnon-?commercial (?:use|purposes|usage) only|\bonly (?:for )?non-?commercial"
    r"|primarily intended for or directed toward commercial advantage"
    r"|\bfor non-?commercial (?:use|purposes)\b|\bno commercial use|\bnot be (?:sold|used commercially)",
    re.IGNORECASE,
)
"""Texts that forbid commercial use or changed versions. The word "noncommercial" alone does not match: it
occurs in the GPL."""

LICENCE_PATTERNS = {
    r"creative commons attribution[- ]share-? ?alike|cc[- ]by-sa": "CC-BY-SA",
    r"creative commons attribution(?![- ]share)|cc[- ]by(?!-)": "CC-BY",
    r"creative commons public licen[cs]e": "Creative Commons",
    r"\bcc0\b|public domain": "public-domain",
    r"free art licen[cs]e": "Free-Art",
    r"\blesser general public|\blgpl": "LGPL",
    r"(?<!lesser )general public licen[cs]e|(?<!l)gpl": "GPL",
    r"redistribution and use in source and binary": "BSD",
    r"permission is hereby granted, free of charge": "MIT",
    r"open audio licen[cs]e": "OAL",
    r"artistic licen[cs]e": "Artistic",
    r"this software is provided 'as-is'": "zlib",
}
"""Patterns of licence names in copyright files without a format."""


NON_COMMERCIAL_WORDS = re.compile(
    r"\bnon-?commercial(?:ly)?\b|\bnot (?:be )?commercial|\bresearch (?:use |purposes )?only\b", re.IGNORECASE
)
"""Short names or summaries of licences without commercial use other than Creative Commons NC. Full texts must
not be searched, because the GPL matches."""

_VERSION = r"(?:[- ]?v?(?P<version>[0-9](?:\.[0-9])?)(?P<later>\+|[- ]or[- ]later|\.0\+)?)?(?![A-Za-z])"

SPDX = {
    r"\bcc-?0\b(?:[- ]1\.0)?": "CC0-1.0",
    r"(?:\bcc|creative commons)[- ](?:by|attribution)(?P<kind>(?:[- ](?:nc|nd|sa|non-?commercial|no-?deriv\w*"
    r"|share-? ?alike))*)" + _VERSION: "CC-BY",
    r"\bcreative commons\b(?! attribution)": "Creative-Commons-unspecified",
    r"\b(?P<name>lgpl|agpl|gpl)" + _VERSION: "GPL",
    r"\bapache(?:[- ]2(?:\.0)?)?\b": "Apache-2.0",
    r"\bexpat\b|\bmit\b": "MIT",
    r"\bbsd(?:-(?P<clauses>[234])(?:-clause)?)?\b": "BSD",
    r"\bzlib\b": "Zlib",
    r"\bpublic[- ]domain\b|\bpd\b": "public-domain",
    r"\bartistic(?:[- ](?P<number>[12])(?:\.0)?)?\b": "Artistic",
    r"\bfree[- ]art\b(?:[- ]licen[cs]e)?(?:[- ]1\.[0-9])?": "LAL",
    r"\boal\b": "OAL",
}
"""Patterns of licence names in pairs and packages, and the corresponding SPDX (or similar) names."""

_CHOICE = re.compile(r"\s+or\s+(?!later)")

NOT_COMMERCIAL = "non-commercial"
"""Name of an unnamed licence without commercial use."""


@dataclass(frozen=True)
class _Paragraph:
    globs: tuple[str, ...]
    licence: str
    text: str


def track_licence(copyright_text: str, track: str, package: str) -> str:
    """Name of the licence of a track.

    Args:
        copyright_text: content of the package's copyright file.
        track: path in the package, such as ``usr/share/games/x/music/a.ogg``.
        package: name of the package, which is part of the result and of messages.

    Raises:
        DataError: the licence forbids commercial use or changed versions.
    """
    if not re.match(r"\s*format(?:-specification)?:", copyright_text, re.IGNORECASE):
        restriction = RESTRICTED.search(" ".join(copyright_text.split()))
        if restriction:
            raise DataError(_refusal_message(package, f"its copyright file says {restriction[0]!r}"))
        return f"{_find_licence_names(copyright_text)} (copyright file of {package})"
    paragraphs, texts = _parse_copyright(copyright_text)
    matching = [paragraph for paragraph in paragraphs if _glob_matches(paragraph.globs, track)]
    # Without a matching paragraph, any may apply to the track.
    chosen = matching[-1:] or paragraphs
    for paragraph in chosen:
        named_texts = [text for name, text in texts.items() if name.lower() in paragraph.licence.lower()]
        full_text = " ".join("\n".join([paragraph.text, *named_texts]).split())
        is_restrictive = RESTRICTED.search(paragraph.licence) or RESTRICTED.search(full_text)
        # With "or", one permissive licence is enough.
        if is_restrictive and not _has_free_choice(paragraph.licence):
            raise DataError(_refusal_message(package, f"{track} is under {paragraph.licence}"))
    names = dict.fromkeys(paragraph.licence or _find_licence_names(paragraph.text) for paragraph in chosen)
    return f"{' and '.join(names) or 'unknown'} (copyright file of {package})"


def licence_names(licence: str) -> tuple[str, ...]:
    """SPDX names of the licences in a pair's licence text.

    Args:
        licence: of a :class:`~motion_data.pair.MotionPair`, such as ``GPL-2+ (copyright file of x)``.

    Returns:
        Distinct names such as ``("GPL-2.0-or-later",)`` in the order of the text; the text itself if it
        contains no known name.
    """
    text = re.sub(r"\(copyright file of [^)]*\)", "", licence).strip()
    names = []
    for pattern, name in SPDX.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            names.append((match.start(), _spdx_name(name, match.groupdict())))
    unnamed = NON_COMMERCIAL_WORDS.search(text)
    if unnamed is not None and not any("NC" in name for _, name in names):
        names.append((unnamed.start(), NOT_COMMERCIAL))
    distinct = tuple(dict.fromkeys(name for _, name in sorted(names)))
    return distinct or (" ".join(text.split()) or "not stated",)


def licence_label(licence: str) -> str:
    """Names from :func:`licence_names` in one line, joined by "or" if the licence leaves the choice."""
    return (" or " if _CHOICE.search(licence) else ", ").join(licence_names(licence))


def is_restricted(licence: str) -> bool:
    """Whether a pair's licence forbids commercial use or changed versions and has no alternative."""
    text = " ".join(licence.split())
    return bool(RESTRICTED.search(text) or NON_COMMERCIAL_WORDS.search(text)) and not _has_free_choice(text)


def is_copyleft(licence: str) -> bool:
    """Whether all alternatives of a pair's licence are copyleft."""
    choices = _CHOICE.split(" ".join(licence.split()))
    return all(
        any(part in name for name in licence_names(choice) for part in ("GPL", "-SA", "LAL"))
        for choice in choices
    )


def _spdx_name(name: str, parts: Mapping[str, str | None]) -> str:
    """Complete a name of ``SPDX`` by the matched version, kind and number."""
    version = parts.get("version")
    if name == "CC-BY":
        kind = (parts["kind"] or "").lower().replace("-", "").replace(" ", "")
        marks = {"NC": ("nc", "noncommercial"), "ND": ("nd", "noderiv"), "SA": ("sa", "share")}
        kinds = [mark for mark, words in marks.items() if any(word in kind for word in words)]
        return "-".join(["CC-BY", *kinds, *([version] if version else [])])
    if name == "GPL":
        gpl = str(parts["name"]).upper()
        if version is None:
            return gpl
        full = version if "." in version else f"{version}.0"
        return f"{gpl}-{full}-{'or-later' if parts.get('later') else 'only'}"
    if name == "BSD":
        return f"BSD-{parts['clauses']}-Clause" if parts.get("clauses") else "BSD"
    if name == "Artistic":
        return f"Artistic-{parts['number']}.0" if parts.get("number") else "Artistic"
    return name


def _refusal_message(package: str, what: str) -> str:
    return f"{package}: {what}, which forbids commercial use or changed versions; leave it out"


def _has_free_choice(licence: str) -> bool:
    choices = re.split(r"\s+or\s+", licence)
    return len(choices) > 1 and any(not RESTRICTED.search(choice) for choice in choices)


def _find_licence_names(text: str) -> str:
    plain = " ".join(text.lower().split())
    names = [name for pattern, name in LICENCE_PATTERNS.items() if re.search(pattern, plain)]
    return ", ".join(names) or "as stated"


def _parse_copyright(text: str) -> tuple[list[_Paragraph], dict[str, str]]:
    """Paragraphs with files, and the texts of licences that stand in paragraphs of their own, by name."""
    paragraphs, texts = [], {}
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in block.split("\n"):
            if line[:1] in (" ", "\t"):
                if name:
                    fields[name].append(line.strip())
            elif ":" in line and not line.startswith("#"):
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields.setdefault(name, []).append(value.strip())
        licence = fields.get("license") or fields.get("licence", [""])
        if "files" in fields:
            globs = tuple(" ".join(fields["files"]).replace(",", " ").split())
            paragraphs.append(_Paragraph(globs, licence[0], "\n".join(licence[1:])))
        elif licence[0]:
            texts[licence[0]] = "\n".join(licence[1:])
    return paragraphs, texts


def _glob_matches(globs: tuple[str, ...], track: str) -> bool:
    """Whether one of the globs of a source package may name an installed file."""
    path = PurePosixPath(track)
    folders = [part.lower() for part in path.parts[:-1]]
    for glob in globs:
        *parents, last = [part for part in glob.split("/") if part not in ("", ".")] or ["*"]
        if last in ("*", "*.*"):
            if not parents or parents[-1].lower() in folders:
                return True
            continue
        # Formats are changed when packages are built: the name counts, and not what kind of file it was.
        stem = last.rpartition(".")[0] or last
        names = [(path.name.lower(), last.lower())]
        if stem != "*":
            names.append((path.stem.lower(), stem.lower()))
        named = any(fnmatchcase(name, pattern) for name, pattern in names)
        if named and (stem != "*" or not parents or parents[-1].lower() in folders or "*" in parents[-1]):
            return True
        # Debian's * matches / as well, and a folder may be given without it.
        if last.lower() in folders and "*" not in last and "." not in last:
            return True
    return False
