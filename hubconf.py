"""Entries for torch.hub: ``torch.hub.load(repository, "motionbeat")``."""

from motionbeat_upstream.hubconf import *  # noqa: F403
from motionbeat_upstream.hubconf import dependencies as dependencies
