"""Rows of a picture for labels: sections and chords, notes over the spectrogram, and drums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray
from scipy.signal import stft

from motion_data.labels import DRUMS, MODES, QUALITIES, SECTIONS
from motion_data.looking.excerpt import Excerpt
from motionbeat_upstream.commands.plot import INK

NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
"""Of the pitch classes."""

PARTS = ("#00a6d6", "#e0631b", "#3d9a46", "#c23ba0", "#8a6d1f", "#d62839")
"""Colours of the parts, in turn."""

DRUM_COLOURS = ("#1d2433", "#c2364b", "#2f6db5", "#8a6d1f", "#2c9a6a", "#8a93a6")

SPANS = ("#dfe6f2", "#f3e6d3", "#dcefe3", "#efdfee")
"""Colours of chords and sections, in turn."""

LOWEST, HIGHEST = 24, 108
"""MIDI pitches between which the spectrogram is drawn."""

RANGE = 60.0
"""Decibels below the loudest that are drawn."""

STEPS = 4
"""Rows of the spectrogram a semitone."""

WIDTH_OF_LETTER = 0.0085
"""Of the picture's width, for a letter of a chord's name."""


def harmony_name(root: float, quality: float) -> str:
    """A chord in short, as ``Am7``; a dash where none sounds."""
    name = QUALITIES[round(quality)]
    if name == "none":
        return "–"
    suffix = {"maj": "", "min": "m", "dim": "°", "aug": "+", "min7": "m7", "min6": "m6", "maj6": "6"}
    return NAMES[round(root) % 12] + suffix.get(name, "?" if name == "other" else name)


def draw_form(axes: Axes, excerpt: Excerpt) -> None:
    """Sections above chords, each as a bar with its name where there is room; the key beside them."""
    events = excerpt.labels.events
    rows = []
    if "sections" in events:
        sections = events["sections"]
        rows.append(("sections", sections, [SECTIONS[round(kind)] for kind in sections[:, 2]]))
    if "chords" in events:
        chords = events["chords"]
        rows.append(("chords", chords, [harmony_name(*chord) for chord in chords[:, 2:4]]))
    for row, (_, spans, names) in enumerate(reversed(rows)):
        _draw_spans(axes, excerpt, row, spans, names)
    axes.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
    axes.tick_params(axis="y", length=0)
    keys = [f"{NAMES[round(tonic) % 12]} {MODES[round(mode)]}" for tonic, mode in events["key"][:, 2:]] \
        if "key" in events else []  # fmt: skip
    axes.set(ylim=(-0.5, len(rows) - 0.5), ylabel="\n".join(dict.fromkeys(keys)) or "form")


def _draw_spans(
    axes: Axes, excerpt: Excerpt, row: int, spans: NDArray[np.float64], names: Sequence[str]
) -> None:
    shown = np.clip(spans[:, :2], 0, excerpt.seconds)
    for number, ((begin, end), name) in enumerate(zip(shown.tolist(), names, strict=True)):
        axes.broken_barh(
            [(excerpt.start + begin, end - begin)],
            (row - 0.44, 0.88),
            facecolor=SPANS[number % len(SPANS)],
            edgecolor="white",
            linewidth=0.8,
        )
        if end - begin > len(name) * WIDTH_OF_LETTER * excerpt.seconds:
            axes.text(
                excerpt.start + (begin + end) / 2, row, name, ha="center", va="center", color=INK, fontsize=8
            )


def draw_notes(axes: Axes, excerpt: Excerpt) -> None:
    """The spectrogram over pitch, with the outline of each note in the colour of its part."""
    pitches = np.arange(LOWEST - 0.5, HIGHEST + 0.5, 1 / STEPS)
    level = pitch_spectrogram(excerpt.sound.mean(1), excerpt.rate, pitches)
    axes.imshow(
        level,
        origin="lower",
        aspect="auto",
        cmap="Greys",
        vmin=-RANGE,
        vmax=0,
        extent=(excerpt.start, excerpt.stop, pitches[0], pitches[-1]),
        zorder=0,
    )
    notes = excerpt.labels.events.get("notes", np.empty((0, 6)))
    for part in np.unique(notes[:, 5]):
        own = notes[notes[:, 5] == part]
        times = excerpt.start + np.clip(own[:, :2], 0, excerpt.seconds)
        lines = np.stack([times, np.repeat(own[:, 2:3], 2, axis=1)], axis=2)
        colour = PARTS[int(part) % len(PARTS)]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=1.8, alpha=0.8, zorder=2))
        begun = own[:, 0] >= 0
        axes.plot(
            times[begun, 0],
            own[begun, 2],
            "|",
            color=colour,
            markersize=5,
            markeredgewidth=1.2,
            label=f"program {round(own[0, 4])}",
        )
    octaves = np.arange(LOWEST, HIGHEST + 1, 12)
    axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    axes.set(ylim=(LOWEST - 0.5, HIGHEST + 0.5), ylabel="notes")
    if len(notes):
        axes.legend(loc="upper right", ncols=6, fontsize=7, framealpha=0.85, borderpad=0.3, handlelength=0.8)


def draw_drums(axes: Axes, excerpt: Excerpt) -> None:
    """A lane for each class of drums, a stroke for each hit, higher where it is louder."""
    drums = excerpt.labels.events["drums"]
    for number, name in enumerate(DRUMS):
        row = len(DRUMS) - 1 - number
        own = drums[(drums[:, 2] == number) & (drums[:, 0] >= 0)]
        height = 0.15 + 0.3 * own[:, 3] / 127
        axes.vlines(
            excerpt.start + own[:, 0], row - height, row + height, color=DRUM_COLOURS[number], linewidth=1.6
        )
        axes.text(
            1.003, row, name, transform=axes.get_yaxis_transform(), va="center", fontsize=7, clip_on=False
        )
    axes.set(ylim=(-0.6, len(DRUMS) - 0.4), yticks=[], ylabel="drums")


def pitch_spectrogram(
    sound: NDArray[np.float32], rate: int, pitches: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(P, T) level in dB against the loudest, at some MIDI pitches, in frames of 10 ms from the start on.

    Args:
        sound: (N,) samples.
        rate: samples a second.
        pitches: (P,).
    """
    window, hop = 2 ** round(np.log2(rate / 4)), round(rate / 100)
    _, _, spectrum = stft(
        np.pad(sound, (0, max(0, window - len(sound)))),
        rate,
        nperseg=window,
        noverlap=window - hop,
        nfft=2 * window,
    )
    bins = 440.0 * 2 ** ((pitches - 69) / 12) / rate * 2 * window
    magnitude = np.abs(spectrum)
    lower = np.clip(np.floor(bins).astype(np.int64), 0, len(magnitude) - 2)
    share = np.clip(bins - lower, 0, 1)[:, None]
    level = (1 - share) * magnitude[lower] + share * magnitude[lower + 1]
    # Music falls by about 3 dB an octave; what is high should be seen as well.
    level = level * 2 ** ((pitches[:, None] - pitches[0]) / 24)
    decibels = 20 * np.log10(np.maximum(level, 1e-9))
    against_loudest: NDArray[np.float64] = decibels - decibels.max()
    return against_loudest
