"""Tests; a package, so that they share helpers under one name however pytest is started."""
