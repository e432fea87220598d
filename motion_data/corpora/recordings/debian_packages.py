"""Download and unpack Debian packages with music, without root and without installing them.

    python -m motion_data.corpora.recordings.debian_packages LIST RAW [--packages DIR]

LIST is a tempo file, or any other file of JSON lines with ``package``, such as a list of tracker modules.
Each package, and the package with its MIDI files if there is one, is unpacked to ``RAW/PACKAGE``; archives
``x.pk3`` are unpacked to ``x.pk3.unpacked`` beside them. A folder appears only when it is complete, so that a
second run continues an interrupted one. Packages of the project's test songs are refused."""

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
"""Suffix of the folder to which an archive is unpacked."""


def fetch_packages(names: Sequence[str], raw: Path, packages: Path | None = None) -> dict[str, str]:
    """Download packages and unpack them into ``raw``; existing folders are not replaced.

    If ``packages`` is a folder with ``NAME_*.deb`` files, nothing is downloaded.

    Returns:
        The reason for each package that failed.

    Raises:
        DataError: one of them contains the project's test songs; nothing is downloaded then.
    """
    from motion_data.corpora.recordings.tracks import TEST_SONG_PREFIX

    banned = [name for name in names if name.startswith(TEST_SONG_PREFIX)]
    if banned:
        raise DataError(f"{', '.join(banned)}: these are the project's test songs; take them out of the list")
    raw.mkdir(parents=True, exist_ok=True)
    errors = {}
    for name in tqdm(names, desc="get packages", unit="package"):
        try:
            if not (raw / name).is_dir():
                with _atomic_folder(raw / name) as folder:
                    _unpack(name, packages, folder)
            for archive in sorted((raw / name).rglob("*.pk3")):
                _unzip(archive)
        except DataError as error:
            errors[name] = str(error)
    return errors


@contextmanager
def _atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``target`` when the block succeeds, and is deleted otherwise."""
    with tempfile.TemporaryDirectory(prefix=".part-", dir=target.parent) as work:
        folder = Path(work) / "folder"
        folder.mkdir()
        yield folder
        folder.replace(target)


def _unpack(name: str, packages: Path | None, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as work:
        source = packages or Path(work)
        if packages is None:
            run_program(["apt-get", "download", name], source, "check the network and run `apt-get update`")
        paths = sorted(source.glob(f"{name}_*.deb"))
        if not paths:
            raise DataError(f"{source}: no {name}_*.deb; get it with `apt-get download {name}`")
        run_program(
            ["dpkg", "-x", str(paths[-1].resolve()), str(folder.resolve())], source, "download it again"
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
            f"{archive}: a damaged archive ({error}); delete the package and download it again"
        ) from error


def run_program(command: Sequence[str], folder: Path, remedy: str) -> None:
    """Run a program in a folder.

    Raises:
        DataError: the program is missing or fails; the message has its last line and the remedy.
    """
    if shutil.which(command[0]) is None:
        raise DataError(f"{command[0]}: no such program; it is part of Debian and Ubuntu; {remedy}")
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if process.returncode:
        lines = (process.stderr or process.stdout).strip().splitlines()
        raise DataError(
            f"`{' '.join(command)}` ended with code {process.returncode}: {lines[-1] if lines else ''}; "
            f"{remedy}"
        )


@command("debian_packages", error_code=1)
def main(arguments: Sequence[str]) -> int:
    """The command; returns 1 if a package failed."""
    parser = argparse.ArgumentParser(
        prog="python -m motion_data.corpora.recordings.debian_packages",
        description="Download and unpack the Debian packages of a list of music; no root needed.",
    )
    parser.add_argument("list", type=Path, metavar="LIST", help="JSON lines with package")
    parser.add_argument("raw", type=Path, metavar="RAW", help="folder to put the packages into (about 4 GB)")
    parser.add_argument(
        "--packages", type=Path, metavar="DIR", help="folder with the .deb files; nothing is downloaded then"
    )
    options = parser.parse_args(arguments)
    from motion_data.corpora.recordings.tracks import MIDI_PACKAGES, read_json_lines

    listed = dict.fromkeys(package for _, (package,) in read_json_lines(options.list, ("package",)))
    names = list(listed | dict.fromkeys(MIDI_PACKAGES[name] for name in listed if name in MIDI_PACKAGES))
    errors = fetch_packages(names, options.raw, options.packages)
    for name, reason in errors.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    print(f"{options.raw}: {len(names) - len(errors)} of {len(names)} packages")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
