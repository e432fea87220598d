"""The frame path as one graph, from waveforms to the states of the trunk and the logits of the beat heads."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor, nn

from motionbeat_upstream.config import STRIDE
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.frame_trunk import frame_states
from motionbeat_upstream.nn.music_tower import BeatLogits, MusicTower
from motionbeat_upstream.tracking.frontend import UNIT_POWER, fourier_basis, log_mel_unblocked, mel_filters


class FramePath(nn.Module):
    """The part of a music tower that needs no grid, for ``torch.export``, ONNX and other runtimes.

    The operations do not depend on the lengths, so one graph serves all. The features are those of
    :meth:`~motionbeat_upstream.nn.music_tower.MusicTower.encode_frames` within 1e-4.
    """

    fourier: Tensor
    filters: Tensor

    def __init__(self, tower: MusicTower) -> None:
        """Wrap a tower with beat heads; the weights are shared.

        Raises:
            ConfigError: the tower has no beat heads.
        """
        super().__init__()
        if tower.beat_heads is None:
            raise ConfigError(
                f"the {tower.config.arch} tower has no beat heads; use a checkpoint trained with them"
            )
        self.config, self.trunk, self.beat_heads = tower.config, tower.trunk, tower.beat_heads
        self.register_buffer("fourier", fourier_basis(), persistent=False)
        self.register_buffer("filters", mel_filters(tower.config.n_mels) / UNIT_POWER, persistent=False)

    def forward(self, wav: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Compute the features of a padded batch; those of a clip do not depend on the others.

        Args:
            wav: (B, T) float32 at 16 kHz, 0 beyond a clip's length.
            lengths: (B,) samples of each clip, int64, at least 1.

        Returns:
            ``hidden_state_0``, …: the states of the front end and the trunk, each (B, F, D) and 0 beyond a
            clip's end, where F = ceil(T / 320) frames at 50 Hz. Then the logits of
            :class:`~motionbeat_upstream.nn.music_tower.BeatLogits` by name.
        """
        log_mel, mel_lengths = log_mel_unblocked(wav, lengths, self.fourier, self.filters)
        states = frame_states(self.trunk, self.config, log_mel, mel_lengths)
        logits = self.beat_heads(states[-1])
        outputs = *states, *(getattr(logits, head.name) for head in fields(BeatLogits))
        return dict(zip(self.output_names, outputs, strict=True))

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs in order."""
        layers = range(self.config.trunk_layers.stop)
        return [*(f"hidden_state_{layer}" for layer in layers), *(head.name for head in fields(BeatLogits))]


@torch.no_grad()
def export_frame_path(path: FramePath) -> torch.export.ExportedProgram:
    """Export the frame path as a graph for any batch size and any number of samples above 320.

    Pad shorter clips with zeros, without changing their ``lengths``.
    """
    # The sizes are arbitrary, but torch treats a size of 1 as constant.
    wav, lengths = torch.zeros(3, 5 * STRIDE + 7), torch.tensor([1607, 900, 1])
    batch = samples = torch.export.Dim.AUTO
    shapes = {"wav": {0: batch, 1: samples}, "lengths": {0: batch}}
    return torch.export.export(path.eval(), (wav, lengths), dynamic_shapes=shapes)
