"""A prepared corpus written as a folder that a task of S3PRL reads, its files untouched.

    python -m motion_data.s3prl_adapter CORPUS OUT --layout LAYOUT

Sound becomes 16 kHz, 16-bit wav. An export that was interrupted goes on where it was; the tables that
make it a data set come last.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from motion_data.beats_file import Beats, write_beats
from motion_data.errors import DataError
from motion_data.files import write_sound
from motion_data.labels import write_labels
from motion_data.manifest import Corpus, read_corpus
from motion_data.pair import SPLITS, MotionPair
from motionbeat_upstream.atomic_write import atomic_path, write_text
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.config import SAMPLE_RATE
from motionbeat_upstream.errors import AudioError

MARK = "exported.json"

STYLE_KEYS = ("style", "dance")
"""Entries of a pair's provenance that name its dance style, the first one found being it."""

TEMPO_BANDS = ((100.0, "slow"), (130.0, "medium"))
"""Upper borders in beats a minute of the tempo bands [O]; above the last it is fast."""

UNKNOWN = "none"
"""Label of what a corpus does not know."""

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The classes that S3PRL's speech_commands knows; a corpus's styles take their names, in order."""

OTHER_WORDS = "_unknown_"
"""Its class for all other words."""

HASH_RANGES = {"dev": (0.0, 10.0), "test": (10.0, 20.0), "train": (20.0, 100.0)}
"""Per cent of the hash of a speaker's name by which Speech Commands tells its splits apart."""

MOST_A_CLASS = 2**27 - 1
"""The number that Speech Commands' own splitting reckons its percentage with."""

SPLIT_NAMES = {"train": "train", "dev": "valid", "test": "test"}
"""What Fluent Speech Commands calls the splits."""


BYTES_A_SAMPLE = 2
"""Of the wav files, which have 16 bits."""


def style_of(pair: MotionPair) -> str | None:
    """The dance style, or None: the genre of AIST's name, the style that a constructed pair was made in."""
    for key in STYLE_KEYS:
        value = pair.provenance.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def metre_of(pair: MotionPair) -> str:
    """Beats a bar, as ``3 beats``."""
    return UNKNOWN if pair.metre is None else f"{pair.metre} beats"


def tempo_of(pair: MotionPair) -> str:
    """The band of its tempo: slow, medium or fast."""
    if pair.bpm is None:
        return UNKNOWN
    return next((name for border, name in TEMPO_BANDS if pair.bpm < border), "fast")


def styles_of(pairs: Sequence[MotionPair], place: str) -> list[str]:
    """The styles of the pairs, sorted: a style's index is its label.

    Raises:
        DataError: no pair, or fewer than two styles.
    """
    styles = sorted({style for pair in pairs if (style := style_of(pair)) is not None})
    if len(styles) < 2:
        found = styles[0] if styles else "none"
        raise DataError(
            f"{place}: a task of dance styles needs two or more, found {found} among {len(pairs)} pairs; "
            f"put the style into provenance[{STYLE_KEYS[0]!r}] of the pairs and prepare the corpus again"
        )
    return styles


def has_true_beats(pair: MotionPair) -> bool:
    """Whether its beats can be the truth of a task: a grid estimated from the sound cannot."""
    return pair.grid in ("exact", "annotated")


def one_a_recording(pairs: Iterable[MotionPair]) -> list[MotionPair]:
    """The pairs without those whose recording is there already, the longest of each, sorted by name."""
    longest: dict[tuple[str, float], MotionPair] = {}
    for pair in pairs:
        key = (pair.name, 0.0) if pair.audio is None else (pair.audio.sha256, round(pair.audio.start, 1))
        if key not in longest or pair.seconds > longest[key].seconds:
            longest[key] = pair
    return sorted(longest.values(), key=lambda pair: pair.name)


