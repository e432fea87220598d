"""Scores of dances as a table to read and as JSON to go on with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from recipes.dance_metrics.scores import DanceScores, SetScores
from recipes.statistics.estimate import Estimate, plain_mean

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


def markdown(scores: DanceScores, settings: Mapping[str, Any]) -> str:
    """A row a measure, generated beside true; measures that neither has are left out."""
    made, true = scores.generated, scores.truth
    lines = [
        f"| | generated ({len(made.items)}) | to others' music "
        f"| truth ({len(true.items)}) | to others' music |",
        "|---|---|---|---|---|",
        *(
            f"| {heading} | {made.measures[key].text()} | {_to_others_music(made, key).text()} | "
            f"{true.measures[key].text()} | {_to_others_music(true, key).text()} |"
            for key, heading in HEADINGS.items()
            if not math.isnan(made.measures[key].value) or not math.isnan(true.measures[key].value)
        ),
        "",
        f"Beats of the music: {settings['beats']}. In brackets: 95 % intervals over dances, the truth held "
        "fixed. FID of the truth: between halves of it, which are fewer dances. To others' music: the same "
        "dances by the beats of other pieces, as they would score who do not listen.",
        *(f"- {warning}." for warning in scores.warnings),
    ]
    return "\n".join(lines) + "\n"


def record(scores: DanceScores, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All of it, with every dance; null where something is not defined."""
    return {
        "settings": dict(settings),
        "generated": _set_record(scores.generated),
        "truth": _set_record(scores.truth),
        "warnings": list(scores.warnings),
    }


def _to_others_music(part: SetScores, key: str) -> Estimate:
    return Estimate(plain_mean([of.get(key, math.nan) for of in part.to_others_music]))


def _set_record(part: SetScores) -> dict[str, Any]:
    return {
        "measures": {key: _estimate_record(estimate) for key, estimate in part.measures.items()},
        "dances": [
            {
                "name": item.name,
                **{key: _number(value) for key, value in item.scores.items()},
                "to_others_music": {key: _number(value) for key, value in others.items()},
                "kinetic": item.kinetic.tolist(),
                "geometric": item.geometric.tolist(),
            }
            for item, others in zip(part.items, part.to_others_music, strict=True)
        ],
    }


def _estimate_record(estimate: Estimate) -> dict[str, float | None]:
    return {key: _number(getattr(estimate, key)) for key in ("value", "low", "high")}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
