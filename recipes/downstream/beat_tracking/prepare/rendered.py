"""Data sets of rendered MIDI with human or exact beats: Groove, ASAP, POP909.

    python -m recipes.downstream.beat_tracking.prepare.rendered groove|asap|pop909 SOURCE OUT

renders each MIDI file of a corpus with a soundfont and writes ``OUT/audio/<name>.flac`` (mono, 16 kHz),
``OUT/beats/<name>.beats``, ``OUT/splits.csv`` and ``OUT/README.md``. A second run keeps complete files. The
licences of the corpora apply to the files.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from motion_data.beats_file import Beats, read_beats, write_beats
from motion_data.errors import DataError
from motion_data.files import write_sound
from motion_data.measured_sounds import Soundfont, read_measured_sounds, render_measured
from motion_data.midi_file import read_score
from motion_data.pair import SPLITS
from motion_data.soundfont import check_soundfont, default_soundfont, make_synthesiser, render_score
from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.commands.command import INTERRUPTED_RESUMABLE, command
from motionbeat_upstream.config import SAMPLE_RATE
from recipes.downstream.beat_tracking.dataset import apportion, load_recordings, write_splits
from recipes.downstream.beat_tracking.prepare.midi_corpora import CORPORA, Take

MIN_BEATS = 8
"""Files with fewer beats are left out."""


def render(midi: Path, soundfont: Path | Soundfont) -> NDArray[np.float32]:
    """Render a MIDI file; (T,) mono at 16 kHz.

    With a measured soundfont, notes sound at their written times and as loud as their velocities. symusic
    alone renders all notes equally loud, with the attack times of the soundfont.

    Raises:
        DataError: not a MIDI file, or a silent one.
    """
    score = read_score(midi)
    try:
        return (
            render_score(score, soundfont)
            if isinstance(soundfont, Path)
            else render_measured(score, soundfont)
        )
    except DataError as error:
        raise DataError(f"{midi}: {error}") from error


def render_take(take: Take, out: Path, soundfont: Path | Soundfont, seconds: float | None) -> None:
    """Write the audio of a take, then its beats.

    Raises:
        DataError: the take cannot be used.
    """
    import torch

    beats = take.beats()
    audio = render(take.midi, soundfont)
    if seconds is not None:
        audio = audio[: round(seconds * SAMPLE_RATE)]
    inside = (beats.times >= 0) & (beats.times < len(audio) / SAMPLE_RATE)
    if inside.sum() < MIN_BEATS:
        raise DataError(
            f"{take.midi}: {inside.sum()} beats in the rendered audio; expected at least {MIN_BEATS}"
        )
    audio_path, beats_path = take_paths(take, out)
    write_sound(audio_path, torch.from_numpy(audio))
    write_beats(beats_path, Beats(beats.times[inside], beats.positions[inside]))


def take_paths(take: Take, out: Path) -> tuple[Path, Path]:
    """Paths of the audio and beats of a take in the data set."""
    return out / "audio" / f"{take.name}.flac", out / "beats" / f"{take.name}.beats"


def select_takes(takes: Sequence[Take], limit: int | None) -> list[Take]:
    """At most ``limit`` takes, spread over the corpus, with every split in proportion."""
    if limit is None or limit >= len(takes):
        return list(takes)
    by_split = {split: [take for take in takes if take.split == split] for split in SPLITS}
    counts = apportion(limit, {split: len(group) for split, group in by_split.items() if group})
    return [
        by_split[split][index * len(by_split[split]) // count]
        for split, count in counts.items()
        for index in range(count)
    ]


def prepare(
    corpus: str,
    source: Path,
    out: Path,
    limit: int | None = None,
    seconds: float | None = None,
    soundfont: Path | None = None,
    folds: int | None = None,
    without: Sequence[Path] = (),
    soundfonts: Path | None = None,
) -> list[str]:
    """Write the data set to ``out``; complete takes are kept.

    The arguments are the options of the command.

    Returns:
        A line for each take that is left out.

    Raises:
        DataError: ``source`` is not the corpus or has no other pieces than ``without``, a data set of
            ``without`` cannot be read, the soundfont cannot be used, or ``out`` contains another rendering.
    """
    excluded = {recording.piece for other in without for recording in load_recordings(other)}
    takes = select_takes([take for take in CORPORA[corpus].find(source) if take.piece not in excluded], limit)
    if not takes:
        raise DataError(f"{source}: contains no other pieces than {', '.join(map(str, without))}")
    settings = {"corpus": corpus, "seconds": seconds}
    instrument: Path | Soundfont
    if soundfonts is not None:
        name, instrument = _measured(soundfonts, soundfont)
        settings |= {"soundfont": name, "sha256": instrument.sha256}
    elif soundfont is None:
        instrument = default_soundfont()
        name = instrument.name
        make_synthesiser(instrument)
        settings |= {"soundfont": name}
    else:
        check_soundfont(soundfont, _programs(takes))
        instrument, name = soundfont, soundfont.name
        settings |= {"soundfont": name}
    _check_rendering(out, settings)
    left_out = []
    complete = []
    for take in tqdm(takes, desc=corpus, unit="file"):
        if not all(path.is_file() for path in take_paths(take, out)):
            try:
                render_take(take, out, instrument, seconds)
            except DataError as error:
                left_out.append(str(error))
                continue
        complete.append(take)
    if not complete:
        raise DataError(f"{source}: none of {len(takes)} files could be used; the first: {left_out[0]}")
    # In the order of the takes, because adjacent takes of a corpus are often similar.
    number = {piece: index for index, piece in enumerate(dict.fromkeys(take.piece for take in complete))}
    rows = []
    for take in complete:
        fold = {} if folds is None else {"fold": number[take.piece] % folds}
        rows.append((*take_paths(take, out), {"piece": take.piece, "split": take.split, **fold}))
    write_splits(out / "splits.csv", rows)
    _write_readme(out, complete, CORPORA[corpus].about, name, seconds)
    return left_out


def _measured(folder: Path, name: Path | None) -> tuple[str, Soundfont]:
    """A soundfont of a folder of measured sounds, with its name; by default the one kept out of training.

    Raises:
        DataError: the folder has no such soundfont.
    """
    fonts = {key: font for key, font in read_measured_sounds(folder).soundfonts.items() if not font.kit}
    unseen = [key for key, font in fonts.items() if font.unseen]
    key = unseen[0] if name is None and unseen else str(name)
    if key not in fonts:
        missing = "no soundfont kept out of training" if name is None else f"no soundfont named {name}"
        raise DataError(f"{folder}: {missing}; give --soundfont one of {', '.join(fonts)}")
    return key, fonts[key]


def _programs(takes: Sequence[Take]) -> set[int]:
    """The General MIDI programs of the takes, except drums; invalid files are skipped."""
    programs: set[int] = set()
    for take in takes:
        with suppress(DataError):
            programs.update(track.program for track in read_score(take.midi).tracks if not track.is_drum)
    return programs


def _check_rendering(out: Path, settings: dict[str, str | float | None]) -> None:
    """Check that ``out`` contains no other rendering, and record the settings of this one."""
    record = out / "rendering.json"
    if record.is_file():
        earlier = json.loads(record.read_text(encoding="utf-8"))
        if earlier != settings:
            raise DataError(
                f"{out}: contains a rendering with {earlier}, not {settings}; give another folder as OUT"
            )
    write_text(record, json.dumps(settings) + "\n")


def _write_readme(
    out: Path, takes: Sequence[Take], about: str, soundfont: str, seconds: float | None
) -> None:
    import soundfile

    minutes = sum(soundfile.info(take_paths(take, out)[0]).duration for take in takes) / 60
    beats = sum(len(read_beats(take_paths(take, out)[1]).times) for take in takes)
    cut = "" if seconds is None else f", the first {seconds:g} s of each"
    readme = (
        f"# Rendered MIDI with beats\n\n{about}\n\n{len(takes)} files{cut}, {minutes:.0f} minutes, "
        f"{beats} beats. Rendered with {soundfont}; mono FLAC at 16 kHz. The licence above also applies to "
        f"these files.\n"
    )
    write_text(out / "README.md", readme)


@command("rendered", interrupted=INTERRUPTED_RESUMABLE, error_code=1, extra="s3prl")
def main(arguments: Sequence[str]) -> int:
    """Run the command; returns 1 if nothing could be rendered."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.downstream.beat_tracking.prepare.rendered",
        description="Render a corpus of MIDI with beats to a data set for the task beat_tracking.",
    )
    parser.add_argument("corpus", choices=sorted(CORPORA))
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of the corpus")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write to (1 MB per minute)")
    parser.add_argument("--limit", type=int, metavar="N", help="render at most N files, of all splits")
    parser.add_argument(
        "--without",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="leave out the pieces of these data sets, such as test sets",
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="render the first S seconds of each")
    parser.add_argument("--soundfont", type=Path, metavar="SF2", help="default: the soundfont of pretty_midi")
    parser.add_argument(
        "--soundfonts",
        type=Path,
        metavar="DIR",
        help="folder of `motionbeat data soundfonts`; --soundfont is then a name in it, by default that kept "
        "out of training; notes sound at their written times and as loud as their velocities",
    )
    parser.add_argument("--folds", type=int, metavar="N", help="assign the pieces to N folds")
    options = parser.parse_args(arguments)
    if options.folds is not None and options.folds < 3:
        parser.error("--folds must be at least 3: train, dev and test need one each")
    if options.limit is not None and options.limit < 3:
        parser.error("--limit must be at least 3: train, dev and test need a file each")
    if options.seconds is not None and options.seconds <= 0:
        parser.error("--seconds must be above 0")
    for line in prepare(**vars(options)):
        print(f"left out: {line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
