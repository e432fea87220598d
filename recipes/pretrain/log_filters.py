"""Filters of the log that fairseq2 writes: no secrets of the environment, and nothing twice."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping

HIDDEN = "<hidden>"
"""What stands in a log in place of a secret."""

# TOKENIZERS_PARALLELISM is none; PWD and OLDPWD are folders, MYSQL_PWD is not.
_SECRET_NAME = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSW|PASSPHRASE|PASS$|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY"
    r"|(^|_)KEYS?(_ID)?$|_PWD$|(^|_)AUTH$|COOKIE",
    re.IGNORECASE,
)
_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SHORTEST_SECRET = 6


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret: a token, password, key or credential."""
    return _SECRET_NAME.search(name) is not None


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with ``<hidden>`` for secrets, fit for a log.

    Hidden are the values of variables that ``is_secret``, the same values (of at least 6 characters)
    where they occur in other variables, and user and password in an address (``https://user:word@host``).
    An empty value stays empty: that a token is not set is worth seeing.
    """
    secrets = [value for name, value in environment.items() if is_secret(name)]
    # The longest first: one secret may be a part of another.
    secrets = sorted((value for value in secrets if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)
    shown = {}
    for name, value in environment.items():
        if is_secret(name):
            shown[name] = HIDDEN if value else ""
            continue
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        shown[name] = _USER_IN_ADDRESS.sub(HIDDEN, value)
    return shown


def hide_secrets(record: logging.LogRecord) -> bool:
    """fairseq2 writes every environment variable into the log."""
    title = "Environment Variables - "
    if isinstance(record.msg, str) and record.msg.startswith(title):
        shown = ", ".join(f"{name}={value}" for name, value in sorted(without_secrets(os.environ).items()))
        record.msg = title + shown
    return True


def hide_noise(record: logging.LogRecord) -> bool:
    """Hide what the head of the run says already, and what only repeats ``metrics/valid.jsonl``."""
    return not str(record.msg).startswith(("Based on the environment setup", "Validation Metrics"))


def hide_empty_means(record: logging.LogRecord) -> bool:
    """torcheval warns, whenever metrics are computed, of each part of the loss that was not."""
    return "No calls to update() have been made" not in record.getMessage()
