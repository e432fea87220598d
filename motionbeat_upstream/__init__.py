"""MotionBeat as an upstream: features and beats of audio.

:func:`load`, :func:`features`, :func:`beats`, :func:`iter_features` and :func:`iter_beats` are those of
:mod:`motionbeat_upstream.api`, :class:`BeatStream` is that of :mod:`motionbeat_upstream.beat_stream`. They
are imported on first use, so that importing this package is fast. The package needs torch, numpy, av, soxr,
safetensors and tqdm only. ``MotionBeatModel`` of :mod:`motionbeat_upstream.hub_model` also needs
huggingface_hub.
"""

from typing import TYPE_CHECKING, Any

from motionbeat_upstream.version import __version__

if TYPE_CHECKING:
    from motionbeat_upstream.api import BeatEstimate, beats, features, iter_beats, iter_features, load
    from motionbeat_upstream.beat_stream import BeatStream as BeatStream
    from motionbeat_upstream.hub_model import MotionBeatModel as MotionBeatModel

__all__ = [
    "BeatEstimate",
    "BeatStream",
    "__version__",
    "beats",
    "features",
    "iter_beats",
    "iter_features",
    "load",
]


def __getattr__(name: str) -> Any:
    # Not in __all__: `import *` must not need huggingface_hub.
    if name == "MotionBeatModel":
        from motionbeat_upstream import hub_model

        return hub_model.MotionBeatModel
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "BeatStream":
        from motionbeat_upstream.beat_stream import BeatStream

        return BeatStream
    from motionbeat_upstream import api

    return getattr(api, name)
