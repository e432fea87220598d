"""The vectors of tested pairs, what all pairs are to each other by them, as results and as a report."""

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
from recipes.pairing.hard_retrieval import hard_retrieval, negative_kinds
from recipes.pairing.no_learning import TOLERANCES, Correlations, cat_padded, pair_correlations
from recipes.pairing.retrieval import Retrieval, retrieval
from recipes.results.estimates import Estimate
from recipes.results.record import Results, Row, Run, item_table, run_value, write_report
from recipes.results.tables import markdown_table, run_estimates

RANKS = (1, 5, 10)

DIRECTIONS = {"music → motion": False, "motion → music": True}
"""Whether the table of similarities is transposed."""

HARD = "own motion among its jittered and stretched copies"

FORMS = (*(f"{direction}, {grid}" for grid in ("shared grid", "own grids") for direction in DIRECTIONS), HARD)
"""Forms of retrieval. Measures are named ``FORM R@RANK``, of the hard form with rank 1 alone."""

NOISE, NO_LEARNING, CHANCE = "noise for music", "no learning", "chance"
"""Reference runs. With noise for music R@1 is near chance, or something else than the music decides; an
upstream that is not above no learning adds nothing to the correlation of onsets with touch-downs."""

CANDIDATES, MEDIAN_RANK = "candidates", "median rank"

NOTES = (
    "Means over pieces, 95 % bootstrap intervals over pieces in brackets. No learning is the correlation of",
    "onsets with touch-downs, on no grid, at the better of two smoothings.",
)


TEMPI_AN_OCTAVE = 4
"""Candidates are of the query's tempo, to a quarter of an octave."""


@dataclass(frozen=True)
class Tables:
    """What N tested pairs are to each other."""

    shared: NDArray[np.float64]
    """(N, N) of music (row) and motion, on the grid that both are shown on."""
    own_grids: NDArray[np.float64]
    """(N, N), each on its own grid."""
    hard: NDArray[np.float64]
    """(R,) of each music and its hard negatives."""
    noise_shared: NDArray[np.float64]
    """The same with noise for music."""
    noise_own_grids: NDArray[np.float64]
    noise_hard: NDArray[np.float64]
    no_learning: tuple[Correlations, ...]
    """How well onsets and touch-downs fall together, on no grid at all; the best in R@1 is the baseline."""
    owner: NDArray[np.int64]
    """(R,) whose each hard negative is."""
    kinds: list[tuple[str, float]]
    pieces: NDArray[np.int64]
    takes: NDArray[np.int64]
    groups: NDArray[np.int64]
    """(N,) of metre and tempo: candidates are of the query's own group."""
    names: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """What is kept of a tested batch of B clips with R hard negatives."""

    batch: PairBatch
    vectors: Mapping[str, Tensor]
    """(B, V) of length 1: ``music``, ``noise`` for music and the own ``motion`` on the shared grid,
    ``music_own``, ``noise_own`` and ``motion_own`` each on its own grid. (R,) similarities of hard negatives
    to their music, ``hard``, and to noise, ``noise_hard``."""


