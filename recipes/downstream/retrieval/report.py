"""Similarities of tested pairs, their results and their report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipes.downstream.retrieval.batches import PairBatch
from recipes.downstream.s3prl_runner.task_expert import check_finite
from recipes.pairing.hard_retrieval import HardRetrieval, hard_retrieval, negative_kinds
from recipes.pairing.no_learning import TOLERANCES, Correlations, cat_padded, pair_correlations
from recipes.pairing.retrieval import Retrieval, retrieval
from recipes.results.estimates import Estimate
from recipes.results.record import Results, Row, Run, item_table, run_value, write_report
from recipes.results.tables import markdown_table, run_estimates

RANKS = (1, 5, 10)

DIRECTIONS = {"music → motion": False, "motion → music": True}
"""Whether the similarity matrix is transposed."""

HARD = "own motion among its jittered and stretched copies"

FORMS = (*(f"{direction}, {grid}" for grid in ("shared grid", "own grids") for direction in DIRECTIONS), HARD)
"""Forms of retrieval. Measures are named ``FORM R@RANK``; the hard form has rank 1 only."""

NOISE, NO_LEARNING, CHANCE = "noise for music", "no learning", "chance"
"""Reference runs. R@1 with noise for music is near chance unless scores depend on more than the music. An
upstream should exceed no learning, the correlation of onsets with touch-downs."""

CANDIDATES, MEDIAN_RANK = "candidates", "median rank"

NOTES = (
    "Means over pieces, 95 % bootstrap intervals over pieces in brackets. No learning is the correlation of",
    "onsets with touch-downs, without a grid, at the better of two tolerances.",
)


TEMPI_PER_OCTAVE = 4
"""Candidates have the tempo of the query, to a quarter of an octave."""


@dataclass(frozen=True)
class SimilarityTables:
    """Similarities of N pairs and R hard negatives."""

    shared: NDArray[np.float64]
    """(N, N) of music (row) and motion (column), on a shared grid."""
    own_grids: NDArray[np.float64]
    """(N, N) on separate grids."""
    hard: NDArray[np.float64]
    """(R,) of each hard negative and its music."""
    noise_shared: NDArray[np.float64]
    """With noise for music."""
    noise_own_grids: NDArray[np.float64]
    noise_hard: NDArray[np.float64]
    no_learning: tuple[Correlations, ...]
    """Correlations of onsets with touch-downs; the best in R@1 is the baseline."""
    owner: NDArray[np.int64]
    """(R,) row of each hard negative's music."""
    kinds: list[tuple[str, float]]
    pieces: NDArray[np.int64]
    takes: NDArray[np.int64]
    groups: NDArray[np.int64]
    """(N,) numbers of metre and tempo: candidates are in the group of the query."""
    names: tuple[str, ...]


@dataclass(frozen=True)
class BatchVectors:
    """Vectors of a tested batch of B clips with R hard negatives."""

    batch: PairBatch
    vectors: Mapping[str, Tensor]
    """(B, V) of length 1: ``music``, ``noise`` and ``motion`` on the shared grid, ``music_own``,
    ``noise_own`` and ``motion_own`` on separate grids. (R,) similarities of hard negatives with their music,
    ``hard``, and with noise, ``noise_hard``."""


def collect_vectors(
    batch: PairBatch, sounds: Sequence[tuple[Tensor, Tensor]], motion: Tensor, motion_own: Tensor
) -> BatchVectors:
    """Collect the vectors of a tested batch.

    Args:
        batch: batch of an evaluation.
        sounds: of music and of noise: (B, V) vectors on the shared grid and on separate grids.
        motion: (B + R, V) vectors of own motions and hard negatives on the shared grid.
        motion_own: (B, V) vectors of own motions on their own grids.

    Raises:
        MotionBeatError: vectors that are not finite.
    """
    size, clips = len(batch), batch.clips
    vectors = {"motion": motion[:size], "motion_own": motion_own}
    for name, (shared, own) in zip(("music", "noise"), sounds, strict=True):
        vectors[name], vectors[f"{name}_own"] = shared, own
    owner = clips.owner[size:].to(motion.device)
    vectors["hard"] = (vectors["music"][owner] * motion[size:]).sum(-1)
    vectors["noise_hard"] = (vectors["noise"][owner] * motion[size:]).sum(-1)
    check_finite(vectors.values())
    return BatchVectors(batch, {name: vector.float().cpu() for name, vector in vectors.items()})


