"""Scores of dances as a table to read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from recipes.dance_metrics.scores import OTHERS_MUSIC, dance_scores
from recipes.results.estimates import Estimate
from recipes.results.record import Results, by_item
from recipes.results.tables import markdown_table

if TYPE_CHECKING:
    import pandas as pd

HEADINGS: Mapping[str, str] = {
    "fid_kinetic": "FIDk ↓",
    "fid_geometric": "FIDg ↓",
    "div_kinetic": "Divk",
    "div_geometric": "Divg",
    "beat_align_fact": "BeatAlign, FACT ↑",
    "beat_align_bailando": "BeatAlign, Bailando ↑",
    "pfc": "PFC ↓",
    "skating_ratio": "skating ratio ↓",
    "skating_speed": "skating m/s ↓",
    "contacts_on_beats": "contacts on beats, F ↑",
    "contacts_on_steps": "contacts on true steps, F ↑",
}


def markdown(results: Sequence[Results]) -> str:
    """A row a measure, generated beside true; measures that neither has are left out.

    Args:
        results: of :func:`~recipes.dance_metrics.scores.dance_results`, with the source of the music's beats
            in the run's details.
    """
    scores = dance_scores(results)
    made, true = (by_item(one) for one in results)

    def on_others_music(values: pd.DataFrame, measure: str) -> Estimate:
        name = f"{measure}{OTHERS_MUSIC}"
        return Estimate(float(values[name].mean()) if name in values else math.nan)

    rows = [
        [
            heading,
            scores.generated[measure].text(),
            on_others_music(made, measure).text(),
            scores.truth[measure].text(),
            on_others_music(true, measure).text(),
        ]
        for measure, heading in HEADINGS.items()
        if not math.isnan(scores.generated[measure].value) or not math.isnan(scores.truth[measure].value)
    ]
    heading = ["", f"generated ({len(made)})", "to others' music", f"truth ({len(true)})", "to others' music"]
    lines = [
        *markdown_table(heading, rows),
        "",
        f"Beats of the music: {results[0].run.details['beats']}. In brackets: 95 % intervals over dances, "
        "the truth held fixed. FID of the truth: between halves of it, which are fewer dances. To others' "
        "music: the same dances by the beats of other pieces, as they would score who do not listen.",
        *(f"- {warning}." for warning in scores.warnings),
    ]
    return "\n".join(lines) + "\n"
