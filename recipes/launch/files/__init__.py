"""Run a command of ``motionbeat`` on a list of files, divided between the tasks of a launch."""

FILE_COMMANDS = ("features", "beats", "dance")
