"""The errors and warnings that users of the upstream meet, in a module that does not import torch."""

from __future__ import annotations


class AudioError(ValueError):
    """Audio that cannot be used; the message names the file or item, the fault and the remedy."""


class AudioWarning(UserWarning):
    """What whoever uses the times of a file should know."""


class DamagedAudioWarning(AudioWarning, AudioError):
    """A file holds less sound than it should; an error where ``warnings.filterwarnings`` makes it one."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file, the fault and the remedy."""
