"""The errors and warnings that users meet, in a module that does not import torch."""

from __future__ import annotations


class MotionBeatError(ValueError):
    """A user's mistake; the message names the object, what was found, what was expected and what to do.

    Commands print it as one line, without a traceback (``commands/command.py``). Any other ``ValueError``
    is a fault of the program.
    """


class AudioError(MotionBeatError):
    """Audio that cannot be used; the message names the file or item."""


class AudioWarning(UserWarning):
    """What whoever uses the times of a file should know."""


class DamagedAudioWarning(AudioWarning, AudioError):
    """A file holds less sound than it should; an error where ``warnings.filterwarnings`` makes it one."""


class CheckpointError(MotionBeatError):
    """A checkpoint, or a folder of weights, that cannot be used; the message names it."""


class ConfigError(MotionBeatError):
    """A configuration that cannot be built; the message lists everything that is wrong."""
