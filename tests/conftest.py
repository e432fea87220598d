"""What all tests share."""

import os
import signal

import pytest
import torch
from hypothesis import settings

# Small tensors gain nothing from threads, and threads that wait for each other on a busy machine
# make the suite a hundred times slower. Commands that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

# The first example may import or compile something.
settings.register_profile("motionbeat", deadline=None)
settings.load_profile("motionbeat")

# Features are kept where a test asks for it, never in the user's own cache folder.
os.environ["MOTIONBEAT_FEATURE_CACHE"] = "none"

# A shell has what it starts in the background ignore Ctrl-C, and commands that tests start would inherit it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def skip_or_fail(reason: str) -> None:
    """Skip the test for want of data or a program; where CI=true nothing may be wanting, so fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
