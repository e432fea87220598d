"""What is raised where data cannot be used."""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be used; the message names the file and field, the fault and the remedy."""
