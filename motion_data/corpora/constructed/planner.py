"""What the pairs of a constructed corpus are planned from, kept in the corpus.

So pairs can be planned that its manifest does not list."""

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
"""In a prepared corpus: the file that holds its planner, and the folder of its captured takes."""


@dataclass(frozen=True)
class Planner:
    """What pairs are planned from."""

    folder: Path
    """Of the corpus, which holds scores and captured takes."""
    seed: int
    seconds: float
    """Length of each pair."""
    soundfont: Path | None
    """None for the default."""
    tunes: Sequence[Tune]
    shares: Mapping[str, float]
    """Of each source of music."""
    scores: Mapping[str, Sequence[ScoreEntry]]
    """By source."""
    captured: bool = False
    """Whether captured takes dance where they fit."""
    played: Mapping[str, Any] | None = None
    """The fields of a plan from ``sounds`` on; None where a soundfont plays."""
    follows: Follows = "beats"
    """What the parametric dancer dances to; corpora from before there was a choice do not say it."""

    def plan(self, index: int) -> Plan:
        """The plan of a pair, whatever others there are; a captured take is chosen once it is arranged."""
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
    """Entries by split and source; the split is dealt by the piece's name and so never changes."""
    dealt: dict[tuple[str, str], list[ScoreEntry]] = {}
    for source, of in entries.items():
        for entry in of:
            dealt.setdefault((split_by_hash(entry.piece), source), []).append(entry)
    return dealt


def write_planner(planner: Planner) -> None:
    """Write a planner into the folder of its corpus, whole or not at all."""
    told: dict[str, Any] = {"format": FORMAT, "seed": planner.seed, "seconds": planner.seconds}
    told["soundfont"] = None if planner.soundfont is None else str(planner.soundfont)
    told["tunes"] = [tune_to_record(tune) for tune in planner.tunes]
    told["shares"] = dict(planner.shares)
    told["scores"] = {source: [vars(entry) for entry in of] for source, of in planner.scores.items()}
    told["captured"] = planner.captured
    told["played"] = planner.played
    told["follows"] = planner.follows
    write_text(planner.folder / PLANNER_FILE, json.dumps(told, ensure_ascii=False) + "\n")


def read_planner(folder: str | Path) -> Planner:
    """What :func:`write_planner` wrote.

    Raises:
        DataError: there is none, or it is not of this version.
    """
    path = Path(folder) / PLANNER_FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if (found := told.pop("format")) != FORMAT:
            raise ValueError(f"format {found}, expected {FORMAT}")
        soundfont = told.pop("soundfont")
        scores = {
            source: [ScoreEntry(**{**entry, "bpm": tuple(entry["bpm"])}) for entry in of]
            for source, of in told.pop("scores").items()
        }
        tunes = [tune_from_record(record) for record in told.pop("tunes")]
        return Planner(
            folder=Path(folder),
            soundfont=None if soundfont is None else Path(soundfont),
            scores=scores,
            tunes=tunes,
            **told,
        )
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}), and pairs without end are planned from it; expected "
            f"a constructed corpus of this version, not one in shards: prepare it again"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a planner of this version ({error}); prepare the corpus again"
        ) from error
