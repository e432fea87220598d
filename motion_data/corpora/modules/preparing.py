"""Preparation of tracker modules: each is played, labelled, given a dance, and cut into pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from motion_data.corpora.constructed.dancer import Follows
from motion_data.corpora.modules.libopenmpt import RATE, PlayedModule, check_library, play_module
from motion_data.corpora.modules.structure import (
    MIN_STARTS_ON_BEATS,
    MIN_STEADY_SHARE,
    Tatums,
    estimate_beats,
    find_tatums,
    share_of_starts,
    steady_share,
)
from motion_data.corpora.recordings.labelling import (
    ACTIVATION_RATE,
    BAR_MARGIN,
    UNKNOWN_METRE,
    beat_levels,
    label_tatums,
)
from motion_data.corpora.recordings.preparing import (
    MAX_PAIR_SECONDS,
    MIN_PAIR_SECONDS,
    cut_pairs,
    drop_copies,
    load_beat_model,
    write_track,
)
from motion_data.corpora.recordings.tatum import audio_onset_envelope, sharpen_envelope
from motion_data.corpora.recordings.tracks import (
    MIN_TRACK_SECONDS,
    MIN_VECTOR_STRENGTH,
    TEST_SONG_PREFIX,
    Licences,
    Track,
    music_files,
    sounding_span,
    track_file_name,
    track_name,
)
from motion_data.errors import DataError
from motion_data.files import file_sha256
from motion_data.manifest import Corpus, write_manifest
from motion_data.preparation import Job, PreparedPair, check_option, hash_fraction, run_jobs
from motionbeat_upstream.config import ENVELOPE_RATE, SAMPLE_RATE
from motionbeat_upstream.tracking.grid import Grid

Array = NDArray[np.float64]

SUFFIXES = frozenset(
    (
        *(".669", ".amf", ".dbm", ".digi", ".dmf", ".far", ".gdm", ".it", ".mdl", ".med", ".mo3", ".mod"),
        *(".mptm", ".mt2", ".mtm", ".okt", ".psm", ".ptm", ".s3m", ".stm", ".ult", ".umx", ".xm"),
    )
)
"""File suffixes of modules."""

DEV_UPPER_HASH, TEST_UPPER_HASH = 1 / 6, 1 / 3
"""Upper limits of the hashes of packages in dev and test. Of Debian's 146 usable packages, 20 are dev and 26
test; the number in the hashed text was chosen for this."""

UNCLEAR_ORIGIN = frozenset({"freedroid-data", "gemdropx", "tuxmath-data", "tuxtype-data"})
"""Packages with modules by other authors and without a stated licence."""

MIN_BEAT_LEAD = 0.02
"""Minimum lead of the model's beats in nats per tatum; smaller than for recordings, because the structure
confirms them."""

UNCERTAIN_CONFIDENCE = 0.5
"""Confidence of a grid if the two estimates differ; too low for losses on beats."""

MAX_TEMPO_OCTAVES, MAX_PITCH_SEMITONES = 0.35, 4.0
"""Maximum change of tempo and pitch of variants."""


@dataclass(frozen=True)
class Settings:
    """Settings of a preparation, which its options give."""

    checkpoint: Path
    """Checkpoint of the model that estimates beats and bars."""
    variants: int
    """Additional variants of each module of the train split."""
    seconds: float
    """Approximate length of a pair."""
    seed: int
    """Seed of the dances and the variants."""
    follows: Follows = "music"
    """What the dancer follows."""


@dataclass(frozen=True)
class Module(Track):
    """A module under RAW."""

    @property
    def split(self) -> str:
        """train, dev or test, always the same for a package."""
        share = hash_fraction(f"modules 4 {self.package}")
        return "dev" if share < DEV_UPPER_HASH else "test" if share < TEST_UPPER_HASH else "train"


@dataclass(frozen=True)
class BeatChoice:
    """Beats of a module."""

    rows: NDArray[np.int64]
    """(N,) indices of the played rows that are beats."""
    positions: NDArray[np.int64]
    """(N,) position in the bar from 1; arbitrary if bars are unknown."""
    metre: int
    beats_known: bool
    bars_known: bool
    facts: Mapping[str, Any]
    """Provenance of the labels."""

    def grid(self, times: Array) -> Grid:
        """Grid of a playback whose rows begin at (M,) times."""
        known = 1.0 if self.beats_known else UNCERTAIN_CONFIDENCE
        return Grid(times[self.rows], self.positions, self.metre, known, 1.0 if self.bars_known else 0.0)


def prepare_modules(raw: Path, out: Path, settings: Settings, workers: int = 2) -> Corpus:
    """Prepare every module under ``raw`` that is not prepared yet, and write the manifest.

    Raises:
        DataError: settings are invalid, there are no modules, libopenmpt is missing, the checkpoint has no
            beat heads, or no module is usable.
        CheckpointError: the checkpoint cannot be read.
    """
    check_option("--variants", settings.variants, 0)
    check_option("--seconds", settings.seconds, MIN_PAIR_SECONDS, MAX_PAIR_SECONDS)
    check_option("--seed", settings.seed, 0)
    check_option("--workers", workers, 1)
    check_library()
    load_beat_model(settings.checkpoint)
    digest = file_sha256(settings.checkpoint)
    modules, left_out = find_modules(raw)
    jobs = [
        Job(
            track_file_name(module),
            (module.path,),
            partial(_module_pairs, module, out, settings, digest),
            (module.name, module.split, module.licence, digest),
            remember_failure=True,
        )
        for module in modules
    ]
    options = {**asdict(settings), "checkpoint": digest}
    depends_on = {name: value for name, value in options.items() if name != "checkpoint"}
    outcomes = run_jobs(out, "modules", depends_on, jobs, workers)
    pairs, without = drop_copies([module.name for module in modules], outcomes)
    known = {pair.piece: pair.provenance for pair in pairs}.values()
    notes = {
        "modules whose beats and bars are known": sum(facts["bars_known"] for facts in known),
        "modules whose beats are known, and bars are not": sum(
            facts["beats_known"] and not facts["bars_known"] for facts in known
        ),
        "modules whose rows are known, and beats are not": sum(not facts["beats_known"] for facts in known),
    }
    return write_manifest(out, pairs, "modules", options, left_out | without, notes)


def find_modules(raw: Path) -> tuple[list[Module], dict[str, str]]:
    """Every module under a folder, and the reason for each one that is refused for its origin or licence.

    Raises:
        DataError: the folder is missing or has no modules.
    """
    modules, refused = [], {}
    licences = Licences(raw)
    for path in music_files(raw, SUFFIXES):
        name, package = track_name(path, raw)
        if package in UNCLEAR_ORIGIN:
            refused[name] = f"{package}: the origin of its modules is unclear; leave it out"
            continue
        if package.startswith(TEST_SONG_PREFIX):
            refused[name] = f"{package}: these are the project's test songs; remove them from RAW"
            continue
        try:
            modules.append(Module(path, name, package, licences.licence_of(path)))
        except DataError as error:
            refused[name] = str(error)
    return modules, refused


def _module_pairs(module: Module, out: Path, settings: Settings, digest: str) -> list[PreparedPair]:
    """Prepare the pairs of a module and its variants, and write their sounds.

    Raises:
        DataError: the reason to leave the module out.
    """
    played = play_module(module.path)
    if played.seconds < MIN_TRACK_SECONDS:
        raise DataError(f"{played.seconds:.1f} s of sound; expected at least {MIN_TRACK_SECONDS:g} s")
    share = steady_share(played.times)
    if share < MIN_STEADY_SHARE:
        raise DataError(
            f"rows differ in length: {share:.3f} are as long as the median; expected {MIN_STEADY_SHARE:g}"
        )
    choice = choose_beats(played, settings.checkpoint)
    provenance = {
        "file": module.name,
        "package": module.package,
        "row_ms": round(1000 * float(np.median(np.diff(played.times))), 2),
        "steady": round(share, 3),
        **choice.facts,
        "beats_known": choice.beats_known,
        "bars_known": choice.bars_known,
        "labelled_by": [digest],
    }
    pairs: list[PreparedPair] = []
    for number in range(1 + (settings.variants if module.split == "train" else 0)):
        tempo, pitch = variant_factors(settings.seed, module.name, number)
        if number:
            played = play_module(module.path, tempo, pitch)
        if choice.rows[-1] >= len(played.times):
            raise DataError(
                f"at {tempo:.3f} times its tempo it has {len(played.times)} rows, fewer than at its own; "
                f"leave it out"
            )
        stem = track_file_name(module) + (f"_v{number}" if number else "")
        wav = _resample(played)
        audio = write_track(out, stem, wav, len(wav) / SAMPLE_RATE)
        grid, source = choice.grid(played.times), "self-labelled" if choice.beats_known else "estimated"
        facts = {**provenance, "tempo_factor": tempo, "pitch_factor": pitch}
        pairs += cut_pairs(
            *("modules", module, stem, grid, source, audio, facts),
            seconds=settings.seconds,
            seed=settings.seed,
            wav=wav if settings.follows == "music" else None,
        )
    return pairs


def variant_factors(seed: int, name: str, number: int) -> tuple[float, float]:
    """Factors of tempo and pitch of a module's variant; both are 1 for number 0, the module itself.

    They are log-uniform hashes of seed, name and number, up to ``MAX_TEMPO_OCTAVES`` and
    ``MAX_PITCH_SEMITONES``.
    """
    if number == 0:
        return 1.0, 1.0
    octaves = MAX_TEMPO_OCTAVES * (2 * hash_fraction(f"tempo {seed} {number} {name}") - 1)
    semitones = MAX_PITCH_SEMITONES * (2 * hash_fraction(f"pitch {seed} {number} {name}") - 1)
    return float(2**octaves), float(2 ** (semitones / 12))


def _resample(played: PlayedModule) -> torch.Tensor:
    """(T,) sound at 16 kHz."""
    return torch.from_numpy(np.asarray(soxr.resample(played.wav, RATE, SAMPLE_RATE), np.float32))


def choose_beats(played: PlayedModule, checkpoint: Path) -> BeatChoice:
    """Estimate beats and bars of a module, and whether they are reliable.

    Raises:
        DataError: the model gives no grid.
        CheckpointError: the checkpoint cannot be read.
    """
    wav = _resample(played)
    beat_logits, downbeat_logits = (
        logits.double().numpy() for logits in load_beat_model(checkpoint).beat_activations(wav)
    )
    start, stop = sounding_span(wav.numpy(), SAMPLE_RATE)
    tatums = find_tatums(played)
    levels = beat_levels(tatums.rate)
    structure = estimate_beats(tatums, levels)
    sounding = (tatums.times >= start - 0.05) & (tatums.times < min(stop, len(beat_logits) / ACTIVATION_RATE))
    heard_from = int(np.flatnonzero(sounding)[0]) if sounding.any() else 0
    labels = label_tatums(
        beat_logits,
        downbeat_logits,
        tatums.times[sounding],
        tatums.rate,
        beat_margin=0.0,
        bar_margin=BAR_MARGIN,
    )
    if isinstance(labels, str):
        raise DataError(labels)
    level = labels.tatums_a_beat
    first = heard_from + int(np.abs(tatums.times[sounding] - labels.beats[0]).argmin())
    strength = row_strength(audio_onset_envelope(wav).astype(np.float64), tatums)
    agree = structure is not None and structure[0] == level and (first - structure[1]) % level == 0
    beats_known = agree and labels.beat_margin >= MIN_BEAT_LEAD and strength >= MIN_VECTOR_STRENGTH
    on_starts = share_of_starts(tatums, labels.grid.downbeats) if labels.bars_known else 0.0
    bars_known = beats_known and labels.bars_known and on_starts >= MIN_STARTS_ON_BEATS
    facts = {
        "rows_a_tatum": tatums.rows_each,
        "row_strength": round(strength, 4),
        "tatums_a_beat": level,
        "beat_margin": round(labels.beat_margin, 4),
        "beat_logit": round(labels.beat_logit, 4),
        "bar_margin": round(labels.bar_margin, 4),
        "tatums_a_beat_by_structure": None if structure is None else structure[0],
        "estimates_agree": agree,
        "pattern_starts_on_downbeats": round(on_starts, 3),
    }
    if structure is not None and not agree:
        # Both estimates are uncertain; pattern starts are more reliable than the model.
        level, first = structure
        first += -(-max(0, heard_from - first) // level) * level
    last = int(np.flatnonzero(sounding)[-1])
    chosen = np.arange(first, last + 1, level)
    if bars_known:
        positions, metre = labels.positions[: len(chosen)], labels.metre
    else:
        positions, metre = np.arange(len(chosen)) % UNKNOWN_METRE + 1, UNKNOWN_METRE
    return BeatChoice(
        tatums.first_row + tatums.rows_each * chosen, positions, metre, beats_known, bars_known, facts
    )


def row_strength(envelope: Array, tatums: Tatums) -> float:
    """Vector strength of the onsets on the circle of one tatum, in [0, 1].

    Args:
        envelope: (F,) onset envelope at 100 Hz.
        tatums: of the module.
    """
    sharp = sharpen_envelope(envelope)
    if not sharp.any():
        return 0.0
    frames = (np.arange(len(sharp)) + 0.5) / ENVELOPE_RATE
    phases = np.interp(frames, tatums.times, np.arange(len(tatums.times)))
    return float(np.abs((sharp * np.exp(2j * np.pi * phases)).sum()) / sharp.sum())
