"""The origin of an output, as a text stored with it: equal texts mean equal outputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from motionbeat_upstream.version import __version__

if TYPE_CHECKING:
    from motionbeat_upstream.expert import UpstreamExpert

RECORDS = ".made_by"
"""Folder beside outputs that cannot contain the text: a file for each input."""


def made_by(expert: UpstreamExpert, **options: object) -> str:
    """Return JSON of the version, the model, a hash of its weights, and the options that the output depends
    on."""
    from motionbeat_upstream.checkpoint import tensors_sha256

    return json.dumps(
        {
            "version": __version__,
            "arch": expert.tower.config.arch,
            "grid": [expert.tower.config.grid_from, expert.tower.config.grid_trust],
            "weights": tensors_sha256(expert.tower.state_dict())[:16],
            "training": expert.provenance.training,
            **options,
        },
        sort_keys=True,
    )
