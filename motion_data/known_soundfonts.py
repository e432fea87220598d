"""The soundfonts and recordings that pairs may be played through, and Debian's packages of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from motion_data.errors import DataError


@dataclass(frozen=True)
class KnownSource:
    """A soundfont, or a folder of recordings."""

    package: str
    """Debian's."""
    pattern: str
    """Of its files, below any folder."""
    licence: str
    kit: bool = False
    """Whether it is an acoustic drum kit, played as program 0 of the melodic bank."""
    unseen: bool = False
    """Whether it is kept out of training: its pairs are those of the sources that are not seen."""


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
"""Sentences of one speaker, 16 kHz."""


def find_source_files(folder: Path, known: KnownSource) -> list[Path]:
    """The files of ``known`` anywhere below a folder, by name; of several with one name the first."""
    found = {path.name: path for path in sorted(folder.rglob(known.pattern), reverse=True) if path.is_file()}
    return [found[name].resolve() for name in sorted(found)]


def find_all_files(folder: Path, skip_missing: bool) -> dict[KnownSource, list[Path]]:
    """The files of every known source.

    Args:
        folder: where packages are unpacked or installed, e.g. ``/usr/share``; searched with its subfolders.
        skip_missing: whether a source may be missing; it then has no files.

    Raises:
        DataError: no such folder, or a source is missing: with the command that gets it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the one where the soundfonts' packages are unpacked")
    sources = (*SOUNDFONTS.values(), CABINETS, SPEECH)
    files = {known: find_source_files(folder, known) for known in sources}
    missing = [known for known in sources if not files[known]]
    if missing and not skip_missing:
        names = ", ".join(Path(known.pattern).name for known in missing)
        packages = " ".join(dict.fromkeys(known.package for known in missing))
        raise DataError(
            f"{folder}: without {names}; get them with `apt-get download {packages}` and unpack each with "
            f"`dpkg -x PACKAGE.deb {folder}`, or do without them with --skip-missing"
        )
    if not any(files[known] for known in SOUNDFONTS.values() if not known.kit):
        raise DataError(f"{folder}: no soundfont with melodic programs in it")
    return files
