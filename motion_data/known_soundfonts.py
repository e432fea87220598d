"""Known soundfonts and recordings for rendering pairs, and their Debian packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from motion_data.errors import DataError


@dataclass(frozen=True)
class KnownSource:
    """A soundfont, or a folder of recordings."""

    package: str
    """Debian package."""
    pattern: str
    """Glob of its files, below any folder."""
    licence: str
    kit: bool = False
    """Whether it is an acoustic drum kit, which is program 0 of the melodic bank."""
    unseen: bool = False
    """Whether it is excluded from training."""


SOUNDFONTS: Mapping[str, KnownSource] = {
    "timgm6mb": KnownSource("timgm6mb-soundfont", "TimGM6mb.sf2", "GPL-2"),
    "csound": KnownSource("csound-soundfont", "sf_GMbank.sf2", "public domain"),
    "fluidr3": KnownSource("fluid-soundfont-gm", "FluidR3_GM.sf2", "MIT"),
    "fluidr3mono": KnownSource("fluidr3mono-gm-soundfont", "FluidR3Mono_GM.sf3", "MIT"),
    "musescore": KnownSource(
        "musescore-general-soundfont-small", "MuseScore_General_Lite.sf3", "MIT", unseen=True
    ),
    "black-pearl": KnownSource(
        "avldrums.lv2-soundfont", "Black_Pearl_4_LV2.sf2", "CC BY-SA 3.0 or GPL-2+", kit=True
    ),
    "red-zeppelin": KnownSource(
        "avldrums.lv2-soundfont", "Red_Zeppelin_4_LV2.sf2", "CC BY-SA 3.0 or GPL-2+", kit=True
    ),
}

CABINETS = KnownSource("guitarix-common", "gx_head/sounds/amps/*.wav", "GPL-2+")
"""Impulse responses of guitar amplifiers and their cabinets."""

SPEECH = KnownSource("asterisk-core-sounds-en-g722", "en_US_f_Allison/*.g722", "CC BY-SA 3.0")
"""Sentences of one speaker at 16 kHz."""


def find_source_files(folder: Path, known: KnownSource) -> list[Path]:
    """Files of a source anywhere below a folder, sorted by name; the first of several with equal names."""
    paths = {path.name: path for path in sorted(folder.rglob(known.pattern), reverse=True) if path.is_file()}
    return [paths[name].resolve() for name in sorted(paths)]


def find_all_files(folder: Path, skip_missing: bool) -> dict[KnownSource, list[Path]]:
    """Files of every known source.

    Args:
        folder: with unpacked or installed packages, e.g. ``/usr/share``; searched recursively.
        skip_missing: whether sources may be missing.

    Raises:
        DataError: the folder or a source is missing; the message has the command that downloads the source.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give a folder with the unpacked soundfont packages")
    sources = (*SOUNDFONTS.values(), CABINETS, SPEECH)
    files = {known: find_source_files(folder, known) for known in sources}
    missing = [known for known in sources if not files[known]]
    if missing and not skip_missing:
        names = ", ".join(Path(known.pattern).name for known in missing)
        packages = " ".join(dict.fromkeys(known.package for known in missing))
        raise DataError(
            f"{folder}: without {names}; get them with `apt-get download {packages}` and unpack each with "
            f"`dpkg -x PACKAGE.deb {folder}`, or skip them with --skip-missing"
        )
    if not any(files[known] for known in SOUNDFONTS.values() if not known.kit):
        raise DataError(f"{folder}: no soundfont with melodic programs in it")
    return files
