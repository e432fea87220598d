"""A command of ``motionbeat`` on all files of a list, spread over the tasks of a launch."""

FILE_COMMANDS = ("features", "beats", "dance")
