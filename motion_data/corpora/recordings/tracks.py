"""Recordings under a folder: their packages, splits, licences, and tempi from a tempo file."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from glob import escape as glob_escape
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from motion_data.corpora.recordings.licence import track_licence
from motion_data.errors import DataError
from motion_data.preparation import hash_fraction
from motionbeat_upstream.decoding import AUDIO_SUFFIXES

MIN_TRACK_SECONDS = 20.0
"""Minimum length of a track."""

MIN_VECTOR_STRENGTH = 0.45
"""Minimum vector strength of a tatum; shuffled envelopes reach .30."""

MAX_DRIFT_SECONDS = 0.025
"""Maximum drift of a tatum."""

DEV_UPPER_HASH, TEST_UPPER_HASH = 0.12, 0.18
"""Upper limits of the hashes of packages in dev and test. With planetblupi-music-ogg (11 % of the sound),
about an eighth of Debian's music is dev and an eighth test. The numbers in the hashed texts were chosen for
this, and for halves of equal size."""

MIDI_PACKAGES = {"planetblupi-music-ogg": "planetblupi-music-midi"}
"""Packages of recordings, and packages with the MIDI files of the same names that they were rendered from."""

TEST_PACKAGES = frozenset(MIDI_PACKAGES)
"""Packages that are always in test, because their beats are exact."""

SHARED_MUSIC = {
    "cavepacker-data": "caveexpress-data",
    "tuxtype-data": "tuxmath-data",
}
"""Packages that share recordings with another one and are in its split."""

TEST_SONG_PREFIX = "fretsonfire"
"""Prefix of packages with the project's test songs, which are never used for training."""

OWN_LICENCE = "the user's own"

SILENCE_RATIO = 0.01
"""Blocks of 0.1 s at either end below this share of the peak count as silence."""


@dataclass(frozen=True)
class Track:
    """A recording under RAW."""

    path: Path
    name: str
    """Unique path relative to RAW with /."""
    package: str
    """First folder under RAW, or the stem of a file in RAW itself; a package is in one split."""
    licence: str
    rate: float | None = None
    """Tatums per second from the tempo file."""
    midi: Path | None = None
    """MIDI file from which it was rendered, if known."""

    @property
    def split(self) -> str:
        """train, dev or test."""
        return package_split(self.package)


def package_split(package: str) -> str:
    """Split of a package: train, dev or test."""
    if package in TEST_PACKAGES:
        return "test"
    share = _package_hash(package, "split 6")
    return "dev" if share < DEV_UPPER_HASH else "test" if share < TEST_UPPER_HASH else "train"


def package_half(package: str) -> int:
    """Half of a package, 0 or 1, independent of its split."""
    return int(2 * _package_hash(package, "half 1"))


def _package_hash(package: str, purpose: str) -> float:
    """A number in [0, 1) that a package's name gives."""
    return hash_fraction(f"{purpose} {SHARED_MUSIC.get(package, package)}")


def find_tracks(raw: Path, tempo: Path | None) -> tuple[list[Track], dict[str, str], dict[str, int]]:
    """Every recording of 20 s or more under a folder.

    Args:
        raw: folder of packages, or of any music.
        tempo: file of known tempi, or None; see :func:`read_tempi`.

    Returns:
        The tracks; what was refused, and why; and what was passed over, and how often.

    Raises:
        DataError: no such folder, no recording in it, or a tempo file that cannot be used.
    """
    files = music_files(raw, AUDIO_SUFFIXES)
    rates = _match_tempi(files, raw, tempo) if tempo is not None else {}
    tracks, refused, short = [], {}, 0
    licences = Licences(raw)
    for path in tqdm(files, desc="find recordings", unit="file"):
        name, package = track_name(path, raw)
        if package.startswith(TEST_SONG_PREFIX) or f"/{TEST_SONG_PREFIX}" in name:
            refused[name] = f"{package}: these are the project's test songs; remove them from RAW"
            continue
        if _header_seconds(path) < MIN_TRACK_SECONDS:
            short += 1
            continue
        try:
            licence = licences.licence_of(path)
        except DataError as error:
            refused[name] = str(error)
            continue
        tracks.append(Track(path, name, package, licence, rates.get(path), _find_midi(path, raw)))
    notes = {f"files shorter than {MIN_TRACK_SECONDS:g} s, passed over": short} if short else {}
    return tracks, refused, notes


def music_files(raw: Path, suffixes: Collection[str]) -> list[Path]:
    """Every file under a folder of packages with one of the suffixes (lower case, with the dot).

    Raises:
        DataError: the folder is missing or has no such files.
    """
    if not raw.is_dir():
        raise DataError(f"{raw}: no such folder; expected a folder of music, or of unpacked packages")
    files = [
        path
        # Entries of RAW itself may be links to other folders; links further down are not followed.
        for entry in sorted(raw.iterdir())
        for path in (sorted(entry.rglob("*")) if entry.is_dir() else [entry])
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(raw).parts)
        and path.is_file()
    ]
    if not files:
        raise DataError(
            f"{raw}: no music; expected files with one of the suffixes {' '.join(sorted(suffixes))}"
        )
    return files


def track_name(path: Path, raw: Path) -> tuple[str, str]:
    """Path of a file relative to RAW with /, and its package: the first folder, or the file's stem."""
    relative = path.relative_to(raw)
    return relative.as_posix(), relative.parts[0] if len(relative.parts) > 1 else path.stem