def cut_utterances(samples: int, seconds: float) -> list[tuple[int, int]]:
    """Stretches of a recording one after the other, in samples.

    What is left at the end is a stretch of its own if it is at least half as long as the others, or
    if it is all there is.

    Args:
        samples: length of the recording at 16 kHz.
        seconds: length of a stretch.
    """
    size = round(seconds * SAMPLE_RATE)
    count = max(1, (samples + size // 2) // size)
    return [(k * size, min(samples, (k + 1) * size)) for k in range(count)]


@dataclass
class Exported:
    """What was written."""

    folder: Path
    clips: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    """Number of files of each split."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Pairs that were not, and why."""
    classes: dict[str, str] = field(default_factory=dict)
    """What the task calls a class, and the style it stands for."""


@dataclass(frozen=True)
class Plan:
    """What an export will write."""

    corpus: Corpus
    layout: str
    seconds: float
    """Longest clip of the classification layouts."""
    pairs: Sequence[MotionPair]
    """Those to be written, each recording once."""
    left_out: Mapping[str, str]
    """Pairs that will not be, and why."""
    labels: Mapping[str, Mapping[str, int]]
    """What is classified: for each label its classes, with their number of pairs."""
    clips: Mapping[str, int]
    """Number of files of each split."""
    samples: int
    """Of all sound files together, at 16 kHz."""

    def text(self) -> str:
        """What is classified and how much is written, in lines."""
        counts = ", ".join(f"{count} of {split}" for split, count in self.clips.items())
        hours, megabytes = self.samples / SAMPLE_RATE / 3600, self.samples * BYTES_A_SAMPLE / 1e6
        lines = [
            f"{self.layout}: {sum(self.clips.values())} wav files ({counts}), {hours:.2f} h, "
            f"{megabytes:,.1f} MB; {len(self.left_out)} pairs left out"
        ]
        for label, classes in self.labels.items():
            counts = ", ".join(f"{name} {count}" for name, count in classes.items())
            lines.append(f"  classified: {label}, {len(classes)} classes by number of recordings: {counts}")
        return "\n".join(lines if self.labels else [*lines, "  beats and downbeats; nothing is classified"])


def plan_export(corpus: Corpus, layout: str, seconds: float = 10.0) -> Plan:
    """Choose what of a corpus can be written in a task's layout; nothing is read or written.

    Args:
        corpus: a prepared one.
        layout: a key of ``LAYOUTS``.
        seconds: longest clip of the classification layouts; recordings are cut.

    Raises:
        DataError: no such layout, or labels that the task needs are missing.
    """
    if layout not in LAYOUTS:
        raise DataError(f"no layout {layout!r}; there are {', '.join(LAYOUTS)}")
    if not seconds > 0:
        raise DataError(f"clips of {seconds} s; expected more than 0")
    why_not, labels = LAYOUTS[layout].why_not(corpus), LAYOUTS[layout].labels
    reasons = {pair.name: why_not(pair) for pair in corpus.pairs}
    pairs = one_a_recording(pair for pair in corpus.pairs if reasons[pair.name] is None)
    clips, samples = dict.fromkeys(SPLITS, 0), 0
    for pair in pairs:
        length = round(pair.seconds * SAMPLE_RATE)
        stretches = cut_utterances(length, seconds) if labels else [(0, length)]
        clips[pair.split] += len(stretches)
        samples += sum(stop - start for start, stop in stretches)
    return Plan(
        corpus,
        layout,
        seconds,
        pairs,
        {name: reason for name, reason in reasons.items() if reason is not None},
        {name: dict(sorted(Counter(map(of, pairs)).items())) for name, of in labels.items()},
        clips,
        samples,
    )


def export(plan: Plan, out: str | Path) -> Exported:
    """Write a corpus in a task's layout.

    Args:
        plan: what is written.
        out: folder; new, or that of the same export interrupted.

    Raises:
        DataError: splits that the task needs are missing, or ``out`` holds something else.
    """
    out, corpus = Path(out), plan.corpus
    _claim(out, {"corpus": corpus.sha256, "layout": plan.layout, "seconds": plan.seconds})
    done = Exported(out, left_out=dict(plan.left_out))
    LAYOUTS[plan.layout].write(plan, done)
    empty = [split for split, count in done.clips.items() if not count]
    if empty:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(done.left_out.items())[:3])
        raise DataError(
            f"{corpus.folder}: nothing to export for {', '.join(empty)}, which the task needs"
            + (f" ({reasons})" if reasons else "")
            + "; prepare a corpus with pieces in every split"
        )
    result = {"classes": done.classes, "clips": done.clips, "left_out": done.left_out}
    _write_json(out / MARK, {**json.loads((out / MARK).read_text("utf-8")), **result, "whole": True})
    return done


def _write_beat_tracking(plan: Plan, done: Exported) -> None:
    """``splits.csv`` with audio, beats, piece and split, as this project's task beat_tracking reads it, and
    with labels: what :func:`~motion_data.labels.read_labels` reads; empty where a pair has none."""
    from motion_data.loading import load_pair

    rows = []
    for pair in tqdm(plan.pairs, desc=done.folder.name, unit="pair"):
        wav, beats = done.folder / f"wav/{pair.name}.wav", done.folder / f"beats/{pair.name}.beats"
        labels = done.folder / f"labels/{pair.name}.npz"
        if not (wav.is_file() and beats.is_file()):
            try:
                loaded = load_pair(pair, plan.corpus.folder)
            except (DataError, AudioError) as error:
                done.left_out[pair.name] = str(error)
                continue
            sound, grid = loaded.wav, loaded.grid
            if grid is None:
                done.left_out[pair.name] = "the manifest tells of a grid, its motion file holds none"
                continue
            # Times are written to a tenth of a millisecond: none may round to below 0 or beyond the end.
            inside = (grid.beats >= 0) & (grid.beats < len(sound) / SAMPLE_RATE - 1e-4)
            if inside.sum() < 2:
                done.left_out[pair.name] = f"{int(inside.sum())} beats in {pair.seconds:.1f} s"
                continue
            if loaded.labels.events:
                write_labels(labels, loaded.labels)
            write_beats(beats, Beats(grid.beats[inside], grid.positions[inside]))
            write_sound(wav, sound)
        files = wav, beats, *([labels] if labels.is_file() else [])
        names = [file.relative_to(done.folder).as_posix() for file in files]
        rows.append((*names[:2], pair.piece, pair.split, *names[2:]))
        done.clips[pair.split] += 1
    _write_table(done.folder / "splits.csv", ("audio", "beats", "piece", "split", "labels"), rows)


def _write_speech_commands(plan: Plan, done: Exported) -> None:
    """``speech_commands_v0.01`` and ``speech_commands_test_set_v0.01``, a folder a class.

    The task knows twelve classes by name, so styles are given the names of its words, the rarest going
    to its class of unknown words where there are more than ten; which is which stands in
    ``exported.json``. It tells the splits apart by a hash of the speaker's name in the
    file's name, so a number is put into the name that makes the hash right.
    """
    word_of = _words(plan.corpus)
    for style, word in word_of.items():
        done.classes[word] = f"{done.classes[word]}, {style}" if word in done.classes else style
    root, test = (done.folder / f"speech_commands{part}_v0.01" for part in ("", "_test_set"))
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}

    def place(pair: MotionPair, number: int) -> Path:
        style = style_of(pair)
        assert style is not None
        return root / word_of[style] / f"{_speaker(pair.name, pair.split)}_nohash_{number}.wav"

    for pair, path in _write_clips(plan, done, place):
        lists[pair.split].append(path.relative_to(root).as_posix())
        if pair.split == "test":
            _link(path, test / path.relative_to(root))
    for name, split in (("validation_list.txt", "dev"), ("testing_list.txt", "test")):
        write_text(root / name, "".join(f"{path}\n" for path in lists[split]))


