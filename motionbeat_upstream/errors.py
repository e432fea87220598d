"""Errors and warnings for users, in a module that does not import torch."""

from __future__ import annotations


class MotionBeatError(ValueError):
    """An error of the user. The message names the object, the actual and the expected value, and the remedy.

    Commands print it in one line, without a traceback (``commands/command.py``). Any other ``ValueError`` is
    a program error.
    """


class AudioError(MotionBeatError):
    """Audio that cannot be read or used; the message names the file or item."""


class AudioWarning(UserWarning):
    """A property of an audio file that affects its times."""


class DamagedAudioWarning(AudioWarning, AudioError):
    """An audio file with missing sound; an error if ``warnings.filterwarnings`` turns it into one."""


class CheckpointError(MotionBeatError):
    """A checkpoint, or a folder of weights, that cannot be used; the message names it."""


class ConfigError(MotionBeatError):
    """An invalid configuration; the message lists all invalid settings."""
