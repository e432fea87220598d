"""The task instrument: instrument of a note.

On NSynth's families, or on the Philharmonia's instruments in folds with disjoint pitches and dynamics.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from motion_data.errors import DataError
from motion_data.pair import SPLITS
from recipes.downstream.clip_probing.clip_expert import ClipExpert, ClipTask, Layout
from recipes.downstream.clip_probing.clips import Clip, ClipData
from recipes.downstream.clip_probing.published import audio_by_stem, file_clip, require_path
from recipes.downstream.clip_probing.synthetic import synthetic_notes
from recipes.downstream.clip_probing.targets import Classes

NSYNTH = (
    "NSynth (nsynth-train.jsonwav.tar.gz, -valid, -test; magenta.tensorflow.org/datasets/nsynth, CC BY 4.0) "
    "and unpack all three into one folder"
)

PHILHARMONIA = (
    "the Philharmonia Orchestra's sound samples (philharmonia.co.uk/resources/sound-samples; CC BY-SA 3.0, "
    "not to be sold as samples): INSTRUMENT_PITCH_LENGTH_DYNAMIC_ARTICULATION.mp3, in one folder or in one "
    "for each instrument"
)

NSYNTH_SPLITS = {"train": "nsynth-train", "dev": "nsynth-valid", "test": "nsynth-test"}

FAMILIES = (
    "bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "synth_lead",
    "vocal",
)  # fmt: skip
"""NSynth's instrument families."""

NOTES = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")

DYNAMICS = {
    "molto-pianissimo": 0, "pianissimo": 0, "piano": 0,
    "mezzo-piano": 1, "mezzo-forte": 1,
    "forte": 2, "fortissimo": 2,
}  # fmt: skip
"""Dynamic band: 0 soft, 1 middle, 2 loud."""

BANDS = 3
"""Number of pitch bands, and of dynamic bands; every pair is a fold."""


def read_nsynth(root: Path, fold: int) -> ClipData:
    """NSynth's notes with its official splits, whose instruments are disjoint from those of train.

    Valid and test share instruments, so the group is the note.

    Raises:
        DataError: a missing part, or an unknown family.
    """
    splits: dict[str, list[Clip]] = {}
    for split, part in NSYNTH_SPLITS.items():
        examples = require_path(root, f"{part}/examples.json", NSYNTH)
        try:
            notes = json.loads(examples.read_text(encoding="utf-8"))
            families = {name: note["instrument_family_str"] for name, note in notes.items()}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataError(f"{examples}: not NSynth's examples.json ({error!r}); get {NSYNTH}") from error
        unknown = sorted(set(families.values()) - set(FAMILIES))
        if unknown:
            raise DataError(
                f"{examples}: unknown instrument family {unknown[0]!r}; expected {', '.join(FAMILIES)}"
            )
        folder = require_path(root, f"{part}/audio", NSYNTH)
        splits[split] = [
            file_clip(name, name, FAMILIES.index(family), folder / f"{name}.wav")
            for name, family in sorted(families.items())
        ]
    return ClipData("NSynth, families", Classes(FAMILIES), "note", splits)


def read_philharmonia(root: Path, fold: int) -> ClipData:
    """Notes of the orchestra; train has neither the pitches nor the dynamics of test.

    Pitches are assigned to three bands in turn, semitone by semitone; dynamics are soft, middle or loud. A
    fold tests one pair of bands; notes that share its pitch band or its dynamic band are left out. Of the
    other four pairs, one is dev and three are train. The nine folds test every note once.

    Raises:
        DataError: the folder has no such files.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; get {PHILHARMONIA}")
    files = audio_by_stem(root)
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        files |= audio_by_stem(folder)
    notes = [(stem.split("_"), file) for stem, file in files.items() if len(stem.split("_")) == 5]
    notes = [(parts, file) for parts, file in notes if _pitch(parts[1]) is not None and parts[3] in DYNAMICS]
    if not notes:
        raise DataError(f"{root}: no file of the orchestra; get {PHILHARMONIA}")
    instruments = tuple(sorted({parts[0] for parts, _ in notes}))
    pitch, dynamic = divmod(fold, BANDS)
    splits: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    for (instrument, name, *_, loudness, _), file in notes:
        bands = ((_pitch(name) or 0) % BANDS, DYNAMICS[loudness])
        if bands == (pitch, dynamic):
            split = "test"
        elif bands[0] == pitch or bands[1] == dynamic:
            continue
        else:
            split = "dev" if bands == ((pitch + 1) % BANDS, (dynamic + 1) % BANDS) else "train"
        group = f"{instrument} {name}, {('soft', 'middle', 'loud')[bands[1]]}"
        splits[split].append(file_clip(file.stem, group, instruments.index(instrument), file))
    return ClipData(f"Philharmonia, fold {fold} of 9", Classes(instruments), "note", splits)


def _pitch(name: str) -> int | None:
    """Semitones above C0 of a name such as As3; None if it is not a pitch."""
    match = re.fullmatch(r"([A-G]s?)(\d)", name)
    return None if match is None or match[1] not in NOTES else 12 * int(match[2]) + NOTES.index(match[1])


INSTRUMENT = ClipTask(
    "instrument",
    {
        "nsynth": Layout(read_nsynth, 1, NSYNTH),
        "philharmonia": Layout(read_philharmonia, BANDS * BANDS, PHILHARMONIA),
    },
    synthetic_notes,
)


class DownstreamExpert(ClipExpert):
    """See :class:`~recipes.downstream.clip_probing.clip_expert.ClipExpert`."""

    task = INSTRUMENT
