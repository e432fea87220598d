"""Whether symusic can play a soundfont: it may hang on a program, or read past a sample, and says nothing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Sequence
from ctypes import c_int
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np

from motion_data.errors import DataError
from motion_data.soundfont import HIGHEST, LOWEST, make_score, play, synthesiser

PATIENCE = 30.0
"""Seconds after which a program is believed to hang; it takes some 0.02 s."""

HOLD = 2.0
"""Seconds that a note is held: long enough for a sample's loop to come round."""


def check_soundfont(soundfont: Path, programs: Iterable[int], patience: float = PATIENCE) -> None:
    """Play each program at every second pitch, twice, in a process of its own.

    Args:
        soundfont: a .sf2 or .sf3 file.
        programs: General MIDI programs that are going to be played.
        patience: seconds to wait for one.

    Raises:
        DataError: no soundfont, or a program that hangs, is silent, or sounds differently each time.
    """
    synthesiser(soundfont)
    playing: Synchronized[int] = multiprocessing.Value(c_int, -1)
    listener, teller = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(
        target=_play_all, args=(soundfont, sorted(set(programs)), playing, teller), daemon=True
    )
    process.start()
    # The child holds the only open end now, so that its death is noticed.
    teller.close()
    while not wait([listener], patience):
        before = playing.value
        if not wait([listener], patience) and playing.value == before:
            process.kill()
            process.join()
            raise DataError(
                f"{soundfont}: symusic does not return from GM program {before}; use another soundfont"
            )
    try:
        fault = listener.recv()
    except EOFError:
        fault = f"symusic crashes on GM program {playing.value}"
    process.join()
    if fault:
        raise DataError(f"{soundfont}: {fault}; use another soundfont")


def _play_all(
    soundfont: Path, programs: Sequence[int], playing: Synchronized[int], teller: Connection
) -> None:
    fault = ""
    for program in programs:
        playing.value = program
        if fault := program_fault(soundfont, program):
            break
    teller.send(fault)


def program_fault(soundfont: Path, program: int) -> str:
    """What is wrong with a program; empty where nothing is."""
    pitches = np.arange(LOWEST, HIGHEST + 1.0, 2)
    starts = np.linspace(0, 4, len(pitches))
    notes = np.stack([starts, 0 * pitches + HOLD, pitches, 0 * pitches + 90], axis=1)
    score = make_score([("", program, False, notes)])
    try:
        first = play(score, soundfont)
        # What a read past a sample finds depends on what the memory held before.
        waste = [np.full(count, 1e30, np.float32) for count in (1000, 30_000, 100_000, 300_000)]
        del waste
        again = play(score, soundfont)
    except DataError as error:
        return str(error)
    return "" if np.array_equal(first, again) else f"GM program {program} sounds differently each time"
