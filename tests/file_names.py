"""File names that are not UTF-8, for tests."""

from __future__ import annotations

import sys

import pytest

bytes_in_names = pytest.mark.skipif(
    sys.platform != "linux", reason="file systems of macOS and Windows take no names that are not text"
)