def keep(
    batch: PairBatch, sounds: Sequence[tuple[Tensor, Tensor]], motion: Tensor, motion_own: Tensor
) -> Kept:
    """Put the vectors of a tested batch aside.

    Args:
        batch: of an evaluation.
        sounds: of the music and of noise for it: (B, V) on the shared grid, and on its own.
        motion: (B + R, V) of own motions and hard negatives on the shared grid.
        motion_own: (B, V) of own motions on their own grids.

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
    return Kept(batch, {name: vector.float().cpu() for name, vector in vectors.items()})


def lay_out(kept: Sequence[Kept]) -> Tables:
    """What the tested pairs of all batches are to each other."""
    of = {name: torch.cat([one.vectors[name] for one in kept]) for name in kept[0].vectors}
    batches = [one.batch.clips for one in kept]
    before = np.cumsum([0, *map(len, batches)])
    owner = np.concatenate(
        [clips.owner[len(clips) :].numpy() + first for clips, first in zip(batches, before, strict=False)]
    )
    # Candidates are of one metre and of like tempo: neither may give the answer away.
    groups = [
        100 * grid.metre + round(TEMPI_AN_OCTAVE * np.log2(grid.bpm))
        for clips in batches
        for grid in clips.grids
    ]
    heard = [one.batch.onsets for one in kept if one.batch.onsets is not None]
    own = [clips.pulses[: len(clips)].amax(-1) for clips in batches]
    hard = [clips.pulses[len(clips) :].amax(-1) for clips in batches]
    onset, contact = cat_padded(heard), cat_padded(own + hard)
    lengths = torch.cat([clips.frame_lengths for clips in batches])
    return Tables(
        shared=(of["music"] @ of["motion"].T).double().numpy(),
        own_grids=(of["music_own"] @ of["motion_own"].T).double().numpy(),
        hard=of["hard"].double().numpy(),
        noise_shared=(of["noise"] @ of["motion"].T).double().numpy(),
        noise_own_grids=(of["noise_own"] @ of["motion_own"].T).double().numpy(),
        noise_hard=of["noise_hard"].double().numpy(),
        no_learning=tuple(
            pair_correlations(onset, contact, lengths, torch.from_numpy(owner), each) for each in TOLERANCES
        ),
        owner=owner,
        kinds=[kind for clips in batches for kind in negative_kinds(clips.negatives)],
        pieces=np.concatenate([clips.pieces.numpy() for clips in batches]),
        takes=np.concatenate([clips.takes.numpy() for clips in batches]),
        groups=np.array(groups, dtype=np.int64),
        names=tuple(name for clips in batches for name in clips.names),
    )


def retrieval_results(run: Run, tables: Tables, pool: int, piece_of: Mapping[str, str]) -> list[Results]:
    """The results of a run and of its reference runs: noise for music, no learning and chance.

    Args:
        run: of the upstream.
        tables: of the tested pairs.
        pool: candidates, the own one among them.
        piece_of: the piece of each pair, by its name.

    Returns:
        Four runs. A value is how likely a query has its own among the first.
    """
    rows: dict[str, list[Row]] = {run.upstream: [], NOISE: [], NO_LEARNING: [], CHANCE: []}

    def add(
        label: str, form: str, queries: NDArray[np.int64], values: Mapping[str, NDArray[np.float64]]
    ) -> None:
        for number, query in enumerate(queries):
            name = tables.names[query]
            rows[label] += [
                (name, piece_of[name], f"{form} {measure}", float(of[number]))
                for measure, of in values.items()
            ]

    def retrieved(similarity: NDArray[np.float64], turn: bool) -> Retrieval:
        table = similarity.T if turn else similarity
        return retrieval(table, tables.pieces, tables.takes, tables.groups, pool)

    for direction, turn in DIRECTIONS.items():
        baseline = max(
            (retrieved(each.table.double().numpy(), turn) for each in tables.no_learning),
            key=lambda each: each.recall(1).value,
        )
        for grid, table, noise_table in (
            ("shared grid", tables.shared, tables.noise_shared),
            ("own grids", tables.own_grids, tables.noise_own_grids),
        ):
            form = f"{direction}, {grid}"
            found, noise = retrieved(table, turn), retrieved(noise_table, turn)
            sizes = found.sizes.astype(np.float64)
            recalls = {f"R@{rank}": found.hits(rank) for rank in RANKS}
            add(run.upstream, form, found.queries, {**recalls, CANDIDATES: sizes})
            add(NOISE, form, noise.queries, {"R@1": noise.hits(1)})
            add(NO_LEARNING, form, baseline.queries, {f"R@{rank}": baseline.hits(rank) for rank in RANKS})
            add(CHANCE, form, found.queries, {f"R@{rank}": np.minimum(rank / sizes, 1.0) for rank in RANKS})
            if len(found.queries):
                rows[run.upstream].append(("", "", f"{form} {MEDIAN_RANK}", found.median_rank))
    sides = [
        (np.diagonal(tables.shared), tables.hard),
        (np.diagonal(tables.noise_shared), tables.noise_hard),
        *((each.own.double().numpy(), each.hard.double().numpy()) for each in tables.no_learning),
    ]
    own, noise_first, *without = (
        hard_retrieval(one, hard, tables.owner, tables.kinds, tables.pieces) for one, hard in sides
    )
    best = max(without, key=lambda each: each.accuracy.value)
    queries = np.flatnonzero(~np.isnan(own.first))
    sizes = np.bincount(tables.owner, minlength=len(own.first))[queries] + 1.0
    add(run.upstream, HARD, queries, {"R@1": own.first[queries], CANDIDATES: sizes})
    add(NOISE, HARD, queries, {"R@1": noise_first.first[queries]})
    add(NO_LEARNING, HARD, queries, {"R@1": best.first[queries]})
    add(CHANCE, HARD, queries, {"R@1": 1.0 / sizes})
    return [
        Results(run if label == run.upstream else replace(run, upstream=label, checkpoint="", details={}), of)
        for label, of in rows.items()
    ]


def report(folder: Path, results: Sequence[Results]) -> str:
    """Write the results of :func:`retrieval_results` and a report; returns the report."""
    run, table = results[0].run, item_table(results[0])
    names = [f"{form} R@{rank}" for form in FORMS for rank in RANKS]
    estimates = {one.run.upstream: run_estimates(one, names) for one in results}
    undefined = Estimate(float("nan"))

    def estimate(label: str, form: str, rank: int = 1) -> Estimate:
        return estimates[label].get(f"{form} R@{rank}", undefined)

    rows = []
    for form in FORMS:
        rank = run_value(results[0], f"{form} {MEDIAN_RANK}")
        candidates = f"{form} {CANDIDATES}"
        rows.append(
            [
                form,
                *(estimate(run.upstream, form, rank).text() for rank in RANKS),
                "–" if np.isnan(rank) else f"{rank:.0f}",
                f"{table[candidates].mean():.0f}" if candidates in table else "–",
                Estimate(estimate(CHANCE, form).value).text(),
                estimate(NOISE, form).text(),
                estimate(NO_LEARNING, form).text(),
            ]
        )
    heading = ["", *(f"R@{rank}" for rank in RANKS), "median rank", "among", "chance R@1"]
    heading += ["noise for music, R@1", "no learning, R@1"]
    data = f"Data: {run.data}, {run.details['pairs']} pairs. Seed {run.seed}."
    text = "\n".join([run.title(), "", data, "", *markdown_table(heading, rows), "", *NOTES, ""])
    write_report(folder, results, text)
    return text