def _write_fluent_commands(plan: Plan, done: Exported) -> None:
    """``data/{train,valid,test}_data.csv`` with three slots: style as action, metre as object, and the
    band of the tempo as location. [O]"""
    done.classes = {style: style for style in styles_of(plan.corpus.pairs, str(plan.corpus.folder))}

    def place(pair: MotionPair, number: int) -> Path:
        return done.folder / f"wavs/{pair.split}/{pair.name}_{number}.wav"

    rows: dict[str, list[tuple[object, ...]]] = {split: [] for split in SPLITS}
    for pair, path in _write_clips(plan, done, place):
        name, slots = path.relative_to(done.folder).as_posix(), _slots(pair)
        rows[pair.split].append((len(rows[pair.split]), name, pair.take, " ".join(slots), *slots))
    header = ("", "path", "speakerId", "transcription", "action", "object", "location")
    for split, name in SPLIT_NAMES.items():
        _write_table(done.folder / f"data/{name}_data.csv", header, rows[split])


def _write_clips(
    plan: Plan, done: Exported, place: Callable[[MotionPair, int], Path]
) -> list[tuple[MotionPair, Path]]:
    """Every clip of the chosen pairs, written where ``place`` says."""
    from motion_data.loading import load_pair

    written = []
    for pair in tqdm(plan.pairs, desc=done.folder.name, unit="pair"):
        stretches = cut_utterances(round(pair.seconds * SAMPLE_RATE), plan.seconds)
        paths = [place(pair, number) for number in range(len(stretches))]
        if not all(path.is_file() for path in paths):
            try:
                wav = load_pair(pair, plan.corpus.folder).wav
            except (DataError, AudioError) as error:
                done.left_out[pair.name] = str(error)
                continue
            for path, (start, stop) in zip(paths, stretches, strict=True):
                write_sound(path, wav[start:stop])
        written += [(pair, path) for path in paths]
        done.clips[pair.split] += len(paths)
    return written


def _no_true_beats(pair: MotionPair) -> str | None:
    return None if has_true_beats(pair) else f"its grid is {pair.grid}, expected exact or annotated"


def _slots(pair: MotionPair) -> tuple[str, str, str]:
    return style_of(pair) or UNKNOWN, metre_of(pair), tempo_of(pair)


def _no_style(pair: MotionPair) -> str | None:
    return f"no {' or '.join(STYLE_KEYS)} in its provenance" if style_of(pair) is None else None