class Licences:
    """Licences of the files of packages, from the packages' copyright files."""

    def __init__(self, raw: Path) -> None:
        self.raw = raw
        self._texts: dict[str, str | None] = {}

    def licence_of(self, path: Path) -> str:
        """Licence of a file under RAW; the user's own without a copyright file.

        Raises:
            DataError: it forbids commercial use or changed versions.
        """
        _, package = track_name(path, self.raw)
        if package not in self._texts:
            self._texts[package] = _copyright_text(self.raw, package)
        text = self._texts[package]
        inner = "/".join(path.relative_to(self.raw).parts[1:])
        return OWN_LICENCE if text is None else track_licence(text, inner, package)


def _find_midi(path: Path, raw: Path) -> Path | None:
    """MIDI file with a recording's name, in its folder or in the MIDI package of its package."""
    midi = path.with_suffix(".mid")
    if midi.is_file():
        return midi
    package = MIDI_PACKAGES.get(track_name(path, raw)[1])
    paths = sorted((raw / package).rglob(f"{glob_escape(path.stem)}.mid")) if package else []
    return paths[0] if paths else None


def track_file_name(track: Track) -> str:
    """Readable and unique name for the files of a track."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", f"{track.package}-{track.path.stem}").strip("_")[:80]
    return f"{plain}_{hashlib.sha256(os.fsencode(track.name)).hexdigest()[:8]}"


def read_tempi(path: Path) -> list[tuple[str, str, float | None]]:
    """Package, file and tatums per second of every line of a tempo file.

    Each line is a JSON object with ``package``, ``file`` (path in the package) and ``tatum`` (per minute).
    The tatum is None if ``R`` (vector strength) is below .45 or ``drift_ms`` above 25.

    Raises:
        DataError: the file is missing or empty, or a line is invalid.
    """
    tempi = []
    for row, (package, file, tatum) in read_json_lines(path, ("package", "file", "tatum")):
        try:
            rate = float(tatum)
            trusted = float(row.get("R", 1.0)) >= MIN_VECTOR_STRENGTH
            trusted &= float(row.get("drift_ms", 0.0)) <= 1000 * MAX_DRIFT_SECONDS
            if not 0 < rate < float("inf"):
                raise ValueError(f"tatum is {rate}")
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{path}: {package}/{file}: {error}; expected a JSON object with package, file, tatum (per "
                f"minute), and optionally numbers R and drift_ms"
            ) from error
        tempi.append((package, file, rate / 60 if trusted else None))
    return tempi


def read_json_lines(path: Path, fields: Sequence[str]) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    """Every line of a file of JSON lines, and the text of the given fields.

    Raises:
        DataError: the file is missing or empty, or a line is not a JSON object with these fields.
    """
    expected = f"expected a JSON object with {', '.join(fields)} per line"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable ({error}); {expected}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append((row, tuple(str(row[field]) for field in fields)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{path}:{number}: {type(error).__name__} {error}; {expected}") from error
    if not rows:
        raise DataError(f"{path}: empty; {expected}")
    return rows


def _match_tempi(files: Sequence[Path], raw: Path, tempo: Path) -> Mapping[Path, float]:
    """Tatums per second of the files that a tempo file names.

    Raises:
        DataError: the tempo file cannot be read, or names missing tracks.
    """
    # Files in archives are named by the path in the archive.
    by_end: dict[tuple[str, str], list[Path]] = {}
    for path in files:
        package, *parts = path.relative_to(raw).parts
        for first in range(len(parts)):
            by_end.setdefault((package, "/".join(parts[first:])), []).append(path)
    rates: dict[Path, float] = {}
    missing = []
    for package, file, rate in read_tempi(tempo):
        matches = by_end.get((package, file), [])
        if not matches:
            missing.append(f"{package}/{file}")
        elif rate is not None:
            # A complete path is shorter than the path of a file in an archive.
            rates[min(matches, key=lambda path: len(path.parts))] = rate
    if missing:
        names = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        packages = sorted({name.partition("/")[0] for name in missing})
        raise DataError(
            f"{tempo}: names {len(missing)} tracks that are not under {raw} ({names}); get their packages "
            f"({', '.join(packages[:5])}{', …' if len(packages) > 5 else ''}) with `python -m "
            f"motion_data.corpora.recordings.debian_packages {tempo} {raw}`, or remove their lines"
        )
    return rates


def _header_seconds(path: Path) -> float:
    """Length in seconds according to the file's header; infinite if unknown."""
    try:
        with av.open(str(path)) as container:
            return container.duration / 1e6 if container.duration else float("inf")
    except (av.FFmpegError, OSError, ValueError):  # decoding reports the error
        return float("inf")


def _copyright_text(raw: Path, package: str) -> str | None:
    path = raw / package / "usr/share/doc" / package / "copyright"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def sounding_span(wav: NDArray[np.float32], rate: int) -> tuple[float, float]:
    """Start and end in seconds of (T,) samples without the silence at either end; (0, 0) for silence."""
    block = rate // 10
    power = (wav[: len(wav) // block * block].reshape(-1, block) ** 2).mean(1)
    loud = np.flatnonzero(power > (SILENCE_RATIO * np.abs(wav).max(initial=0.0)) ** 2)
    return (float(loud[0]) / 10, (float(loud[-1]) + 1) / 10) if len(loud) else (0.0, 0.0)
