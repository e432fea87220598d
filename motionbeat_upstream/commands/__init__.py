"""The subcommands of `motionbeat` that need the upstream alone."""
