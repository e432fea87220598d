"""Gets Debian packages that hold music, unpacked and no more: no root is needed, and nothing is installed.

    python -m motion_data.corpora.recordings.debian_packages LIST RAW [--packages DIR]

LIST is a tempo file, or any other file of JSON lines with ``package``, such as a list of tracker modules.
Each package it names lies in ``RAW/PACKAGE`` afterwards, that with the MIDI files of its music too, and what
is in an archive ``x.pk3`` in the folder ``x.pk3.unpacked`` beside it. A folder appears only when it
is whole, so a second run goes on where the first one stopped. The packages of the project's test songs are
refused."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from motion_data.errors import DataError
from motionbeat_upstream.commands.command import command

UNPACKED_SUFFIX = ".unpacked"
"""Added to the name of an archive, the name of the folder that it is unpacked to."""


def fetch_packages(names: Sequence[str], raw: Path, packages: Path | None = None) -> dict[str, str]:
    """Download and unpack packages into ``raw``; those whose folder is there are kept.

    Where ``packages`` is a folder with ``NAME_*.deb`` files, nothing is downloaded.

    Returns:
        Packages that could not be had, and why.

    Raises:
        DataError: one of them holds the project's test songs; nothing is downloaded then.
    """
    from motion_data.corpora.recordings.tracks import TEST_SONG_PREFIX

    banned = [name for name in names if name.startswith(TEST_SONG_PREFIX)]
    if banned:
        raise DataError(f"{', '.join(banned)}: these are the project's test songs; take them out of the list")
    raw.mkdir(parents=True, exist_ok=True)
    faults = {}
    for name in tqdm(names, desc="get packages", unit="package"):
        try:
            if not (raw / name).is_dir():
                with _atomic_folder(raw / name) as folder:
                    _unpack(name, packages, folder)
            for archive in sorted((raw / name).rglob("*.pk3")):
                _unzip(archive)
        except DataError as error:
            faults[name] = str(error)
    return faults


@contextmanager
def _atomic_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which is renamed to ``target`` when the block ends well, and deleted otherwise."""
    with tempfile.TemporaryDirectory(prefix=".part-", dir=target.parent) as work:
        folder = Path(work) / "folder"
        folder.mkdir()
        yield folder
        folder.replace(target)


def _unpack(name: str, packages: Path | None, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as work:
        place = packages or Path(work)
        if packages is None:
            run_program(
                ["apt-get", "download", name], place, "is there a network, and did `apt-get update` run?"
            )
        found = sorted(place.glob(f"{name}_*.deb"))
        if not found:
            raise DataError(f"{place}: holds no {name}_*.deb; get it with `apt-get download {name}`")
        run_program(
            ["dpkg", "-x", str(found[-1].resolve()), str(folder.resolve())], place, "download it again"
        )


def _unzip(archive: Path) -> None:
    target = archive.with_name(archive.name + UNPACKED_SUFFIX)
    if target.is_dir():
        return
    try:
        with _atomic_folder(target) as folder, zipfile.ZipFile(archive) as content:
            content.extractall(folder)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{archive}: not a whole archive ({error}); delete the package and get it again"
        ) from error


def run_program(command: Sequence[str], folder: Path, remedy: str) -> None:
    """Run a program in a folder.

    Raises:
        DataError: there is no such program, or it fails; with its last line and the remedy.
    """
    if shutil.which(command[0]) is None:
        raise DataError(f"there is no program {command[0]}, which Debian and Ubuntu have; {remedy}")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise DataError(
            f"`{' '.join(command)}` ended with code {done.returncode}: {told[-1] if told else ''}; {remedy}"
        )


@command("debian_packages", error_code=1)
def main(arguments: Sequence[str]) -> int:
    """The command; 1 when packages could not be had."""
    parser = argparse.ArgumentParser(
        prog="python -m motion_data.corpora.recordings.debian_packages",
        description="Get the Debian packages that a list of music names, unpacked; no root needed.",
    )
    parser.add_argument("list", type=Path, metavar="LIST", help="JSON lines with package")
    parser.add_argument("raw", type=Path, metavar="RAW", help="folder to put the packages into (about 4 GB)")
    parser.add_argument(
        "--packages", type=Path, metavar="DIR", help="folder with the .deb files; nothing is downloaded then"
    )
    options = parser.parse_args(arguments)
    from motion_data.corpora.recordings.tracks import MIDI_PACKAGES, read_json_lines

    named = dict.fromkeys(package for _, (package,) in read_json_lines(options.list, ("package",)))
    names = list(named | dict.fromkeys(MIDI_PACKAGES[name] for name in named if name in MIDI_PACKAGES))
    faults = fetch_packages(names, options.raw, options.packages)
    for name, why in faults.items():
        print(f"left out: {name}: {why}", file=sys.stderr)
    print(f"{options.raw}: {len(names) - len(faults)} of {len(names)} packages")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
