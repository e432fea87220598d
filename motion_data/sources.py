"""Where the pairs of corpora come from, by licence; what may be done with weights trained on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from motion_data.corpora.recordings.licence import is_copyleft, is_restricted, licence_label
from motion_data.errors import DataError
from motion_data.manifest import Corpus
from motion_data.pair import MotionPair

COPYLEFT_NOTE = (
    "Some of this music is under CC BY-SA, the GPL, the Free Art Licence or the like, which ask that works "
    "made from it come under the same terms. Whether weights trained on it are such a work is not settled. "
    "Weights hold no music and no excerpt of it, and are offered under their own licence in the belief that "
    "they are no adaptation of single recordings; nobody has confirmed that. The sources are listed so that "
    "whoever sees it otherwise can name the authors and keep to their terms, or train without these sources."
)
"""For cards and metadata of weights."""


@dataclass(frozen=True)
class LicenceRow:
    """The pairs under one licence, or under one set of licences."""

    licence: str
    """Names as SPDX has them; all count that are joined by commas, one is enough of those joined by "or"."""
    sources: tuple[str, ...]
    """Packages; corpora where pairs belong to none."""
    pieces: int
    hours: float
    """Of sound and motion; variants of a piece count each."""


def source_of(pair: MotionPair) -> str:
    """The package that a pair's music comes from, or the pair's corpus."""
    return str(pair.provenance.get("package", pair.corpus))


def licence_rows(pairs: Iterable[MotionPair]) -> list[LicenceRow]:
    """The sources by licence, by the alphabet."""
    groups: dict[str, list[MotionPair]] = {}
    for pair in pairs:
        groups.setdefault(licence_label(pair.licence), []).append(pair)
    return [
        LicenceRow(
            name,
            tuple(sorted({source_of(pair) for pair in group})),
            len({pair.piece for pair in group}),
            sum(pair.seconds for pair in group) / 3600,
        )
        for name, group in sorted(groups.items())
    ]


def licence_table(pairs: Iterable[MotionPair]) -> list[str]:
    """Lines of a Markdown table of :func:`licence_rows`."""
    lines = ["| licence | sources | pieces | hours |", "|---|---|---|---|"]
    for row in licence_rows(pairs):
        lines.append(f"| {row.licence} | {', '.join(row.sources)} | {row.pieces} | {row.hours:.2f} |")
    return lines


def trained_pairs(corpora: Sequence[Corpus]) -> list[MotionPair]:
    """The pairs that weights learn from or are chosen by: train and dev."""
    return [pair for corpus in corpora for pair in corpus.pairs if pair.split != "test"]


def check_licences(corpora: Sequence[Corpus]) -> None:
    """Refuse corpora whose train or dev pairs must not be used commercially, or not be changed.

    Raises:
        DataError: naming the pairs.
    """
    for corpus in corpora:
        found = [pair for pair in trained_pairs([corpus]) if is_restricted(pair.licence)]
        if found:
            named = ", ".join(pair.name for pair in found[:5]) + (", …" if len(found) > 5 else "")
            licences = sorted({licence_label(pair.licence) for pair in found})
            raise DataError(
                f"{corpus.folder}: {len(found)} pairs of train and dev are under licences that forbid "
                f"commercial use or changed versions ({named}: {'; '.join(licences)}); train without them"
            )


def has_copyleft(pairs: Iterable[MotionPair]) -> bool:
    """Whether one of the pairs is under CC BY-SA, the GPL or the like."""
    return any(is_copyleft(licence) for licence in {pair.licence for pair in pairs})
