"""Playback of tracker modules by libopenmpt: sound, and the times of the rows.

    python -m motion_data.corpora.modules.libopenmpt FILE OUT TEMPO PITCH

writes the result of :func:`play_module` to OUT. :func:`play_module` runs this command in a separate process,
because a damaged module may crash the library or make it hang.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tempfile
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion_data.errors import DataError

LIBRARIES = ("libopenmpt.so.0", "libopenmpt.0.dylib", "libopenmpt-0.dll", "libopenmpt.dll")

RATE = 48_000
"""Sampling rate of the sound."""

STEP_SAMPLES = RATE // 1000
"""Samples between two queries of the row, so that times of rows have an error of at most 0.5 ms."""

MAX_SECONDS = 900.0
"""Longer modules are refused."""

SPARE_SECONDS = 5.0
"""Time by which a module may exceed its duration according to libopenmpt."""

TIMEOUT_SECONDS = 240.0
"""Time limit of playback; a module of 5 minutes takes about 5 s."""

MAX_NOTE_VALUE = 120
"""Larger values in the note column end notes."""


@dataclass(frozen=True)
class PlayedModule:
    """Playback of a module from its start to its end or first repetition."""

    wav: NDArray[np.float32]
    """(T,) mono at 48 kHz; may exceed 1."""
    times: NDArray[np.float64]
    """(N,) start of each row in seconds, to 0.5 ms."""
    orders: NDArray[np.int64]
    """(N,) index of the row's pattern in the module's sequence."""
    rows: NDArray[np.int64]
    """(N,) index of the row in its pattern."""
    speeds: NDArray[np.int64]
    """(N,) ticks per row."""
    tempi: NDArray[np.int64]
    """(N,) the module's tempo value; a tick lasts 2.5 / tempo seconds in the classic mode."""
    notes: NDArray[np.int64]
    """(N,) number of channels in which a note begins."""

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.wav) / RATE


