"""The old place of :func:`motion_data.corpora.splits.hashed_split`."""

from motion_data.corpora.splits import hashed_split as hashed_split
