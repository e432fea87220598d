"""MotionBeat as an upstream: audio in, features at 50 Hz out.

Importing this package needs torch, torchaudio, numpy, av, soxr and safetensors only.
"""

from motionbeat_upstream.version import __version__

__all__ = ["__version__"]