def similarity_tables(parts: Sequence[BatchVectors]) -> SimilarityTables:
    """Similarities of the pairs of all batches."""
    vectors = {name: torch.cat([part.vectors[name] for part in parts]) for name in parts[0].vectors}
    batches = [part.batch.clips for part in parts]
    offsets = np.cumsum([0, *map(len, batches)])
    owner = np.concatenate(
        [clips.owner[len(clips) :].numpy() + offset for clips, offset in zip(batches, offsets, strict=False)]
    )
    # Candidates have one metre and similar tempo, so that these do not identify the pair.
    groups = [
        100 * grid.metre + round(TEMPI_PER_OCTAVE * np.log2(grid.bpm))
        for clips in batches
        for grid in clips.grids
    ]
    onsets = [part.batch.onsets for part in parts if part.batch.onsets is not None]
    own = [clips.pulses[: len(clips)].amax(-1) for clips in batches]
    hard = [clips.pulses[len(clips) :].amax(-1) for clips in batches]
    onset, contact = cat_padded(onsets), cat_padded(own + hard)
    lengths = torch.cat([clips.frame_lengths for clips in batches])
    return SimilarityTables(
        shared=(vectors["music"] @ vectors["motion"].T).double().numpy(),
        own_grids=(vectors["music_own"] @ vectors["motion_own"].T).double().numpy(),
        hard=vectors["hard"].double().numpy(),
        noise_shared=(vectors["noise"] @ vectors["motion"].T).double().numpy(),
        noise_own_grids=(vectors["noise_own"] @ vectors["motion_own"].T).double().numpy(),
        noise_hard=vectors["noise_hard"].double().numpy(),
        no_learning=tuple(
            pair_correlations(onset, contact, lengths, torch.from_numpy(owner), tolerance)
            for tolerance in TOLERANCES
        ),
        owner=owner,
        kinds=[kind for clips in batches for kind in negative_kinds(clips.negatives)],
        pieces=np.concatenate([clips.pieces.numpy() for clips in batches]),
        takes=np.concatenate([clips.takes.numpy() for clips in batches]),
        groups=np.array(groups, dtype=np.int64),
        names=tuple(name for clips in batches for name in clips.names),
    )


