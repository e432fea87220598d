"""Sources of the pairs of corpora by licence, and the licence terms for weights trained on them."""

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
    """SPDX names; all of those joined by commas apply, and one of those joined by "or"."""
    sources: tuple[str, ...]
    """Packages, or corpora of pairs without a package."""
    pieces: int
    hours: float
    """Length of the pairs, including variants of a piece."""


def source_of(pair: MotionPair) -> str:
    """Package of a pair's music, or the pair's corpus."""
    return str(pair.provenance.get("package", pair.corpus))


def licence_rows(pairs: Iterable[MotionPair]) -> list[LicenceRow]:
    """Sources by licence, in alphabetical order."""
    groups: dict[str, list[MotionPair]] = {}
    for pair in pairs:
        groups.setdefault(licence_label(pair.licence), []).append(pair)
    return [
        LicenceRow(
            name,
            tuple(sorted({source_of(pair) for pair in group})),
            len({pair.piece for pair in group}),
            total_hours(group),
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
    """Lines of a Markdown table of the tracks, hours and tempi of each package of a corpus, with a total.

    Hours are those of the pairs, including variants of a track.
    """
    groups: dict[tuple[str, str], list[MotionPair]] = {}
    for pair in corpus.pairs:
        groups.setdefault((source_of(pair), licence_label(pair.licence)), []).append(pair)
    refused = Counter(name.partition("/")[0] for name in corpus.info["left_out"])
    lines = ["| package | licence | tracks kept | refused | hours | with bars | bpm |", "|" + "---|" * 7]
    for (package, licence), pairs in sorted(groups.items()):
        # Refused tracks have no licence; they are counted in the first line of their package.
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
    """Three cells of a table: hours, hours with bars, and 5th, 50th and 95th percentile of the tempi."""
    # Pairs with unknown bars have no joints.
    barred = total_hours(pair for pair in pairs if pair.joints)
    return f"{total_hours(pairs):.2f} | {barred:.2f} | {tempo_percentiles(pairs) or '0, 0, 0'}"


def total_hours(pairs: Iterable[MotionPair]) -> float:
    """Length of the pairs, including variants of a piece."""
    return sum(pair.seconds for pair in pairs) / 3600


def tempo_percentiles(pairs: Iterable[MotionPair]) -> str:
    """5th, 50th and 95th percentile of the tempi in bpm, separated by commas; empty without tempi."""
    tempi = [pair.bpm for pair in pairs if pair.bpm is not None]
    return ", ".join(f"{bpm:.0f}" for bpm in np.percentile(tempi, (5, 50, 95))) if tempi else ""


def training_pairs(corpora: Sequence[Corpus]) -> list[MotionPair]:
    """Pairs used for training or model selection: train and dev."""
    return [pair for corpus in corpora for pair in corpus.pairs if pair.split != "test"]


def check_licences(corpora: Sequence[Corpus]) -> None:
    """Refuse corpora with train or dev pairs that forbid commercial use or changed versions.

    Raises:
        DataError: there are such pairs; the message names them.
    """
    for corpus in corpora:
        pairs = [pair for pair in training_pairs([corpus]) if is_restricted(pair.licence)]
        if pairs:
            names = ", ".join(pair.name for pair in pairs[:5]) + (", …" if len(pairs) > 5 else "")
            licences = sorted({licence_label(pair.licence) for pair in pairs})
            raise DataError(
                f"{corpus.folder}: {len(pairs)} pairs of train and dev are under licences that forbid "
                f"commercial use or changed versions ({names}: {'; '.join(licences)}); train without them"
            )


def has_copyleft(pairs: Iterable[MotionPair]) -> bool:
    """Whether a pair is under a copyleft licence such as CC BY-SA or the GPL."""
    return any(is_copyleft(licence) for licence in {pair.licence for pair in pairs})
