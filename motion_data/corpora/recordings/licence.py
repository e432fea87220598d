"""The licence of a recording in a Debian package, and whether it may be used: NC and ND are refused.

Copyright files in Debian's machine-readable format (DEP-5) name a licence for each glob of files. The globs
are of the source package, whose folders are called otherwise than where the files are installed: a glob
counts for a track where its last part matches the track's name, or its last folder is one of the track's
folders. As in the format itself, the last paragraph that matches counts; ``*`` alone matches everything."""

from __future__ import annotations

import re
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
"""Of text that forbids commercial use or changed versions. The word "noncommercial" alone does not: the GPL
uses it."""

KNOWN = {
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
"""Names of licences that texts in no format are searched for."""


@dataclass(frozen=True)
class _Paragraph:
    globs: tuple[str, ...]
    licence: str
    text: str


def track_licence(copyright_text: str, track: str, package: str) -> str:
    """Name of the licence of a track.

    Args:
        copyright_text: of the package's copyright file.
        track: path in the package, such as ``usr/share/games/x/music/a.ogg``.
        package: for the message, and for what is returned where the text is in no format.

    Raises:
        DataError: the licence forbids commercial use or changed versions.
    """
    if not re.match(r"\s*format(?:-specification)?:", copyright_text, re.IGNORECASE):
        found = RESTRICTED.search(" ".join(copyright_text.split()))
        if found:
            raise DataError(_refusal(package, f"its copyright file says {found[0]!r}"))
        return f"{_names_in(copyright_text)} (copyright file of {package})"
    paragraphs, texts = _parsed(copyright_text)
    matching = [paragraph for paragraph in paragraphs if _match(paragraph.globs, track)]
    if not matching:
        # No paragraph is known to be the track's: each may be.
        matching = paragraphs
        chosen = paragraphs
    else:
        chosen = matching[-1:]
    for paragraph in chosen:
        full = (
            paragraph.text
            + "\n"
            + "\n".join(text for name, text in texts.items() if name.lower() in paragraph.licence.lower())
        )
        found = RESTRICTED.search(paragraph.licence) or RESTRICTED.search(" ".join(full.split()))
        # "or" leaves the choice, and one of the two is enough.
        if found and not _has_free_choice(paragraph.licence):
            raise DataError(_refusal(package, f"{track} is under {paragraph.licence}"))
    names = dict.fromkeys(paragraph.licence or _names_in(paragraph.text) for paragraph in chosen)
    return f"{' and '.join(names) or 'unknown'} (copyright file of {package})"


def _refusal(package: str, what: str) -> str:
    return f"{package}: {what}, which forbids commercial use or changed versions; leave it out"


def _has_free_choice(licence: str) -> bool:
    choices = re.split(r"\s+or\s+", licence)
    return len(choices) > 1 and any(not RESTRICTED.search(choice) for choice in choices)


def _names_in(text: str) -> str:
    plain = " ".join(text.lower().split())
    names = [name for pattern, name in KNOWN.items() if re.search(pattern, plain)]
    return ", ".join(names) or "as stated"


def _parsed(text: str) -> tuple[list[_Paragraph], dict[str, str]]:
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


def _match(globs: tuple[str, ...], track: str) -> bool:
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
