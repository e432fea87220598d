"""``motionbeat data soundfonts DIR OUT``: measure what constructed pairs may be played through."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from motionbeat_upstream.commands.command import command

if TYPE_CHECKING:
    from motion_data.known_soundfonts import KnownSource
    from motion_data.measured_sounds import Soundfont
    from motion_data.singing import Syllable

MOST_SPEECH = 120
"""Recordings of speech that syllables are taken from, evenly chosen."""


@command("motionbeat data soundfonts", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        "motionbeat data soundfonts",
        description="Measure how late each program of the soundfonts below DIR is heard; exclude programs "
        "that are silent, hang, play NaN, have no attack, or sound differently from run to run. OUT gets the "
        "table, with impulse responses of amplifiers and syllables of speech, for `motionbeat data prepare "
        "constructed --soundfonts OUT`. Nothing is fetched: what is missing is named with the command that "
        "gets it.",
    )
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="where the packages are unpacked or installed"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    parser.add_argument(
        "--skip-missing", action="store_true", help="do without the soundfonts that are missing"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=30.0,
        metavar="S",
        help="seconds for a program; default: %(default)g",
    )
    options = parser.parse_args(arguments)
    if options.patience <= 0:
        parser.error("--patience must be above 0")

    from motion_data.known_soundfonts import CABINETS, SOUNDFONTS, SPEECH, find_all_files
    from motion_data.measured_sounds import (
        CABINETS_FILE,
        SYLLABLES_FILE,
        MeasuredSounds,
        write_measured_sounds,
    )
    from motion_data.singing import write_syllables

    files = find_all_files(options.folder, options.skip_missing)
    fonts = {}
    for name, known in SOUNDFONTS.items():
        if files[known]:
            fonts[name] = measure(name, known, files[known][0], options.patience)
            print(_line(name, fonts[name]), flush=True)
    syllables = _syllables(files[SPEECH])
    if syllables:
        write_syllables(options.out / SYLLABLES_FILE, syllables)
    _write_cabinets(options.out / CABINETS_FILE, files[CABINETS])
    write_measured_sounds(MeasuredSounds(options.out, fonts))
    for name, font in fonts.items():
        for program, why in font.excluded.items():
            print(f"excluded: {name} {program}: {why}")
    counts = f"{len(fonts)} soundfonts, {len(files[CABINETS])} cabinets, {len(syllables)} syllables"
    print(f"{counts} in {options.out}")
    return 0


def measure(name: str, known: KnownSource, path: Path, patience: float) -> Soundfont:
    """Measure a soundfont.

    Raises:
        DataError: it is none, or none of its programs can be used.
    """
    from tqdm import tqdm

    from motion_data.errors import DataError
    from motion_data.files import file_sha256
    from motion_data.measured_sounds import Soundfont
    from motion_data.soundfont import make_synthesiser
    from motion_data.soundfont_survey import survey_voices
    from motion_data.voices import Voice

    make_synthesiser(path)
    voices = [
        (Voice(str(path), program, False), known.kit) for program in ((0,) if known.kit else range(128))
    ]
    if not known.kit:
        voices += [(Voice(str(path), kit, True), True) for kit in range(57) if kit % 8 <= 1]
    found = list(
        tqdm(survey_voices(voices, patience), desc=name, total=len(voices), unit="program", leave=False)
    )
    good = [one for one in found if not one.fault]
    if not good:
        raise DataError(f"{path}: none of its programs can be used; the first: {found[0].fault}")
    excluded = {
        f"{'kit' if one.voice.drums else 'program'} {one.voice.program}": one.fault
        for one in found
        # A kit that a soundfont does not have is no fault.
        if one.fault and not (one.voice.drums and one.fault == "silent")
    }
    return Soundfont(
        str(path),
        file_sha256(path),
        known.licence,
        known.kit,
        known.unseen,
        {one.voice.program: one.latencies for one in good if not one.voice.drums and not known.kit},
        {one.voice.program: one.latencies for one in good if one.voice.drums or known.kit},
        excluded,
    )


def _line(name: str, font: Soundfont) -> str:
    import numpy as np

    late = [np.median(list(layers[-1].values())) * 1000 for layers in font.programs.values()]
    spread = f", heard {np.median(late):.1f} ms late ({min(late):.1f} to {max(late):.1f})" if late else ""
    reasons = Counter(why.split(" (")[0].split(":")[0] for why in font.excluded.values())
    left = "".join(f"; {count} {why}" for why, count in reasons.items())
    return f"{name}: {len(font.programs)} programs, {len(font.kits)} kits{spread}{left}"


def _syllables(recordings: Sequence[Path]) -> list[Syllable]:
    import numpy as np

    from motion_data.singing import extract_syllables, read_speech

    if not recordings:
        return []
    chosen = np.unique(np.linspace(0, len(recordings) - 1, MOST_SPEECH).astype(int))
    return [syllable for number in chosen for syllable in extract_syllables(read_speech(recordings[number]))]


def _write_cabinets(path: Path, responses: Sequence[Path]) -> None:
    import numpy as np

    from motion_data.amplifier import read_cabinet
    from motionbeat_upstream.atomic_write import atomic_path

    if responses:
        with atomic_path(path) as draft, draft.open("wb") as file:
            np.savez(file, **{response.stem: read_cabinet(response) for response in responses})
