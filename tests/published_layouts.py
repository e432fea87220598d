"""Small folders in the published layouts of the clip tasks' data sets, with noise for audio."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from recipes.downstream.instrument.expert import DYNAMICS, FAMILIES
from recipes.downstream.music_emotion.expert import DEAM, EMOMUSIC, PMEMO, Published


def noise(file: Path, seconds: float = 0.6) -> Path:
    """A short file of noise, its own by its name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(sum(file.name.encode()))
    wav = 0.1 * draw.standard_normal(round(16_000 * seconds))
    kind = {".wav": "WAV", ".mp3": "MP3", ".flac": "FLAC"}[file.suffix]
    soundfile.write(file, wav, 16_000, format=kind)
    return file


def write_csv(file: Path, rows: Sequence[Sequence[object]], delimiter: str = ",") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    file.write_text(text.getvalue(), encoding="utf-8")


def gtzan(root: Path) -> None:
    """All 930 clips of the fault-filtered split, as links to one file a genre."""
    from torchaudio.datasets import gtzan as published

    for stem in [*published.filtered_train, *published.filtered_valid, *published.filtered_test]:
        genre = stem.split(".")[0]
        first = root / "genres" / genre / f"{genre}.wav"
        if not first.exists():
            noise(first)
        (first.parent / f"{stem}.wav").hardlink_to(first)


def groove(root: Path) -> None:
    """Six drummers with three styles, one style of two drummers only, and a fill."""
    rows = [["drummer", "id", "style", "beat_type", "midi_filename", "audio_filename"]]
    for drummer in range(6):
        for number, style in enumerate(("rock", "jazz/swing", "latin", "polka")):
            if style == "polka" and drummer > 1:
                continue
            for kind in ("beat", "fill"):
                name = f"d{drummer}/{number}_{kind}"
                # What is published is WAV, and wanting for some takes; what is rendered is FLAC.
                published = "" if number else f"{name}.wav"
                rows.append([f"drummer{drummer}", name, style, kind, f"{name}.mid", published])
                if kind == "beat":
                    noise(root / f"{name}.{'flac' if number else 'wav'}")
    write_csv(root / "info.csv", rows)


def nsynth(root: Path) -> None:
    for part in ("train", "valid", "test"):
        notes = {}
        for family in FAMILIES[:4]:
            for number in range(2):
                name = f"{family}_acoustic_{part}{number}-060-100"
                notes[name] = {"instrument_family_str": family, "pitch": 60}
                noise(root / f"nsynth-{part}" / "audio" / f"{name}.wav")
        (root / f"nsynth-{part}" / "examples.json").write_text(json.dumps(notes))


def philharmonia(root: Path) -> None:
    """Three instruments, six pitches, every dynamic; one instrument in a folder of its own."""
    for instrument in ("cello", "flute", "oboe"):
        folder = root / "oboe" if instrument == "oboe" else root
        for pitch in ("C4", "Cs4", "D4", "Ds4", "E4", "F4"):
            for dynamic in DYNAMICS:
                noise(folder / f"{instrument}_{pitch}_1_{dynamic}_normal.wav", 0.2)
    noise(root / "cello_C4_phrase_crescendo_normal.wav")


def magnatagatune(root: Path) -> None:
    """Sixteen folders of two clips, 52 tags, of which two are rare."""
    tags = [f"tag{number:02d}" for number in range(52)]
    rows: list[list[object]] = [["clip_id", *tags, "mp3_path"]]
    draw = np.random.default_rng(0)
    for number, folder in enumerate("0123456789abcdef"):
        for clip in range(2):
            path = f"{folder}/artist-album-{number:02d}-song-{30 * clip}-{30 * clip + 29}.mp3"
            flags = [int(draw.random() < 0.5) if tag > 1 else 0 for tag in range(len(tags))]
            rows.append([2 * number + clip, *flags, path])
            noise(root / path)
    (root / str(rows[1][-1])).write_bytes(b"")
    write_csv(root / "annotations_final.csv", rows, "\t")


def mtg_jamendo(root: Path) -> None:
    for number, part in enumerate(("train", "validation", "test")):
        lines = ["\t".join(["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"])]
        for track in range(4):
            path = f"0{number}/{track}.mp3"
            tags = ["genre---rock", "instrument---piano"][: 1 + track % 2] if track else ["mood/theme---calm"]
            lines.append(
                "\t".join(
                    [f"track_{number}{track}", f"artist_{number}", f"album_{number}", path, "200.0", *tags]
                )
            )
            published = root / "audio" / path
            noise(published.with_suffix(".low.mp3") if track else published)
        file = root / f"data/splits/split-0/autotagging_top50tags-{part}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")


def _emotion(root: Path, published: Published, first_song: int, songs: int = 12) -> None:
    draw = np.random.default_rng(0)
    for table, (song, valence, arousal) in published.annotations.items():
        header = [song, f" {arousal}", f" {valence}"]
        # A table of songs of their own each, the last of which has no audio.
        rows = [[number, *draw.uniform(1, 9, 2).round(2)] for number in range(first_song, first_song + songs)]
        write_csv(root / table, [header, *rows])
        for number in range(first_song, first_song + songs - 1):
            noise(root / published.audio[0] / f"{number}.mp3")
        for index, metadata in enumerate(published.metadata):
            known = [
                [number, f"Artist {number // 2}"] for number in range(first_song, first_song + songs - 2)
            ]
            heading = [("song_id", "Artist"), ("Id", "Artist"), ("id", "artist")][index]
            before = (root / metadata).read_text().splitlines()[1:] if (root / metadata).exists() else []
            write_csv(
                root / metadata,
                [heading, *(line.split(",") for line in before), *(known if index == 0 else [])],
            )
        first_song += songs


def emomusic(root: Path) -> None:
    _emotion(root, EMOMUSIC, 2)


def pmemo(root: Path) -> None:
    _emotion(root, PMEMO, 1)


def deam(root: Path) -> None:
    _emotion(root, DEAM, 2)


LAYOUTS = {
    "gtzan": gtzan,
    "groove": groove,
    "nsynth": nsynth,
    "philharmonia": philharmonia,
    "magnatagatune": magnatagatune,
    "mtg_jamendo": mtg_jamendo,
    "emomusic": emomusic,
    "pmemo": pmemo,
    "deam": deam,
}
