"""``motionbeat plot``: plot beats, bars and form of a song."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from motionbeat_upstream.atomic_write import atomic_path
from motionbeat_upstream.commands.audio_warnings import add_strict_option
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.model_option import (
    add_hint_options,
    add_model_options,
    load_model,
    read_hints,
)
from motionbeat_upstream.commands.paths import audio_file, output_file
from motionbeat_upstream.config import ENVELOPE_RATE, FRAME_RATE, SAMPLE_RATE
from motionbeat_upstream.file_name import printable
from motionbeat_upstream.tracking.bar_profile import bar_numbers, bar_profile
from motionbeat_upstream.tracking.grid import Grid, confidence_text

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes

    from motionbeat_upstream.expert import UpstreamExpert
    from motionbeat_upstream.nn.music_tower import MusicFeatures
    from motionbeat_upstream.tracking.bar_pointer import Hints

DESCRIPTION = """\
Plot a song: waveform and onset envelope with beats and bars, and the activations of a trained model; onset
strength over the bar as a wheel, clockwise from the downbeat at the top; every bar as one row; and the
similarity of bars by the model's features, which shows the sections."""

BINS_PER_BEAT = 12

SIMILARITY_SCALE = 0.5
"""Squared distance of two bars, in variances of a frame, with a similarity of 1/e [O]."""

INK = "#1d2433"
SOFT = "#8a93a6"
WAVE = "#5b7db1"
ONSET = "#e07a3f"
PULSE = "#2f6f5e"
BEAT = "#b9c0cc"
BAR = "#c2364b"


@dataclass(frozen=True)
class Song:
    """Data of the plot of a song."""

    name: str
    wav: NDArray[np.float32]
    """(T,) at 16 kHz."""
    onset: NDArray[np.float32]
    """(F,) at 100 Hz."""
    activations: Mapping[str, NDArray[np.float32]]
    """(F / 2,) in [0, 1] at 50 Hz: outputs of the model's heads, by name."""
    grid: Grid
    similarity: NDArray[np.float32]
    """(bars, bars) in (0, 1], from :func:`bar_similarity`."""
    trained: bool
    """Whether the model is trained."""


