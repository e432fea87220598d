"""MotionBeat behind the common API of HEAR 2021 (Holistic Evaluation of Audio Representations).

    import motionbeat_upstream.hear as module
    model = module.load_model()

HEAR's tools take the name of the module: ``hear-validator motionbeat_upstream.hear``. Timestamp embeddings
are the last layer of the frame trunk concatenated with the last token layer; scene embeddings are their mean
over time concatenated with the pooled embedding [O].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motionbeat_upstream import hubconf
from motionbeat_upstream.config import SAMPLE_RATE, STRIDE


class HearModel(nn.Module):
    """The music tower with the attributes that HEAR requires.

    Attributes:
        sample_rate: of the input, 16,000 Hz.
        timestamp_embedding_size: E_t.
        scene_embedding_size: E_s.
    """

    def __init__(self, model_file_path: str = "") -> None:
        super().__init__()
        self.upstream = hubconf.motionbeat(ckpt=model_file_path or None)
        config = self.upstream.tower.config
        self.trunk_layer = config.trunk_layers[-1]
        self.sample_rate = SAMPLE_RATE
        self.timestamp_embedding_size = 2 * config.dim
        self.scene_embedding_size = self.timestamp_embedding_size + config.embedding_dim

    @torch.inference_mode()
    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Compute (B, F, E_t) timestamp and (B, E_s) scene embeddings of (B, T) audio in [-1, 1]."""
        outputs = self.upstream(audio)
        states = outputs["hidden_states"]
        frames = torch.cat([states[self.trunk_layer], states[-1]], -1).float()
        return frames, torch.cat([frames.mean(1), outputs["embedding"].float()], -1)


def load_model(model_file_path: str = "") -> HearModel:
    """Load the shipped model, or a checkpoint from a file."""
    return HearModel(model_file_path).eval()


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Compute embeddings of sounds over time.

    Args:
        audio: (n_sounds, n_samples) at the model's sample rate, in [-1, 1].
        model: from :func:`load_model`.

    Returns:
        (n_sounds, n_times, size) float32, and the (n_sounds, n_times) centres of their frames in
        milliseconds, 20 ms apart.
    """
    frames, _ = model(audio)
    centres = (torch.arange(frames.shape[1], device=frames.device) + 0.5) * STRIDE / SAMPLE_RATE * 1000
    return frames, centres.expand(len(audio), -1)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """Compute (n_sounds, size) float32 embeddings of (n_sounds, n_samples) sounds."""
    scenes: Tensor = model(audio)[1]
    return scenes
