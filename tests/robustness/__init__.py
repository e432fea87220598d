"""How every parser of users' files, and every long command, behaves when something is wrong.

    python -m tests.robustness --inputs 1000

Parsers are fuzzed: each input is a valid file with values replaced and bytes damaged. A parser must return a
valid object or raise the project's error in one line, within limits of time and memory. Commands are
interrupted: killed, on a full disk, twice at once, with a file that vanishes. No finished result may be lost,
no partial one taken for complete, and a second run must complete the work.
"""
