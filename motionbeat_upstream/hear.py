"""MotionBeat behind the common API of HEAR 2021 (Holistic Evaluation of Audio Representations).

    import motionbeat_upstream.hear as module
    model = module.load_model()

HEAR's tools take the module's name: ``hear-validator motionbeat_upstream.hear``. Embeddings per time are the
last layer of the frame trunk and the last token layer side by side; those of a scene are their mean over time
with the pooled embedding after them [O].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motionbeat_upstream import hubconf
from motionbeat_upstream.config import SAMPLE_RATE, STRIDE


class HearModel(nn.Module):
    """The music tower with the attributes that HEAR asks for.

    Attributes:
        sample_rate: of the audio that is given, 16,000 Hz.
        timestamp_embedding_size: numbers per time.
        scene_embedding_size: numbers per clip.
    """

    def __init__(self, model_file_path: str = "") -> None:
        super().__init__()
        self.upstream = hubconf.motionbeat(ckpt=model_file_path or None)
        config = self.upstream.tower.config
        self.trunk_layer = len(config.trunk_dilations)
        self.sample_rate = SAMPLE_RATE
        self.timestamp_embedding_size = 2 * config.dim
        self.scene_embedding_size = self.timestamp_embedding_size + config.embedding_dim

    @torch.inference_mode()
    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F, E_t) embeddings per time and (B, E_s) of the clips, for (B, T) audio in [-1, 1]."""
        outputs = self.upstream(audio)
        states = outputs["hidden_states"]
        frames = torch.cat([states[self.trunk_layer], states[-1]], -1).float()
        return frames, torch.cat([frames.mean(1), outputs["embedding"].float()], -1)


def load_model(model_file_path: str = "") -> HearModel:
    """The model that ships, or the checkpoint in a file."""
    return HearModel(model_file_path).eval()


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Embeddings of all sounds over time.

    Args:
        audio: (n_sounds, n_samples) at the model's sample rate, in [-1, 1].
        model: as :func:`load_model` gives it.

    Returns:
        (n_sounds, n_times, size) float32, and the (n_sounds, n_times) middles of their frames in
        milliseconds, 20 ms apart.
    """
    frames, _ = model(audio)
    middles = (torch.arange(frames.shape[1], device=frames.device) + 0.5) * STRIDE / SAMPLE_RATE * 1000
    return frames, middles.expand(len(audio), -1)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """(n_sounds, size) float32, one embedding of each of the (n_sounds, n_samples) sounds."""
    scenes: Tensor = model(audio)[1]
    return scenes
