"""The beat probe on what nobody trained: the log-mel, and the tower at its random initialisation.

What a training adds to the probe is its margin over these, on the same clips.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from motion_data.pipeline.batch import Batch
from motionbeat_upstream.beats.frontend import frame_count, log_mel
from motionbeat_upstream.config import SAMPLE_RATE, MusicTowerConfig
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from recipes.pretrain.validation.beat_probe import beat_probe
from recipes.pretrain.validation.figures import (
    OWN_GRID_SECONDS,
    PROBED,
    PROBED_PIECES,
    annotated_beats,
    probed_layers,
)


@torch.inference_mode()
def untrained_probe(config: MusicTowerConfig, batches: Iterable[Batch]) -> dict[str, float]:
    """F with its interval for ``probe.log_mel`` and for each probed layer of the untrained tower.

    Args:
        config: of the tower.
        batches: as the validation reads them; the clips that its own probe sees are taken.

    Returns:
        Nothing where there are too few pieces with beats.
    """
    tower = untrained_music_tower(config).eval()
    seen: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    beats: list[NDArray[np.float64]] = []
    pieces: list[int] = []
    for clips in batches:
        if len(beats) == PROBED:
            break
        wav = clips.wav[:, : round(OWN_GRID_SECONDS * SAMPLE_RATE)]
        lengths = clips.wav_lengths.clamp(max=wav.shape[1])
        mel, _ = log_mel(wav, lengths, config.n_mels)
        states = tower(wav, lengths).hidden_states
        for row, length in enumerate(frame_count(lengths).tolist()[: PROBED - len(beats)]):
            # Two mel frames lie in a feature.
            seen["log_mel"].append(mel[row, : 2 * length].unflatten(0, (length, 2)).mean(1).numpy())
            for name, index in probed_layers(config).items():
                seen[f"untrained_{name}"].append(states[index][row, :length].numpy())
            beats.append(annotated_beats(clips, row))
            pieces.append(int(clips.pieces[row]))
    heard = {piece for piece, times in zip(pieces, beats, strict=True) if len(times)}
    if len(heard) < PROBED_PIECES:
        return {}
    return {
        key: value
        for name, features in seen.items()
        for key, value in beat_probe(features, beats, pieces).f.metrics(f"probe.{name}.beat_f").items()
    }
