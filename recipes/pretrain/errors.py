"""What a user of the recipe can mend; the command line says it in one line, with exit code 2."""

from __future__ import annotations


class PretrainError(ValueError):
    """A request that cannot be met; the message says what was found, what was expected and what to do."""
