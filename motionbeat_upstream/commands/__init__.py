"""Subcommands of `motionbeat` that need only the upstream."""
