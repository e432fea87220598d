"""Planner of a constructed corpus, stored in it, so that pairs beyond its manifest can be planned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from motion_data.corpora.constructed.dancer import Follows
from motion_data.corpora.constructed.plan import (
    BEATLESS,
    FORMAT,
    Mix,
    Plan,
    TunePools,
    group_tunes,
    plan_pair,
)
from motion_data.corpora.constructed.scores import ScoreEntry
from motion_data.corpora.constructed.tunes import Tune, tune_from_record, tune_to_record
from motion_data.errors import DataError
from motion_data.preparation import split_by_hash
from motionbeat_upstream.atomic_write import write_text

PLANNER_FILE, TAKES_FOLDER = "planner.json", "takes"
"""File of the planner and folder of the captured takes in a prepared corpus."""


@dataclass(frozen=True)
class Planner:
    """Everything that the plans of a corpus depend on."""

    folder: Path
    """Folder of the corpus, which contains scores and captured takes."""
    seed: int
    seconds: float
    """Length of each pair."""
    soundfont: Path | None
    """None for the default."""
    tunes: Sequence[Tune]
    shares: Mapping[str, float]
    """Share of each source of music."""
    scores: Mapping[str, Sequence[ScoreEntry]]
    """Scores by source."""
    captured: bool = False
    """Whether captured takes are used where they fit."""
    played: Mapping[str, Any] | None = None
    """A plan's fields from ``sounds`` on; None for the soundfont."""
    follows: Follows = "beats"
    """What the parametric dancer follows; absent in old corpora."""

    def plan(self, index: int) -> Plan:
        """Plan one pair; a captured take is chosen later, when the pair is arranged."""
        plan = plan_pair(
            self.seed,
            index,
            self._pools,
            self.seconds,
            self.soundfont,
            self._mix,
            self.played,
            self.follows,
        )
        if not self.captured or plan.source == BEATLESS:
            return plan
        return replace(plan, motion=str((self.folder / TAKES_FOLDER).resolve()))

    @cached_property
    def _pools(self) -> TunePools:
        return group_tunes(self.tunes)

    @cached_property
    def _mix(self) -> Mix:
        return Mix(self.shares, group_entries(self.scores))


def group_entries(entries: Mapping[str, Sequence[ScoreEntry]]) -> dict[tuple[str, str], list[ScoreEntry]]:
    """Group scores by split and source; the split depends only on the name of the piece."""
    groups: dict[tuple[str, str], list[ScoreEntry]] = {}
    for source, scores in entries.items():
        for entry in scores:
            groups.setdefault((split_by_hash(entry.piece), source), []).append(entry)
    return groups


def write_planner(planner: Planner) -> None:
    """Write a planner into the folder of its corpus, atomically."""
    record = {
        "format": FORMAT,
        "seed": planner.seed,
        "seconds": planner.seconds,
        "soundfont": None if planner.soundfont is None else str(planner.soundfont),
        "tunes": [tune_to_record(tune) for tune in planner.tunes],
        "shares": dict(planner.shares),
        "scores": {source: [vars(entry) for entry in scores] for source, scores in planner.scores.items()},
        "captured": planner.captured,
        "played": planner.played,
        "follows": planner.follows,
    }
    write_text(planner.folder / PLANNER_FILE, json.dumps(record, ensure_ascii=False) + "\n")


def read_planner(folder: str | Path) -> Planner:
    """Read the planner of a corpus.

    Raises:
        DataError: it is missing, invalid or of another version.
    """
    path = Path(folder) / PLANNER_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if (version := record.pop("format")) != FORMAT:
            raise ValueError(f"format {version}, expected {FORMAT}")
        soundfont = record.pop("soundfont")
        scores = {
            source: [ScoreEntry(**{**entry, "bpm": tuple(entry["bpm"])}) for entry in entries]
            for source, entries in record.pop("scores").items()
        }
        tunes = [tune_from_record(tune) for tune in record.pop("tunes")]
        return Planner(
            folder=Path(folder),
            soundfont=None if soundfont is None else Path(soundfont),
            scores=scores,
            tunes=tunes,
            **record,
        )
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); endless pairs need a constructed corpus of this "
            f"version that is not in shards: prepare it again"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a planner of this version ({error}); prepare the corpus again"
        ) from error
