"""Which environment variables hold secrets, and the environment without them, for logs.

Only the standard library is imported, so that a recipe can use it before anything else.
"""

from __future__ import annotations

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
