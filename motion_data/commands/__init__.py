"""The subcommands of ``motionbeat`` that motion data brings."""