def retrieval_results(
    run: Run, tables: SimilarityTables, pool: int, piece_of: Mapping[str, str]
) -> list[Results]:
    """Results of a run and of its reference runs: noise for music, no learning and chance.

    Args:
        run: run of the upstream.
        tables: similarities of the tested pairs.
        pool: number of candidates, including the own one.
        piece_of: piece of each pair, by name.

    Returns:
        Results of four runs. Values are probabilities that the own one is among the first ranks.
    """
    rows: dict[str, list[Row]] = {run.upstream: [], NOISE: [], NO_LEARNING: [], CHANCE: []}

    def add(
        label: str, form: str, queries: NDArray[np.int64], values: Mapping[str, NDArray[np.float64]]
    ) -> None:
        for number, query in enumerate(queries):
            name = tables.names[query]
            rows[label] += [
                (name, piece_of[name], f"{form} {measure}", float(column[number]))
                for measure, column in values.items()
            ]

    def rank(similarity: NDArray[np.float64], transposed: bool) -> Retrieval:
        table = similarity.T if transposed else similarity
        return retrieval(table, tables.pieces, tables.takes, tables.groups, pool)

    for direction, transposed in DIRECTIONS.items():
        baseline = max(
            (rank(correlations.table.double().numpy(), transposed) for correlations in tables.no_learning),
            key=lambda scores: scores.recall(1).value,
        )
        for grid, table, noise_table in (
            ("shared grid", tables.shared, tables.noise_shared),
            ("own grids", tables.own_grids, tables.noise_own_grids),
        ):
            form = f"{direction}, {grid}"
            scores, noise = rank(table, transposed), rank(noise_table, transposed)
            sizes = scores.sizes.astype(np.float64)
            recalls = {f"R@{k}": scores.hits(k) for k in RANKS}
            add(run.upstream, form, scores.queries, {**recalls, CANDIDATES: sizes})
            add(NOISE, form, noise.queries, {"R@1": noise.hits(1)})
            add(NO_LEARNING, form, baseline.queries, {f"R@{k}": baseline.hits(k) for k in RANKS})
            add(CHANCE, form, scores.queries, {f"R@{k}": np.minimum(k / sizes, 1.0) for k in RANKS})
            if len(scores.queries):
                rows[run.upstream].append(("", "", f"{form} {MEDIAN_RANK}", scores.median_rank))

    def rank_hard(own: NDArray[np.float64], hard: NDArray[np.float64]) -> HardRetrieval:
        return hard_retrieval(own, hard, tables.owner, tables.kinds, tables.pieces)

    upstream = rank_hard(np.diagonal(tables.shared), tables.hard).first
    noise_first = rank_hard(np.diagonal(tables.noise_shared), tables.noise_hard).first
    no_learning = max(
        (rank_hard(each.own.double().numpy(), each.hard.double().numpy()) for each in tables.no_learning),
        key=lambda scores: scores.accuracy.value,
    ).first
    queries = np.flatnonzero(~np.isnan(upstream))
    sizes = np.bincount(tables.owner, minlength=len(upstream))[queries] + 1.0
    add(run.upstream, HARD, queries, {"R@1": upstream[queries], CANDIDATES: sizes})
    add(NOISE, HARD, queries, {"R@1": noise_first[queries]})
    add(NO_LEARNING, HARD, queries, {"R@1": no_learning[queries]})
    add(CHANCE, HARD, queries, {"R@1": 1.0 / sizes})
    results = [Results(run, rows.pop(run.upstream))]
    for label, reference_rows in rows.items():
        results.append(Results(replace(run, upstream=label, checkpoint="", details={}), reference_rows))
    return results


def report(folder: Path, results: Sequence[Results]) -> str:
    """Write the results of :func:`retrieval_results` and their report; returns the report."""
    run, table = results[0].run, item_table(results[0])
    names = [f"{form} R@{rank}" for form in FORMS for rank in RANKS]
    estimates = {result.run.upstream: run_estimates(result, names) for result in results}
    undefined = Estimate(float("nan"))

    def estimate(label: str, form: str, rank: int = 1) -> Estimate:
        return estimates[label].get(f"{form} R@{rank}", undefined)

    rows = []
    for form in FORMS:
        median = run_value(results[0], f"{form} {MEDIAN_RANK}")
        candidates = f"{form} {CANDIDATES}"
        rows.append(
            [
                form,
                *(estimate(run.upstream, form, rank).text() for rank in RANKS),
                "–" if np.isnan(median) else f"{median:.0f}",
                f"{table[candidates].mean():.0f}" if candidates in table else "–",
                Estimate(estimate(CHANCE, form).value).text(),
                estimate(NOISE, form).text(),
                estimate(NO_LEARNING, form).text(),
            ]
        )
    heading = ["", *(f"R@{rank}" for rank in RANKS), "median rank", "candidates", "chance R@1"]
    heading += ["noise for music, R@1", "no learning, R@1"]
    data = f"Data: {run.data}, {run.details['pairs']} pairs. Seed {run.seed}."
    text = "\n".join([run.title(), "", data, "", *markdown_table(heading, rows), "", *NOTES, ""])
    write_report(folder, results, text)
    return text
