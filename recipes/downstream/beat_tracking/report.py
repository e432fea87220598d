"""An evaluation's results: a JSON file with everything, a table to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionbeat_upstream.atomic_write import atomic_path
from recipes.downstream.beat_tracking.scores import MEASURES, TARGETS, Mean, PieceScores, mean_scores
from recipes.downstream.origin import origin

if TYPE_CHECKING:
    from recipes.downstream.beat_tracking.settings import TaskSettings

PACKAGES = ("torch", "torchaudio", "s3prl", "mir_eval", "metricon", "numpy")

PIECES_IN_TABLE = 40
"""With more than these, the pieces are in the JSON file only."""

PIECES_FOR_INTERVAL = 5
"""With fewer, a bootstrap interval is hardly more than the range of the pieces [O]."""

DECODER_NAMES = {"dbn": "the Bayesian decoder", "peaks": "peak picking"}


@dataclass(frozen=True)
class Evaluation:
    """What was evaluated, for the record."""

    split: str
    data: str
    """The data set's place, or what it is."""
    sizes: Mapping[str, int]
    """Recordings of each split."""
    upstream: str
    seed: int
    step: int | None
    """Training steps of the evaluated weights, none where they are not known."""
    thresholds: tuple[float, float]
    """Of the peak picker, beat and downbeat; chosen on dev."""
    loss: float
    settings: TaskSettings
    """The section downstream_expert, with what was left out filled in."""
    options: Mapping[str, Any]
    """The rest of config.yaml, and the command line's options."""


def write_report(folder: Path, evaluation: Evaluation, rows: Sequence[PieceScores]) -> str:
    """Write ``scores-SPLIT.json`` and ``scores-SPLIT.md``; returns the means, without the table of pieces."""
    resamples = evaluation.settings.scoringrc.resamples
    by_decoder = {
        decoder: [row for row in rows if row.decoder == decoder]
        for decoder in dict.fromkeys(row.decoder for row in rows)
    }
    means = {
        decoder: mean_scores(scored, resamples, evaluation.seed) for decoder, scored in by_decoder.items()
    }
    content = {
        **asdict(evaluation),
        "interval": f"95 %, percentile bootstrap over pieces, {resamples} resamples, seed {evaluation.seed}",
        "means": {
            decoder: {
                target: {name: asdict(mean) for name, mean in of.items()} for target, of in table.items()
            }
            for decoder, table in means.items()
        },
        "pieces": [asdict(row) for row in rows],
        **origin(PACKAGES),
    }
    text = means_text(evaluation, rows, means)
    pieces = _piece_lines(by_decoder) if len(next(iter(by_decoder.values()))) <= PIECES_IN_TABLE else []
    with atomic_path(folder / f"scores-{evaluation.split}.json") as draft:
        draft.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    with atomic_path(folder / f"scores-{evaluation.split}.md") as draft:
        draft.write_text("\n".join([text, *pieces]), encoding="utf-8")
    return text


def reached(folder: Path, criterion: str) -> list[str]:
    """The weights that a training has kept and their test scores, read from ``scores-test.json``."""
    kept = json.loads((folder / "scores-test.json").read_text(encoding="utf-8"))
    lines = [f"kept: the weights of step {kept['step']}, {criterion}"]
    for target in TARGETS:
        found = {decoder: of[target]["F"] for decoder, of in kept["means"].items() if target in of}
        figures = [
            f"{_interval_text(Mean(**mean))} by {DECODER_NAMES[decoder]}" for decoder, mean in found.items()
        ]
        if found:
            pieces = next(iter(found.values()))["pieces"]
            lines.append(f"test {target} F, {pieces} piece(s): {', '.join(figures)}")
    return [*lines, f"{folder}: dev-best.ckpt, scores-test.md (every piece), scores-test.json"]


def means_text(
    evaluation: Evaluation,
    rows: Sequence[PieceScores],
    means: Mapping[str, Mapping[str, Mapping[str, Mean]]],
) -> str:
    """The means as markdown, with what must be known about them."""
    rows = [row for row in rows if row.decoder == rows[0].decoder]
    step = "" if evaluation.step is None else f", step {evaluation.step}"
    sizes = ", ".join(f"{split} {size}" for split, size in evaluation.sizes.items())
    probe = evaluation.settings.modelrc.probe
    test_fold = evaluation.settings.datarc.test_fold
    fold = "" if test_fold is None else f", test fold {test_fold}"
    lines = [
        f"## beat_tracking, {evaluation.split}: {evaluation.upstream}, {probe} probe{step}",
        "",
        f"Data: {evaluation.data}{fold}; {sizes}. Seed {evaluation.seed}.",
        "",
        "| decoder | of | pieces | F | CMLt | AMLt |",
        "|---|---|---|---|---|---|",
    ]
    for decoder, table in means.items():
        for target, of in table.items():
            cells = " | ".join(_interval_text(of[measure]) for measure in MEASURES)
            lines.append(f"| {decoder} | {target} | {of[MEASURES[0]].pieces} | {cells} |")
    return "\n".join([*lines, "", *_notes(evaluation, rows), ""])


def _notes(evaluation: Evaluation, rows: Sequence[PieceScores]) -> list[str]:
    notes = ["Means over pieces, 95 % bootstrap intervals over pieces in brackets; F at ±70 ms."]
    if len(rows) < PIECES_FOR_INTERVAL:
        notes.append(f"{len(rows)} piece(s) are too few for an interval to mean much.")
    trim = evaluation.settings.scoringrc.trim_seconds
    whole = [row.name for row in rows if not row.trimmed]
    if trim > 0 and len(whole) < len(rows):
        notes.append(f"Beats in the first {trim:g} s of a piece are not scored.")
    if trim > 0 and whole:
        notes.append(f"Too short to leave out the first {trim:g} s, so scored whole: {_names(whole)}.")
    without = [row.name for row in rows if row.downbeat is None]
    if without:
        notes.append(f"No downbeats marked, so not scored for them: {_names(without)}.")
    late = sorted(row.bias * 1000 for row in rows if row.bias is not None)
    if late:
        notes.append(f"Matched beats are {_lateness(late[len(late) // 2])}, the median over pieces.")
    return notes


def _lateness(milliseconds: float) -> str:
    whole = round(milliseconds)
    return "on time" if whole == 0 else f"{abs(whole)} ms {'late' if whole > 0 else 'early'}"


def _piece_lines(by_decoder: Mapping[str, Sequence[PieceScores]]) -> list[str]:
    columns = [f"{target} {measure}" for target in TARGETS for measure in MEASURES]
    lines = [f"| piece | decoder | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for rows in zip(*by_decoder.values(), strict=True):
        for row in rows:
            cells = [
                "–" if (scores := getattr(row, target)) is None else f"{scores[measure]:.3f}"
                for target in TARGETS
                for measure in MEASURES
            ]
            lines.append(f"| {row.name} | {row.decoder} | {' | '.join(cells)} |")
    return [*lines, ""]


def _interval_text(mean: Mean) -> str:
    if mean.low is None or mean.high is None:
        return f"{mean.mean:.3f}"
    return f"{mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more (see the JSON file)"