def play_module(
    path: Path, tempo: float = 1.0, pitch: float = 1.0, limit: float = TIMEOUT_SECONDS
) -> PlayedModule:
    """Play a module in a separate process.

    Args:
        path: the module.
        tempo: factor of the tempo; the pitch does not change.
        pitch: factor of all frequencies; the tempo does not change.
        limit: time limit in seconds.

    Raises:
        DataError: the file is not a module, its sound is silent, not finite or too long, the library crashes
            or exceeds the time limit, or libopenmpt is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "played.npz"
        command = [sys.executable, "-m", __name__, str(path.resolve()), str(out), repr(tempo), repr(pitch)]
        # The working directory makes this package importable.
        root = str(Path(__file__).resolve().parents[3])
        try:
            process = subprocess.run(command, cwd=root, capture_output=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            raise DataError(f"{path}: libopenmpt did not finish within {limit:g} s; leave it out") from None
        if process.returncode:
            lines = process.stderr.decode(errors="replace").strip().splitlines()
            crashed = process.returncode != 1 or not lines
            reason = f"libopenmpt ended with {process.returncode}" if crashed else lines[-1]
            raise DataError(f"{path}: {reason}; leave it out")
        with np.load(out) as arrays:
            return PlayedModule(**{field.name: arrays[field.name] for field in fields(PlayedModule)})


def check_library() -> None:
    """Raise DataError if libopenmpt is missing."""
    _load_library()


@cache
def _load_library() -> Any:
    for name in LIBRARIES:
        try:
            library: Any = ctypes.CDLL(name)
        except OSError:
            continue
        break
    else:
        raise DataError(
            "libopenmpt, which plays tracker modules, is not installed; run `apt-get install libopenmpt0` "
            "(Debian, Ubuntu) or `brew install libopenmpt` (macOS)"
        )
    module, number = ctypes.c_void_p, ctypes.c_int32
    library.openmpt_module_create_from_memory2.restype = module
    library.openmpt_module_create_from_memory2.argtypes = [
        *(ctypes.c_char_p, ctypes.c_size_t, module, module, module, module),
        *(ctypes.POINTER(ctypes.c_int), module, module),
    ]
    library.openmpt_module_read_float_mono.restype = ctypes.c_size_t
    library.openmpt_module_read_float_mono.argtypes = [module, number, ctypes.c_size_t, module]
    library.openmpt_module_ctl_set_floatingpoint.argtypes = [module, ctypes.c_char_p, ctypes.c_double]
    library.openmpt_module_ctl_set_text.argtypes = [module, ctypes.c_char_p, ctypes.c_char_p]
    library.openmpt_module_get_duration_seconds.restype = ctypes.c_double
    library.openmpt_module_get_pattern_row_channel_command.restype = ctypes.c_uint8
    library.openmpt_module_get_pattern_row_channel_command.argtypes = [module, *[number] * 3, ctypes.c_int]
    for what in ("duration_seconds", "num_channels", *_ROW_QUERIES):
        getattr(library, f"openmpt_module_get_{what}").argtypes = [module]
    return library


_ROW_QUERIES = ("current_order", "current_row", "current_pattern", "current_speed", "current_tempo")


def play_in_process(path: Path, tempo: float, pitch: float) -> PlayedModule:
    """Play a module in this process, which a damaged module may crash.

    Raises:
        DataError: as :func:`play_module`, without the path.
    """
    library = _load_library()
    data = path.read_bytes()
    error = ctypes.c_int()
    module = library.openmpt_module_create_from_memory2(
        data, len(data), None, None, None, None, ctypes.byref(error), None, None
    )
    if not module:
        raise DataError(f"libopenmpt cannot read it as a module (error {error.value})")
    for name, value in ((b"play.tempo_factor", tempo), (b"play.pitch_factor", pitch)):
        if not library.openmpt_module_ctl_set_floatingpoint(module, name, value):
            raise DataError(f"libopenmpt refuses {name.decode()} {value:g}")
    # Otherwise it fades out for 0.1 s.
    library.openmpt_module_ctl_set_text(module, b"play.at_end", b"stop")
    stated = library.openmpt_module_get_duration_seconds(module) / tempo
    if not 0 < stated <= MAX_SECONDS:
        raise DataError(f"{stated:.0f} s of sound; expected more than 0 and at most {MAX_SECONDS:g}")
    channels = range(library.openmpt_module_get_num_channels(module))
    queries = [getattr(library, f"openmpt_module_get_{name}") for name in _ROW_QUERIES]
    buffer = np.zeros(round((stated + SPARE_SECONDS) * RATE), np.float32)
    address, size, played = buffer.ctypes.data, 0, []
    last: tuple[int, int] | None = None
    counts: dict[tuple[int, int], int] = {}
    while True:
        if size + STEP_SAMPLES > len(buffer):
            raise DataError(f"it is longer than the {stated:.0f} s that libopenmpt states")
        samples = library.openmpt_module_read_float_mono(module, RATE, STEP_SAMPLES, address + 4 * size)
        if not samples:
            break
        order, row, pattern, speed, ticks = (query(module) for query in queries)
        # At the end the library is in the row that it would repeat.
        if samples == STEP_SAMPLES and (order, row) != last:
            last = order, row
            if (pattern, row) not in counts:
                command = library.openmpt_module_get_pattern_row_channel_command
                values = [command(module, pattern, row, channel, 0) for channel in channels]
                counts[pattern, row] = sum(1 <= value <= MAX_NOTE_VALUE for value in values)
            # It began between the previous query and this one.
            begin = 0.0 if not size else (size + STEP_SAMPLES / 2) / RATE
            played.append((begin, order, row, speed, ticks, counts[pattern, row]))
        size += samples
    if not np.isfinite(buffer[:size]).all():
        raise DataError("its sound has samples that are not finite")
    if not buffer[:size].any():
        raise DataError("it is silent")
    times, *columns = (np.array(column) for column in zip(*played, strict=True))
    return PlayedModule(buffer[:size], times, *(column.astype(np.int64) for column in columns))


def _main() -> int:
    path, out, tempo, pitch = sys.argv[1:]
    try:
        played = play_in_process(Path(path), float(tempo), float(pitch))
    except (DataError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    np.savez(out, **{field.name: getattr(played, field.name) for field in fields(PlayedModule)})
    return 0


if __name__ == "__main__":
    sys.exit(_main())
