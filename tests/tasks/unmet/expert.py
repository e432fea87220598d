"""A task whose package is not installed."""

import no_such_package.of_anyone  # type: ignore[import-not-found] # noqa: F401
