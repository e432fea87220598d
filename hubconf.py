"""torch.hub's door: ``torch.hub.load(repository, "motionbeat")``."""

from motionbeat_upstream.hubconf import (
    dependencies,
    motionbeat,
    motionbeat_base,
    motionbeat_local,
    motionbeat_log_mel,
    motionbeat_untrained,
    motionbeat_url,
    motionbeat_v1,
)

__all__ = [
    "dependencies",
    "motionbeat",
    "motionbeat_base",
    "motionbeat_local",
    "motionbeat_log_mel",
    "motionbeat_untrained",
    "motionbeat_url",
    "motionbeat_v1",
]