@command("motionbeat plot", extra="plot")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 if the plot is written."""
    parser = argparse.ArgumentParser("motionbeat plot", description=DESCRIPTION)
    parser.add_argument("file", metavar="FILE", type=audio_file, help="audio of any format and rate")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=output_file(".png", ".pdf", ".svg"),
        metavar="PNG",
        help="also .pdf or .svg",
    )
    parser.add_argument(
        "--start", type=float, default=None, metavar="S", help="start of the excerpt at the top in seconds"
    )
    parser.add_argument("--length", type=float, default=16.0, metavar="S", help="its length; default: 16")
    add_model_options(parser)
    add_hint_options(parser)
    add_strict_option(parser)
    options = parser.parse_args(arguments)
    if not options.length > 0 or (options.start is not None and not options.start >= 0):
        parser.error("--length must be above 0 and --start at least 0 seconds")

    from motionbeat_upstream.audio import read_audio

    wav = read_audio(options.file)
    expert = load_model(options)
    song = analyse(printable(options.file.name), wav, expert, read_hints(options, expert))
    duration = len(wav) / SAMPLE_RATE
    start = options.start
    if start is None:
        # A third of the way through the beats, since the song may begin with silence.
        beats = song.grid.beats if song.grid.confidence else np.array([0.0, duration])
        start = float(beats[0] + (beats[-1] - beats[0]) / 3)
    start = max(0.0, min(start, duration - options.length))
    figure = draw(song, start, min(options.length, duration))
    with atomic_path(options.output) as draft:
        figure.savefig(draft, dpi=150)
    print(f"wrote {options.output}", file=sys.stderr)
    return 0


def analyse(name: str, wav: torch.Tensor, expert: UpstreamExpert, hints: Hints | None = None) -> Song:
    """Compute features and grid of a waveform (T,) at 16 kHz."""
    import torch

    from motionbeat_upstream.tracking.bar_pointer import NO_HINTS

    device = next(expert.parameters()).device
    with torch.inference_mode():
        lengths = torch.tensor([len(wav)], device=device)
        features = expert.tower(wav[None].to(device), lengths, hints=hints or NO_HINTS)
    # Without the token layers, whose features depend on the position in 16 bars in any music.
    trunk = [features.hidden_states[layer] for layer in expert.tower.config.trunk_layers]
    return Song(
        name=name,
        wav=wav.numpy(),
        onset=features.onset_envelope[0].float().cpu().numpy(),
        activations=_activations(features) if expert.provenance.trained else {},
        grid=features.grids[0],
        similarity=bar_similarity([state[0].float().cpu().numpy() for state in trunk], features.grids[0]),
        trained=expert.provenance.trained,
    )


def _activations(features: MusicFeatures) -> dict[str, NDArray[np.float32]]:
    """Activations of beats and downbeats if the tower has beat heads, otherwise of contact pulses."""
    if features.beats is None:
        return {"contact pulses": features.pulse_activation[0].cpu().numpy()}
    return {
        "beat": features.beats.beat[0].sigmoid().cpu().numpy(),
        "downbeat": features.beats.downbeat[0].sigmoid().cpu().numpy(),
    }


def bar_similarity(states: Sequence[NDArray[np.float32]], grid: Grid) -> NDArray[np.float32]:
    """Compute the (bars, bars) similarity of bars in (0, 1], 1 for equal bars.

    It is exp(-d²/s): d² is the mean squared distance of the mean features of two bars, in units of the
    variance of the frames over the song, and s = ``SIMILARITY_SCALE``. The scale does not depend on how much
    the bars differ, so that repetitions of one bar have 1, and noise is not amplified to a pattern.

    Args:
        states: layers, each (F, D) at 50 Hz.
        grid: beats and bars of the clip.
    """
    standardised = [(state - state.mean(0)) / np.maximum(state.std(0), 1e-6) for state in states]
    frames = np.concatenate(standardised, axis=1)
    times = (np.arange(len(frames)) + 0.5) / FRAME_RATE
    bar = bar_numbers(grid, times, BINS_PER_BEAT * grid.metre) - 1
    sums = np.zeros((bar.max() + 1, frames.shape[1]))
    np.add.at(sums, bar, frames)
    means = sums / np.maximum(np.bincount(bar), 1)[:, None]
    squares = (means**2).mean(1)
    distance = np.maximum(squares[:, None] + squares - 2 * means @ means.T / means.shape[1], 0)
    similarity: NDArray[np.float32] = np.exp(-distance / SIMILARITY_SCALE).astype(np.float32)
    return similarity


def draw(song: Song, start: float, length: float) -> Figure:
    """Draw the figure; ``start`` and ``length`` in seconds are those of the excerpt in its upper half."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes

    with matplotlib.rc_context(
        {"font.size": 9, "axes.edgecolor": SOFT, "text.color": INK, "axes.labelcolor": INK}
    ):
        figure = Figure(figsize=(12, 8.2), layout="constrained")
        rows = figure.add_gridspec(3, 1, height_ratios=[1, 1, 2.6])
        wave = figure.add_subplot(rows[0])
        onset = figure.add_subplot(rows[1], sharex=wave)
        lower = rows[2].subgridspec(1, 3, width_ratios=[1, 1, 1])
        profile = bar_profile(song.onset, ENVELOPE_RATE, song.grid, BINS_PER_BEAT * song.grid.metre)
        _draw_title(figure, song)
        _draw_wave(wave, song, start, length)
        _draw_onset(onset, song, start, length)
        wheel = figure.add_subplot(lower[0], projection="polar")
        assert isinstance(wheel, PolarAxes)
        _draw_wheel(wheel, profile, song.grid.metre)
        _draw_bars(figure.add_subplot(lower[1]), profile, song.grid.metre)
        _draw_similarity(figure.add_subplot(lower[2]), song)
    return figure


def _draw_title(figure: Figure, song: Song) -> None:
    grid = song.grid
    minutes, seconds = divmod(round(len(song.wav) / SAMPLE_RATE), 60)
    if grid.confidence == 0:
        text = f"no pulse; drawn on a fixed grid of {grid.bpm:.0f} bpm"
    else:
        confidence = confidence_text(grid.confidence, grid.downbeat_confidence)
        text = f"{grid.bpm:.1f} bpm · {grid.metre} beats per bar · {confidence}"
    figure.suptitle(f"{song.name}   {minutes}:{seconds:02d} · {text}", fontsize=12, x=0.01, ha="left")


