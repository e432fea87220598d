"""Where the pairs of corpora come from, by licence; what may be done with weights trained on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

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


def package_table(corpus: Corpus) -> list[str]:
    """What a corpus of packages keeps of each: tracks, hours, tempi; lines of a Markdown table, and a sum.

    Hours are those of the pairs, where a track's variants count each.
    """
    groups: dict[tuple[str, str], list[MotionPair]] = {}
    for pair in corpus.pairs:
        groups.setdefault((source_of(pair), licence_label(pair.licence)), []).append(pair)
    refused = Counter(name.partition("/")[0] for name in corpus.info["left_out"])
    lines = ["| package | licence | tracks kept | refused | hours | with bars | bpm |", "|" + "---|" * 7]
    for (package, licence), pairs in sorted(groups.items()):
        # A package's refused tracks have no licence here: they stand in its first line.
        tracks = len({pair.piece for pair in pairs})
        lines.append(
            f"| {package} | {licence} | {tracks} | {refused.pop(package, 0)} | {_hours_and_tempi(pairs)} |"
        )
    lines += [f"| {package} | | 0 | {count} | 0.00 | 0.00 | |" for package, count in sorted(refused.items())]
    tracks, left_out = len({pair.piece for pair in corpus.pairs}), len(corpus.info["left_out"])
    share = tracks / (tracks + left_out)
    lines.append(
        f"| all | | {tracks} ({100 * share:.0f} %) | {left_out} | {_hours_and_tempi(corpus.pairs)} |"
    )
    return lines


def _hours_and_tempi(pairs: Sequence[MotionPair]) -> str:
    """Hours, hours with bars, and 5, 50 and 95 % of the tempi: three cells of a table."""
    hours = sum(pair.seconds for pair in pairs) / 3600
    # Where bars are not known, the dance is steps without joints.
    barred = sum(pair.seconds for pair in pairs if pair.joints) / 3600
    tempi = [pair.bpm for pair in pairs if pair.bpm is not None]
    low, middle, high = np.percentile(tempi, (5, 50, 95)) if tempi else (0.0, 0.0, 0.0)
    return f"{hours:.2f} | {barred:.2f} | {low:.0f}, {middle:.0f}, {high:.0f}"


def training_pairs(corpora: Sequence[Corpus]) -> list[MotionPair]:
    """The pairs that weights learn from or are chosen by: train and dev."""
    return [pair for corpus in corpora for pair in corpus.pairs if pair.split != "test"]


def check_licences(corpora: Sequence[Corpus]) -> None:
    """Refuse corpora whose train or dev pairs must not be used commercially, or not be changed.

    Raises:
        DataError: naming the pairs.
    """
    for corpus in corpora:
        found = [pair for pair in training_pairs([corpus]) if is_restricted(pair.licence)]
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
