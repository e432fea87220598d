"""What made an output, as text that is kept with it: the same text, the same output."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from motionbeat_upstream.version import __version__

if TYPE_CHECKING:
    from motionbeat_upstream.expert import UpstreamExpert

RECORDS = ".made_by"
"""Folder beside outputs that have no room for the text: a file for each input."""


def made_by(expert: UpstreamExpert, **options: object) -> str:
    """JSON of the version, the model, a hash of its weights, and the options that the output depends on."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(expert.tower.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return json.dumps(
        {
            "version": __version__,
            "arch": expert.tower.config.arch,
            "grid": [expert.tower.config.grid_from, expert.tower.config.grid_trust],
            "weights": digest.hexdigest()[:16],
            "training": expert.provenance.training,
            **options,
        },
        sort_keys=True,
    )
