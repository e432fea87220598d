"""Filters for fairseq2's log: mask secrets of the environment and drop redundant records."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping

MASK = "<hidden>"
"""Replacement of a secret in a log."""

# Not secrets: TOKENIZERS_PARALLELISM, PWD, OLDPWD. A secret: MYSQL_PWD.
_SECRET_NAME = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSW|PASSPHRASE|PASS$|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY"
    r"|(^|_)KEYS?(_ID)?$|_PWD$|(^|_)AUTH$|COOKIE",
    re.IGNORECASE,
)
_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_MIN_SECRET_LENGTH = 6


def is_secret(name: str) -> bool:
    """Return whether the name is that of a secret: a token, password, key or credential."""
    return _SECRET_NAME.search(name) is not None


def mask_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with ``<hidden>`` in place of secrets.

    Masked are the values of variables that ``is_secret``, the same values (of at least 6 characters) in other
    variables, and the user and password of an address (``https://user:word@host``). Empty values stay empty,
    so that the log shows that a token is not set.
    """
    secrets = [value for name, value in environment.items() if is_secret(name)]
    # Longest first: a secret may contain another.
    secrets = sorted((value for value in secrets if len(value) >= _MIN_SECRET_LENGTH), key=len, reverse=True)
    masked = {}
    for name, value in environment.items():
        if is_secret(name):
            masked[name] = MASK if value else ""
            continue
        for secret in secrets:
            value = value.replace(secret, MASK)
        masked[name] = _USER_IN_ADDRESS.sub(MASK, value)
    return masked


def hide_secrets(record: logging.LogRecord) -> bool:
    """Mask secrets in fairseq2's record of all environment variables."""
    title = "Environment Variables - "
    if isinstance(record.msg, str) and record.msg.startswith(title):
        masked = ", ".join(f"{name}={value}" for name, value in sorted(mask_secrets(os.environ).items()))
        record.msg = title + masked
    return True


def hide_noise(record: logging.LogRecord) -> bool:
    """Drop records that repeat the summary of the run or ``metrics/valid.jsonl``."""
    return not str(record.msg).startswith(("Based on the environment setup", "Validation Metrics"))


def hide_empty_means(record: logging.LogRecord) -> bool:
    """Drop torcheval's warnings about parts of the loss that were not computed."""
    return "No calls to update() have been made" not in record.getMessage()
