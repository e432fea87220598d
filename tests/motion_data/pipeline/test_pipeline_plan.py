"""The plan of an epoch, the choice of clips and their grids: properties over random corpora."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from motion_data.errors import DataError
from motion_data.pair import NO_BEATS, MotionPair
from motion_data.pipeline.batch import pulse_activation
from motion_data.pipeline.config import PipelineConfig
from motion_data.pipeline.example import choose_window, relative_grid
from motion_data.pipeline.plan import PlannedClip, expected_seconds, plan_epoch
from motionbeat_upstream.tracking.grid import Grid, beats_to_bars, cut_tokens, regular_grid


def planned_pair(
    index: int, bpm: float | None, metre: int, piece: int = 0, seconds: float = 30.0
) -> MotionPair:
    return MotionPair(
        name=f"pair{index}",
        corpus="folder",
        piece=f"piece{piece}",
        take=f"take{index}",
        split="train",
        licence="CC0",
        seconds=seconds,
        fps=30.0,
        joints=(),
        pulses={},
        grid="none" if bpm is None else "exact",
        metre=None if bpm is None else metre,
        bpm=bpm,
    )


def test_pairs_known_to_have_no_beats_have_no_bars_to_cut() -> None:
    pairs = [(0, planned_pair(0, 120.0, 4)), (1, planned_pair(1, None, 4)), (2, planned_pair(2, None, 4))]
    pairs[2] = (2, replace(pairs[2][1], grid=NO_BEATS))
    for bars, expected in ((4, {0, 1}), (None, {0, 1, 2})):
        planned = plan_epoch(pairs, PipelineConfig(bars=bars), 0)
        assert {draw.pair_index for batch in planned for draw in batch} == expected


pair_lists = st.lists(
    st.tuples(
        st.none() | st.floats(60, 190), st.sampled_from([2, 3, 4]), st.integers(0, 5), st.floats(2.0, 60.0)
    ),
    min_size=1,
    max_size=40,
).map(
    lambda rows: [
        (index, planned_pair(index, bpm, metre, piece, seconds))
        for index, (bpm, metre, piece, seconds) in enumerate(rows)
    ]
)

configs = st.builds(
    PipelineConfig,
    bars=st.none() | st.integers(1, 8),
    clips_per_pair=st.integers(1, 3),
    batch_size=st.integers(1, 8),
    tempo_octaves=st.floats(0.05, 1.0),
    length_octaves=st.floats(0.1, 2.0),
    seed=st.integers(0, 2**32),
)


class TestPlan:
    @settings(max_examples=60, deadline=None)
    @given(pair_lists, configs, st.integers(0, 5), st.integers(1, 4))
    def test_ranks_share_every_clip_once(
        self, pairs: list[tuple[int, MotionPair]], config: PipelineConfig, epoch: int, world_size: int
    ) -> None:
        plans = [plan_epoch(pairs, config, epoch, rank, world_size) for rank in range(world_size)]
        counts = Counter(clip for plan in plans for batch in plan for clip in batch)
        assert counts == {
            PlannedClip(index, k): 1 for index, _ in pairs for k in range(config.clips_per_pair)
        }
        assert len({len(plan) for plan in plans}) == 1
        assert max(len(batch) for plan in plans for batch in plan) <= config.batch_size

    @settings(max_examples=60, deadline=None)
    @given(pair_lists, configs, st.integers(0, 5), st.integers(1, 3))
    def test_a_step_has_one_metre_and_near_tempos_and_lengths_on_all_ranks(
        self, pairs: list[tuple[int, MotionPair]], config: PipelineConfig, epoch: int, world_size: int
    ) -> None:
        plans = [plan_epoch(pairs, config, epoch, rank, world_size) for rank in range(world_size)]
        found = dict(pairs)
        for step in zip(*plans, strict=True):
            batch = [found[clip.pair_index] for clip in itertools.chain(*step)]
            assert len({pair.metre for pair in batch}) == 1
            tempos = [math.log2(pair.bpm) for pair in batch if pair.bpm is not None]
            assert len(tempos) in (0, len(batch))
            if tempos:
                assert max(tempos) - min(tempos) <= config.tempo_octaves + 1e-9
            lengths = [math.log2(expected_seconds(pair, config)) for pair in batch]
            assert max(lengths) - min(lengths) <= config.length_octaves + 1e-9

    def test_a_pair_whose_bars_are_longer_than_a_clip_is_left_out(self) -> None:
        fits, too_long = planned_pair(0, 60.0, 7, 0), planned_pair(1, 50.0, 7, 1)  # bars of 7 and 8.4 s
        cut_by_bars = PipelineConfig(bars=4, longest_seconds=8.0)
        assert plan_epoch([(0, fits), (1, too_long)], cut_by_bars, 0) == [[PlannedClip(0, 0)]]
        cut_by_seconds = PipelineConfig(bars=None, longest_seconds=8.0)
        plan = plan_epoch([(0, fits), (1, too_long)], cut_by_seconds, 0)
        assert {draw.pair_index for batch in plan for draw in batch} == {0, 1}

    def test_epochs_differ_unless_told_otherwise(self) -> None:
        pairs = [(i, planned_pair(i, 120.0, 4, i)) for i in range(20)]
        config = PipelineConfig(batch_size=4)
        assert plan_epoch(pairs, config, 3) == plan_epoch(pairs, config, 3)
        assert plan_epoch(pairs, config, 3) != plan_epoch(pairs, config, 4)
        assert plan_epoch(pairs, config, 3) != plan_epoch(pairs, replace(config, seed=1), 3)
        same = replace(config, same_every_epoch=True)
        assert plan_epoch(pairs, same, 3) == plan_epoch(pairs, same, 4)

    @given(st.integers(0, 1000))
    @settings(max_examples=20, deadline=None)
    def test_clips_of_one_piece_are_spread_over_the_batches(self, seed: int) -> None:
        pairs = [(i, planned_pair(i, 120.0, 4, i // 8)) for i in range(64)]
        plan = plan_epoch(pairs, PipelineConfig(batch_size=8, seed=seed), 0)
        for batch in plan:
            assert max(Counter(clip.pair_index // 8 for clip in batch).values()) <= 2

    def test_small_batches_can_be_left_out(self) -> None:
        pairs = [(i, planned_pair(i, 60.0 * 2**i, 4, i)) for i in range(2)]
        pairs += [(i, planned_pair(i, 100.0, 3, i)) for i in range(2, 6)]
        config = PipelineConfig(batch_size=4, least_clips=2)
        assert [len(batch) for batch in plan_epoch(pairs, config, 0)] == [4]


@st.composite
def grids(draw: st.DrawFn) -> tuple[Grid, float]:
    """A grid with uneven beats and, at times, an irregular bar, and the length of its piece."""
    metre = draw(st.sampled_from([2, 3, 4]))
    count = draw(st.integers(metre + 1, 60))
    first = draw(st.floats(0.0, 2.0))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    beats = first + np.cumsum(rng.uniform(0.3, 0.7, count))
    positions = (np.arange(count) + draw(st.integers(0, metre - 1))) % metre + 1
    if draw(st.booleans()) and count > 2 * metre + 2:
        cut = draw(st.integers(1, count - metre - 1))
        positions[cut:] = np.arange(count - cut) % metre + 1
    return Grid(beats, positions, metre), float(beats[-1] + draw(st.floats(0.0, 2.0)))


class TestWindows:
    @settings(max_examples=100, deadline=None)
    @given(grids(), st.integers(1, 8), st.floats(3.0, 20.0), st.integers(0, 99))
    def test_clips_are_whole_bars(
        self, made: tuple[Grid, float], bars: int, longest: float, seed: int
    ) -> None:
        grid, stop = made
        config = PipelineConfig(bars=bars, seconds=1.0, shortest_seconds=0.2, longest_seconds=longest)
        try:
            begin, end = choose_window(grid, 0.0, stop, config, np.random.default_rng(seed))
        except DataError:
            inside = grid.downbeats[grid.downbeats <= stop]
            assert len(inside) < 2 or (np.diff(inside) > longest).all()
            return
        assert 0.2 <= end - begin <= longest
        assert 0 <= begin < end <= stop
        assert np.abs(grid.downbeats - begin).min() <= 1e-3
        between = ((grid.downbeats >= begin - 1e-3) & (grid.downbeats < end - 1e-3)).sum()
        assert 1 <= between <= bars
        assert np.abs(grid.downbeats - end).min() <= 1e-3 or end >= grid.beats[-1]

    @given(st.floats(0, 5), st.floats(1.5, 60), st.integers(0, 99))
    def test_without_a_grid_they_are_seconds(self, start: float, length: float, seed: int) -> None:
        config = PipelineConfig(seconds=4.0)
        begin, end = choose_window(None, start, start + length, config, np.random.default_rng(seed))
        assert start <= begin < end <= start + length + 1e-9
        assert end - begin == pytest.approx(min(4.0, length))

    def test_starts_are_spread_over_the_pair(self) -> None:
        grid = regular_grid(60.0, 120.0, 4)
        draw = np.random.default_rng(0)
        begins = {choose_window(grid, 0.0, 60.0, PipelineConfig(), draw)[0] for _ in range(400)}
        assert begins == {2.0 * bar for bar in range(27)}

    def test_what_is_too_short_is_refused(self) -> None:
        config = PipelineConfig()
        with pytest.raises(DataError, match=r"share 0.50 s.*needs 1 s"):
            choose_window(None, 1.0, 1.5, config, np.random.default_rng(0))
        with pytest.raises(DataError, match="no whole bar"):
            choose_window(regular_grid(3.0, 60.0, 4), 0.5, 3.0, config, np.random.default_rng(0))

    @settings(max_examples=100, deadline=None)
    @given(grids(), st.floats(0, 1), st.floats(0.5, 5.0))
    def test_a_clip_has_the_beats_and_bar_phases_of_its_pair(
        self, made: tuple[Grid, float], place: float, seconds: float
    ) -> None:
        grid, stop = made
        begin = place * max(0.0, stop - seconds)
        part = relative_grid(grid, begin, begin + seconds)
        inside = (grid.beats >= begin) & (grid.beats < begin + seconds)
        kept = (part.beats >= -1e-9) & (part.beats < seconds - 1e-9)
        if kept.sum() == inside.sum():  # a beat on the border may round to either side
            assert part.beats[kept] + begin == pytest.approx(grid.beats[inside])
            assert (part.positions[kept] == grid.positions[inside]).all()
            whole, cut = beats_to_bars(grid)[0][inside], beats_to_bars(part)[0][kept]
            apart = whole - cut
            assert apart == pytest.approx(np.round(apart), abs=1e-6)
        assert cut_tokens([part], [seconds], 4).mask.any()


class TestPulses:
    @given(st.lists(st.floats(0.01, 1.99), max_size=12))
    def test_their_number_and_times_are_kept(self, times: list[float]) -> None:
        activation = pulse_activation(np.sort(times), 100)
        assert activation.sum() == pytest.approx(len(times), abs=1e-4)
        centres = (np.arange(100) + 0.5) * 0.02
        assert (activation * centres).sum() == pytest.approx(sum(times), abs=1e-3)

    @given(st.lists(st.floats(0.0, 0.05), max_size=3), st.integers(1, 3))
    def test_none_is_lost_at_the_ends(self, times: list[float], frames: int) -> None:
        assert pulse_activation(np.array(times), frames).sum() == pytest.approx(len(times))


def test_faults_of_a_configuration_are_told_together() -> None:
    with pytest.raises(ValidationError) as error:
        PipelineConfig(bars=0, batch_size=2.5, fps=1.0, seconds=math.nan, workers=True)  # type: ignore[arg-type]
    assert {fault["loc"] for fault in error.value.errors()} == {
        (name,) for name in ("bars", "batch_size", "fps", "seconds", "workers")
    }
    with pytest.raises(ValidationError, match=r"seconds \(30\) must lie between.*least_clips"):
        PipelineConfig(seconds=30.0, least_clips=33)
