"""File names that are not UTF-8, for tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import motionbeat_upstream

bytes_in_names = pytest.mark.skipif(
    sys.platform != "linux", reason="file systems of macOS and Windows take no names that are not text"
)

reads_any_name = pytest.mark.skipif(
    sys.platform != "linux" or not Path(motionbeat_upstream.__file__).with_name("decoding.py").is_file(),
    reason="soundfile opens no names that are not text",
)
