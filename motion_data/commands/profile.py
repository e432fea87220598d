"""``motionbeat data profile CORPUS``: measure the speed of the data pipeline, in total and by stage."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from motion_data.errors import DataError
from motion_data.manifest import Corpus, read_corpus
from motion_data.pair import SPLITS
from motion_data.stages import STAGES, StageTimes, measure_stages
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.config import SAMPLE_RATE

if TYPE_CHECKING:
    from motion_data.pipeline.config import PipelineConfig


NEGATIVES_MARGIN_SECONDS = 2.0
"""Margin of motion around clips if hard negatives are drawn."""


@dataclass(frozen=True)
class Profile:
    """Result of a measurement."""

    batches: int
    clips: int
    pairs: int
    """Number of different pairs among the clips."""
    audio_seconds: float
    """Total length of the clips."""
    wall_seconds: float
    skipped: int
    stages: StageTimes


@command("motionbeat data profile", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "motionbeat data profile",
        description=f"{__doc__} Settings that are left out are those of PipelineConfig.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("corpus", metavar="CORPUS", help="folder of a prepared corpus, or a URL of shards")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument(
        "--batches", type=int, default=50, help="over as many epochs as it takes (%(default)s)"
    )
    parser.add_argument("--workers", type=int, help="threads")
    parser.add_argument("--batch-size", type=int, help="clips")
    parser.add_argument("--clips-per-pair", type=int)
    parser.add_argument(
        "--memory-megabytes", type=float, help="room for decoded pairs; 0 decodes or renders each time"
    )
    parser.add_argument("--negatives", action="store_true", default=False, help="draw hard negatives too")
    cutting = parser.add_mutually_exclusive_group()
    cutting.add_argument("--bars", type=int, help="of a clip")
    cutting.add_argument("--seconds", type=float, help="of a clip, in place of bars")
    options = parser.parse_args(arguments)
    if options.batches < 1:
        parser.error("--batches must be at least 1")

    from motion_data.pipeline.config import PipelineConfig
    from motion_data.settings import read_values

    values = {f.name: getattr(options, f.name) for f in fields(PipelineConfig) if hasattr(options, f.name)}
    if "seconds" in values:
        values |= {"bars": None, "longest_seconds": max(PipelineConfig.longest_seconds, values["seconds"])}
    if options.negatives:
        values["margin_seconds"] = NEGATIVES_MARGIN_SECONDS
    errors: list[str] = []
    config = read_values(PipelineConfig, values, errors)
    if config is None:
        raise DataError("; ".join(errors))
    corpus = read_corpus(options.corpus)

    from motionbeat_upstream.threads import use_idle_cores

    use_idle_cores()
    profile = read_batches(corpus, options.split, config, options.batches, options.negatives)
    print(report(corpus, options.split, config, profile))
    return 0


def read_batches(
    corpus: Corpus, split: str, config: PipelineConfig, batches: int, with_negatives: bool = False
) -> Profile:
    """Read and time ``batches`` batches, at least 1, over several epochs if necessary.

    Raises:
        DataError: as :class:`~motion_data.pipeline.reader.ClipReader`.
    """
    # Imported here because fairseq2 takes a second to import.
    import numpy as np

    from motion_data.negatives.drawing import NegativeCounts
    from motion_data.pipeline.batch import collate
    from motion_data.pipeline.reader import ClipReader

    reader = ClipReader(corpus, split, config, negatives=NegativeCounts() if with_negatives else None)
    rng = np.random.default_rng(config.seed)
    count, clips, seconds = 0, 0, 0.0
    pairs: set[str] = set()
    begin = time.perf_counter()
    with measure_stages() as stages:
        while count < batches:
            for examples in reader:
                batch = collate(examples, config.start_place or 0.0, rng)
                count += 1
                clips += len(batch)
                pairs.update(batch.names)
                seconds += float(batch.wav_lengths.sum()) / SAMPLE_RATE
                if count == batches:
                    break
    wall = time.perf_counter() - begin
    return Profile(count, clips, len(pairs), seconds, wall, sum(reader.failures.values()), stages)


def report(corpus: Corpus, split: str, config: PipelineConfig, profile: Profile) -> str:
    """Format a measurement.

    The rate of a stage is that of one thread that does nothing else, including batches prepared in advance.
    """
    loaded = max(1, profile.stages.calls["cut"])
    seconds_a_clip = profile.audio_seconds / profile.clips
    rate = profile.clips / profile.wall_seconds
    cut = f"{config.seconds:g} s" if config.bars is None else f"{config.bars} bars"
    decoded_seconds = profile.stages.decoded_seconds
    lines = [
        f"{corpus.folder}: {len(corpus.split(split))} pairs of {split}; {profile.batches} batches, "
        f"{profile.clips} clips of {cut} ({seconds_a_clip:.1f} s on average) of {profile.pairs} pairs, "
        f"{profile.skipped} skipped; {config.workers} workers, {profile.wall_seconds:.2f} s",
        f"{'':10}{'pairs/s':>10}{'clips/s':>10}{'h of audio/min':>16}{'x real time':>13}{'ms/clip':>10}",
        _line("in all", rate, config.clips_per_pair, seconds_a_clip),
    ]
    if decoded_seconds:
        speed = decoded_seconds / profile.wall_seconds
        lines.append(
            f"{'made':30}{speed / 60:16.2f}{speed:13.0f}{'':10}   whole pairs decoded or rendered for it"
        )
    for stage, description in STAGES.items():
        seconds = profile.stages.seconds.get(stage, 0.0)
        if seconds:
            text = _line(stage, loaded / seconds, config.clips_per_pair, seconds_a_clip)
            lines.append(f"{text}   {description}")
    return "\n".join(lines)


def _line(name: str, clips: float, clips_per_pair: int, seconds: float) -> str:
    speed = clips * seconds
    rates = f"{clips / clips_per_pair:10.1f}{clips:10.1f}{speed / 60:16.2f}{speed:13.0f}"
    return f"{name:10}{rates}{1000 / clips:10.3f}"