def _not_learned(corpus: Corpus) -> Callable[[MotionPair], str | None]:
    """Why a pair cannot be tested: no style, or one of its slots is not in the training split."""
    styles_of(corpus.pairs, str(corpus.folder))
    learned = [set(column) for column in zip(*map(_slots, corpus.split("train")), strict=True)]

    def why_not(pair: MotionPair) -> str | None:
        unseen = [name for name, known in zip(_slots(pair), learned, strict=False) if name not in known]
        return _no_style(pair) or (f"{', '.join(unseen)}: not in the training split" if unseen else None)

    return why_not


def _without_style(corpus: Corpus) -> Callable[[MotionPair], str | None]:
    styles_of(corpus.pairs, str(corpus.folder))
    return _no_style


@dataclass(frozen=True)
class Layout:
    """What a task reads."""

    why_not: Callable[[Corpus], Callable[[MotionPair], str | None]]
    """Gives for a corpus what says why a pair cannot be used; None where it can.

    Raises DataError where the corpus lacks the labels that the task needs."""
    labels: Mapping[str, Callable[[MotionPair], str]]
    """What is classified, and a pair's class of it."""
    write: Callable[[Plan, Exported], None]


LAYOUTS: Mapping[str, Layout] = {
    "beat_tracking": Layout(lambda corpus: _no_true_beats, {}, _write_beat_tracking),
    "speech_commands": Layout(
        _without_style, {"style": lambda pair: _slots(pair)[0]}, _write_speech_commands
    ),
    "fluent_commands": Layout(
        _not_learned,
        {"style": lambda pair: _slots(pair)[0], "metre": metre_of, "tempo": tempo_of},
        _write_fluent_commands,
    ),
}
"""The layouts, by the name of the task that reads them."""


def _words(corpus: Corpus) -> dict[str, str]:
    """The word that stands for each style."""
    styles = styles_of(corpus.pairs, str(corpus.folder))
    counts = Counter(style_of(pair) for pair in corpus.split("train"))
    frequent = sorted(styles, key=lambda style: (-counts[style], style))[: len(WORDS)]
    words = dict(zip(sorted(frequent), WORDS, strict=False))
    return {style: words.get(style, OTHER_WORDS) for style in styles}


def _speaker(name: str, split: str) -> str:
    """The pair's name with the first number that brings its hash into the split's range."""
    low, high = HASH_RANGES[split]
    number = 0
    while True:
        speaker = f"{name}-{number}"
        digest = int(hashlib.sha1(speaker.encode()).hexdigest(), 16)
        if low <= digest % (MOST_A_CLASS + 1) * (100.0 / MOST_A_CLASS) < high:
            return speaker
        number += 1


def _claim(out: Path, fingerprint: Mapping[str, object]) -> None:
    """Take a folder for this export, or find it taken for the same one."""
    mark = out / MARK
    if mark.is_file() and [path for path in out.iterdir() if path != mark]:
        try:
            found = json.loads(mark.read_text("utf-8"))
        except json.JSONDecodeError:
            found = {}
        if {key: found.get(key) for key in fingerprint} != fingerprint:
            raise DataError(f"{out}: holds another export; choose another folder, or delete it")
    elif out.is_dir() and not mark.is_file() and any(out.iterdir()):
        raise DataError(f"{out}: not empty and no export of a corpus; choose another folder")
    _write_json(mark, {**fingerprint, "whole": False})


def _link(path: Path, other: Path) -> None:
    if other.is_file():
        return
    other.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, other)
    except OSError:  # a file system without links
        with atomic_path(other) as draft:
            shutil.copyfile(path, draft)


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@command("s3prl_adapter", extra="data")
def main(arguments: Sequence[str]) -> int:
    """Run the command; 1 when pairs were left out, 2 for what cannot be done."""
    description = "Write a prepared corpus as a folder that a task of S3PRL reads."
    parser = argparse.ArgumentParser("python -m motion_data.s3prl_adapter", description=description)
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="folder of a prepared corpus")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the export")
    parser.add_argument("--layout", choices=LAYOUTS, required=True, help="the task that will read it")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="longest clip where clips are classified (%(default)s)"
    )
    options = parser.parse_args(arguments)
    plan = plan_export(read_corpus(options.corpus), options.layout, options.seconds)
    print(f"{options.out}: {plan.text()}", flush=True)
    done = export(plan, options.out)
    counts = ", ".join(f"{count} of {split}" for split, count in done.clips.items())
    print(f"{done.folder}: {counts}")
    for label, style in done.classes.items():
        if label != style:
            print(f"  {label}: {style}")
    for name, why in done.left_out.items():
        print(f"left out: {name}: {why}", file=sys.stderr)
    return 1 if done.left_out else 0


if __name__ == "__main__":
    sys.exit(main())
