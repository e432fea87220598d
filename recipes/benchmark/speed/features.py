"""Speed of features and beats, and memory for long sounds."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context

from motionbeat_upstream.config import FRAME_RATE, SAMPLE_RATE
from recipes.benchmark.speed.measurement import Measurement, min_times, music

MATRIX = 2048
"""Size of the matrix product that measures the speed of the machine."""

EXCERPT, CLIP, BATCH = 30, 5, 16
"""Seconds of an excerpt, seconds of a clip, and clips in a batch."""

LENGTHS = (10, 80, 600, 3600)
"""Seconds of sound whose cost per second is compared."""

GIGABYTE = 1e9


def measure_features(threads: int, turns: int) -> list[Measurement]:
    """Measure features of an excerpt, a clip and a batch, compared with HuBERT and a matrix product."""
    import torch
    import torchaudio
    from torch.utils.flop_counter import FlopCounterMode

    from motionbeat_upstream.hubconf import motionbeat, motionbeat_base

    torch.set_num_threads(threads)
    model, base = motionbeat(), motionbeat_base()
    hubert = torchaudio.models.hubert_base().eval()
    excerpt, clip, long = music(EXCERPT), music(CLIP), music(BATCH * CLIP)
    square = torch.rand(MATRIX, MATRIX)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            model([excerpt])
        seconds = min_times(
            {
                "motionbeat": lambda: model([excerpt]),
                "matrix": lambda: square @ square,
                "clip": lambda: model([clip]),
                "batch": lambda: model([clip] * BATCH),
                "long": lambda: model([long]),
                "base": lambda: base([excerpt]),
            },
            turns,
        )
        seconds |= min_times({"hubert": lambda: hubert(excerpt[None])}, max(1, turns // 3))
    rate = 2 * MATRIX**3 / seconds["matrix"]
    with_threads = f"{threads} thread{'s' if threads > 1 else ''}"
    return [
        Measurement(f"features, {EXCERPT} s, {with_threads}", 1e3 * seconds["motionbeat"], "ms"),
        Measurement(f"features of the base architecture, {EXCERPT} s", 1e3 * seconds["base"], "ms"),
        Measurement(f"torchaudio's hubert_base, {EXCERPT} s", 1e3 * seconds["hubert"], "ms"),
        Measurement(
            "times the speed of hubert_base", seconds["hubert"] / seconds["motionbeat"], "", least=60
        ),
        Measurement(f"matrix product of {MATRIX}", rate / 1e9, "GFLOP/s"),
        Measurement(
            "share of that rate in the network",
            counter.get_total_flops() / seconds["motionbeat"] / rate,
            "",
            least=0.65,
        ),
        Measurement(f"one clip of {CLIP} s", 1e3 * seconds["clip"], "ms", most=25),
        Measurement(
            f"a batch of {BATCH} such clips over one of {BATCH * CLIP} s",
            seconds["batch"] / seconds["long"],
            "",
            most=1,
        ),
    ]


def measure_busy(turns: int) -> list[Measurement]:
    """Measure features in one thread while another process computes."""
    import torch
    import torchaudio

    from motionbeat_upstream.hubconf import motionbeat

    torch.set_num_threads(1)
    model, hubert, excerpt = motionbeat(), torchaudio.models.hubert_base().eval(), music(EXCERPT)
    with torch.inference_mode(), busy_process():
        seconds = min_times({"ours": lambda: model([excerpt])}, turns)
        seconds |= min_times({"hubert": lambda: hubert(excerpt[None])}, max(1, turns // 3))
    return [
        Measurement(
            "times the speed of hubert_base, 1 thread next to a busy core",
            seconds["hubert"] / seconds["ours"],
            "",
            least=40,
        )
    ]


@contextmanager
def busy_process() -> Iterator[None]:
    """Run a process that multiplies matrices in one thread."""
    process = get_context("spawn").Process(target=_multiply, daemon=True)
    process.start()
    try:
        time.sleep(3)
        yield
    finally:
        process.kill()
        process.join()


def _multiply() -> None:
    import torch

    torch.set_num_threads(1)
    square = torch.rand(MATRIX, MATRIX)
    while True:
        torch.mm(square, square)


def measure_length(threads: int, seconds: int, turns: int, beats: bool) -> tuple[float, float]:
    """Return the computing time per second of sound, and the maximum resident memory in GB.

    With ``beats`` only the grid is computed, otherwise all features.
    """
    import torch

    from motionbeat_upstream.hubconf import motionbeat

    torch.set_num_threads(threads)
    model, wav = motionbeat(), music(seconds)
    with torch.inference_mode():
        call = {"ours": lambda: model.tower.estimate_grid(wav) if beats else model([wav])}
        elapsed = min_times(call, turns)["ours"]
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return elapsed / seconds, 1024 * kilobytes / GIGABYTE


def measure_grid(turns: int) -> list[Measurement]:
    """Measure the beat decoding of an excerpt, compared with another decoder and librosa's beat tracker."""
    import librosa
    import torch

    from motionbeat_upstream.hubconf import motionbeat
    from motionbeat_upstream.tracking.decoded_grid import decode_grids
    from motionbeat_upstream.tracking.frontend import log_mel
    from recipes.benchmark.beats.trackers import DBN_BPM, DBN_METRES
    from recipes.downstream.beat_tracking.decoding import decode_dbn

    torch.set_num_threads(1)
    tower, wav = motionbeat().tower, music(EXCERPT)
    lengths = torch.tensor([len(wav)])
    with torch.inference_mode():
        mel, mel_lengths = log_mel(wav[None], lengths, tower.config.n_mels)
        beats = tower.encode_frames(wav[None], lengths).beats
        assert beats is not None
        both = torch.stack([beats.beat[0], beats.downbeat[0]], 1)
        seconds = min_times(
            {
                "ours": lambda: decode_grids(
                    beats.beat, beats.downbeat, beats.tempo, mel, mel_lengths, [float(EXCERPT)]
                ),
                "dbn": lambda: decode_dbn(both, DBN_METRES, *DBN_BPM, FRAME_RATE),
                "librosa": lambda: librosa.beat.beat_track(y=wav.numpy(), sr=SAMPLE_RATE),
            },
            turns,
        )
    return [
        Measurement(f"decoding of beats and bars, {EXCERPT} s", 1e3 * seconds["ours"], "ms", most=20),
        Measurement(f"metricon's bar-pointer decoder, {EXCERPT} s", 1e3 * seconds["dbn"], "ms"),
        Measurement(f"librosa's beat tracker, {EXCERPT} s", 1e3 * seconds["librosa"], "ms"),
    ]