def _draw_wave(axes: Axes, song: Song, start: float, length: float) -> None:
    first, last = int(start * SAMPLE_RATE), int((start + length) * SAMPLE_RATE)
    excerpt = song.wav[first:last]
    # Minimum and maximum of each of about 1,600 columns, as in audio editors.
    size = max(1, len(excerpt) // 1600)
    columns = excerpt[: len(excerpt) // size * size].reshape(-1, size)
    times = start + (np.arange(len(columns)) + 0.5) * size / SAMPLE_RATE
    axes.fill_between(times, columns.min(1), columns.max(1), color=WAVE, linewidth=0)
    peak = max(float(np.abs(excerpt).max()), 1e-3)
    axes.set(xlim=(start, start + length), ylim=(-1.05 * peak, 1.05 * peak), yticks=[], ylabel="waveform")
    axes.tick_params(labelbottom=False)
    _draw_beats(axes, song.grid, start, length, numbers=True)


def _draw_onset(axes: Axes, song: Song, start: float, length: float) -> None:
    first, last = int(start * ENVELOPE_RATE), int((start + length) * ENVELOPE_RATE) + 1
    excerpt = song.onset[first:last]
    times = (first + np.arange(len(excerpt)) + 0.5) / ENVELOPE_RATE
    axes.fill_between(times, 0, excerpt, color=ONSET, linewidth=0)
    peak = max(float(excerpt.max(initial=0)), 1e-3)
    axes.set(ylim=(0, 1.08 * peak), yticks=[], ylabel="onset envelope", xlabel="time (s)")
    for (name, activation), colour in zip(song.activations.items(), (PULSE, BAR), strict=False):
        values = activation[first // 2 : last // 2]
        centres = (first // 2 + np.arange(len(values)) + 0.5) / FRAME_RATE
        axes.plot(centres, peak * values, color=colour, linewidth=1, label=f"{name} activation of the model")
    if song.activations:
        axes.legend(loc="upper right", fontsize=8, framealpha=0.9, edgecolor="none")
    _draw_beats(axes, song.grid, start, length, numbers=False)


def _draw_beats(axes: Axes, grid: Grid, start: float, length: float, numbers: bool) -> None:
    bar = bar_numbers(grid, grid.beats, BINS_PER_BEAT * grid.metre)
    for beat, position, number in zip(grid.beats, grid.positions, bar, strict=True):
        if not start <= beat <= start + length:
            continue
        downbeat = position == 1
        axes.axvline(beat, color=BAR if downbeat else BEAT, linewidth=1.4 if downbeat else 0.8, zorder=0.5)
        if downbeat and numbers and beat < start + 0.98 * length:
            number_bar(axes, beat, number)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def number_bar(axes: Axes, time: float, number: int) -> None:
    """Write a bar's number above its downbeat."""
    axes.annotate(
        str(number),
        (time, 1),
        (2, 2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        color=BAR,
        fontsize=8,
        va="bottom",
    )


def _draw_wheel(axes: PolarAxes, profile: NDArray[np.float64], metre: int) -> None:
    # A clip shorter than a bar has phases without frames.
    count = np.isfinite(profile).sum(axis=0)
    mass = np.nansum(profile, axis=0) / np.maximum(count, 1)
    mass = mass / max(mass.max(), 1e-9)
    angle = np.arange(len(mass)) / len(mass) * 2 * np.pi
    on_beat = np.arange(len(mass)) % BINS_PER_BEAT == 0
    colours = [BAR if i == 0 else ONSET if beat else "#f0b491" for i, beat in enumerate(on_beat)]
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.bar(angle, mass, width=2 * np.pi / len(mass) * 0.9, bottom=0.35, color=colours)
    axes.set_ylim(0, 1.4)
    axes.set_yticks([])
    axes.set_xticks(np.arange(metre) / metre * 2 * np.pi, [str(i + 1) for i in range(metre)], fontsize=12)
    axes.xaxis.grid(color=BEAT, linewidth=0.8)
    axes.spines["polar"].set_visible(False)
    axes.set_title("onset strength over the bar", fontsize=10)


def _draw_bars(axes: Axes, profile: NDArray[np.float64], metre: int) -> None:
    top = np.nanpercentile(profile, 99) if np.isfinite(profile).any() else 1.0
    half = 0.5 / BINS_PER_BEAT
    axes.imshow(
        profile,
        aspect="auto",
        cmap="magma",
        vmin=0,
        vmax=max(float(top), 1e-9),
        interpolation="nearest",
        extent=(1 - half, metre + 1 - half, len(profile) + 0.5, 0.5),
    )
    axes.set_xticks(range(1, metre + 1))
    axes.set(xlabel="beat", ylabel="bar")
    axes.set_title("onset strength of each bar", fontsize=10)


def _draw_similarity(axes: Axes, song: Song) -> None:
    count = len(song.similarity)
    axes.imshow(
        song.similarity,
        cmap="magma",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(0.5, count + 0.5, count + 0.5, 0.5),
    )
    axes.set(xlabel="bar", ylabel="bar")
    model = "" if song.trained else ", tower untrained"
    axes.set_title(f"self-similarity of the bars (bright: similar){model}", fontsize=10)
