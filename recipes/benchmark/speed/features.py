"""The speed of features and of beats, and the memory that long sounds need."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context

from motionbeat_upstream.config import SAMPLE_RATE
from recipes.benchmark.speed.figure import Figure, fastest, music

MATRIX = 2048
"""Rows and columns of the matrix product that gives the machine's rate."""

EXCERPT, CLIP, BATCH = 30, 5, 16
"""Seconds of most measurements, seconds of a short clip, and clips of a batch."""

LENGTHS = (10, 80, 600, 3600)
"""Seconds of sound whose cost per second is compared."""

GIGABYTE = 1e9


def measure_features(threads: int, turns: int) -> list[Figure]:
    """Features of an excerpt, a clip and a batch, next to HuBERT and to a matrix product."""
    import torch
    import torchaudio
    from torch.utils.flop_counter import FlopCounterMode

    from motionbeat_upstream.hubconf import motionbeat, motionbeat_base

    torch.set_num_threads(threads)
    ours, base = motionbeat(), motionbeat_base()
    hubert = torchaudio.models.hubert_base().eval()
    excerpt, clip, long = music(EXCERPT), music(CLIP), music(BATCH * CLIP)
    square = torch.rand(MATRIX, MATRIX)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            ours([excerpt])
        seconds = fastest(
            {
                "motionbeat": lambda: ours([excerpt]),
                "matrix": lambda: square @ square,
                "clip": lambda: ours([clip]),
                "batch": lambda: ours([clip] * BATCH),
                "long": lambda: ours([long]),
                "base": lambda: base([excerpt]),
            },
            turns,
        )
        seconds |= fastest({"hubert": lambda: hubert(excerpt[None])}, max(1, turns // 3))
    rate = 2 * MATRIX**3 / seconds["matrix"]
    with_threads = f"{threads} thread{'s' if threads > 1 else ''}"
    return [
        Figure(f"features, {EXCERPT} s, {with_threads}", 1e3 * seconds["motionbeat"], "ms"),
        Figure(f"features of the base architecture, {EXCERPT} s", 1e3 * seconds["base"], "ms"),
        Figure(f"torchaudio's hubert_base, {EXCERPT} s", 1e3 * seconds["hubert"], "ms"),
        Figure("times the speed of hubert_base", seconds["hubert"] / seconds["motionbeat"], "", least=60),
        Figure(f"matrix product of {MATRIX}", rate / 1e9, "GFLOP/s"),
        Figure(
            "share of that rate in the network",
            counter.get_total_flops() / seconds["motionbeat"] / rate,
            "",
            least=0.65,
        ),
        Figure(f"one clip of {CLIP} s", 1e3 * seconds["clip"], "ms", most=25),
        Figure(
            f"a batch of {BATCH} such clips over one of {BATCH * CLIP} s",
            seconds["batch"] / seconds["long"],
            "",
            most=1,
        ),
    ]


def measure_busy(turns: int) -> list[Figure]:
    """Features by one thread while another process computes."""
    import torch
    import torchaudio

    from motionbeat_upstream.hubconf import motionbeat

    torch.set_num_threads(1)
    ours, hubert, excerpt = motionbeat(), torchaudio.models.hubert_base().eval(), music(EXCERPT)
    with torch.inference_mode(), other_work():
        seconds = fastest({"ours": lambda: ours([excerpt])}, turns)
        seconds |= fastest({"hubert": lambda: hubert(excerpt[None])}, max(1, turns // 3))
    return [
        Figure(
            "times the speed of hubert_base, 1 thread next to a busy core",
            seconds["hubert"] / seconds["ours"],
            "",
            least=40,
        )
    ]


@contextmanager
def other_work() -> Iterator[None]:
    """A process that multiplies matrices by one thread."""
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
    """Seconds that a second of a long sound costs, and the most memory that the process had, in GB.

    ``beats``: the grid alone, otherwise all features.
    """
    import torch

    from motionbeat_upstream.hubconf import motionbeat

    torch.set_num_threads(threads)
    ours, wav = motionbeat(), music(seconds)
    with torch.inference_mode():
        call = {"ours": lambda: ours.tower.estimate_grid(wav) if beats else ours([wav])}
        spent = fastest(call, turns)["ours"]
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return spent / seconds, 1024 * kilobytes / GIGABYTE


def measure_grid(turns: int) -> list[Figure]:
    """Decoding the beats of an excerpt, next to a decoder of frames and to librosa's whole beat tracker."""
    import librosa
    import torch

    from motionbeat_upstream.hubconf import motionbeat
    from motionbeat_upstream.tracking.decoded_grid import decode_grids
    from motionbeat_upstream.tracking.frontend import log_mel
    from recipes.benchmark.beats.trackers import DBN_BPM, DBN_METRES, FRAME_RATE
    from recipes.downstream.beat_tracking.decoding import decode_dbn

    torch.set_num_threads(1)
    tower, wav = motionbeat().tower, music(EXCERPT)
    lengths = torch.tensor([len(wav)])
    with torch.inference_mode():
        mel, mel_lengths = log_mel(wav[None], lengths, tower.config.n_mels)
        beats = tower.encode_frames(wav[None], lengths).beats
        assert beats is not None
        both = torch.stack([beats.beat[0], beats.downbeat[0]], 1)
        seconds = fastest(
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
        Figure(f"decoding of beats and bars, {EXCERPT} s", 1e3 * seconds["ours"], "ms", most=20),
        Figure(f"metricon's bar-pointer decoder, {EXCERPT} s", 1e3 * seconds["dbn"], "ms"),
        Figure(f"librosa's beat tracker, {EXCERPT} s", 1e3 * seconds["librosa"], "ms"),
    ]
