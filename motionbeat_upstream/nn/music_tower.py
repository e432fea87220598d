"""The music tower: waveform in; features per frame, beat tokens and one embedding out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from motionbeat_upstream.config import SAMPLE_RATE, MusicTowerConfig
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.beat_pooling import Overlaps, overlaps, pool, spread
from motionbeat_upstream.nn.frame_trunk import BottleneckTrunk, FrameTrunk
from motionbeat_upstream.nn.token_encoder import TokenEncoder
from motionbeat_upstream.outside_graphs import outside_graphs
from motionbeat_upstream.tracking.bar_pointer import ANY, Hints
from motionbeat_upstream.tracking.beat_estimation import estimate_grids
from motionbeat_upstream.tracking.decoded_grid import decode_grids
from motionbeat_upstream.tracking.frontend import length_mask, spectra
from motionbeat_upstream.tracking.grid import METRES, Grid, Tokens, cut_tokens
from motionbeat_upstream.tracking.tempo import TEMPO_CLASSES

BEAT_OUTPUTS = 1, 1, max(METRES), len(METRES), TEMPO_CLASSES
"""Number of logits of each beat head, in the order of :class:`BeatLogits`."""

PULSE_STEP = 1 / 16
"""Steps that the logits of pulses are rounded to before they decide on beats. What the trunk gives
differs by some 1e-6 between batches; rounded so, one frame in about 50,000 still differs [O]."""

STRETCH = 6000
"""Frames whose beats and pulses are computed at a time where the trunk's states are not asked for."""


@dataclass(frozen=True)
class BeatLogits:
    """Logits of the beat heads at 50 Hz; what lies beyond a clip's end does not matter."""

    beat: Tensor
    """(B, F) of a beat, downbeats included."""
    downbeat: Tensor
    """(B, F) of a downbeat."""
    position: Tensor
    """(B, F, 7) of the position in the bar, counted from 1, of the last beat before the frame."""
    metre: Tensor
    """(B, F, 6) of the beats a bar, one of ``METRES``."""
    tempo: Tensor
    """(B, F, 32) of the tempo, see :func:`~motionbeat_upstream.tracking.tempo.tempo_class`."""


class BeatHeads(nn.Module):
    """Linear heads on (B, F, D) frames for beats, downbeats, position in the bar, metre and tempo [O].

    They see no grid. They are linear, so that what they predict must be plain in the trunk's last state,
    which probes and the frame-level contrast use as well.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.output = nn.Linear(dim, sum(BEAT_OUTPUTS))

    def forward(self, frames: Tensor) -> BeatLogits:
        """Logits of (B, F, D) frames, in float32."""
        logits = self.output(frames).float()
        beat, downbeat, position, metre, tempo = logits.split(BEAT_OUTPUTS, -1)
        return BeatLogits(beat[..., 0], downbeat[..., 0], position, metre, tempo)


@dataclass(frozen=True)
class FrameFeatures:
    """Outputs of the tower without a grid; everything is 0 beyond a clip's end."""

    hidden_states: list[Tensor]
    """The trunk's states, each (B, F, D); none where only the heads' outputs were asked for."""
    frame_lengths: Tensor
    """(B,) frames of each clip: ceil(samples / 320)."""
    onset_envelope: Tensor
    """(B, 2F) onset strength at 100 Hz, at least 0."""
    pulses: Tensor
    """(B, F) logits at 50 Hz of the motion's contact pulses, predicted from the music."""
    beats: BeatLogits | None
    """Logits of the beat heads at 50 Hz; None for a tower without them."""

    @property
    def pulse_activation(self) -> Tensor:
        """(B, F) float32 in [0, 1] at 50 Hz: the probability of a pulse."""
        return self.pulses.float().sigmoid() * length_mask(self.frame_lengths, self.pulses.shape[1])


@dataclass(frozen=True)
class MusicFeatures(FrameFeatures):
    """Outputs of the tower for a batch; everything is 0 beyond a clip's end.

    ``hidden_states`` are the trunk's states, then the token layers' spread over their frames.
    """

    embedding: Tensor
    """(B, E) the pooled embedding z_a, not normalised."""
    beat_tokens: Tensor
    """(B, N, D) the last layer's beat-synchronous tokens."""
    tokens: Tokens
    """Where the tokens lie in time and in the bar."""
    grids: list[Grid]
    """The grid the tokens were cut on, one a clip."""


class MusicTower(nn.Module):
    """Front end, frame trunk [O], beat segmentation [P], phase-rotated token layers [P], pooling [P]."""

    def __init__(self, config: MusicTowerConfig) -> None:
        super().__init__()
        config.validate()
        self.config = config
        self.trunk = BottleneckTrunk(config) if config.trunk == "bottleneck" else FrameTrunk(config)
        self.encoder = TokenEncoder(config)
        self.embed = nn.Sequential(
            nn.Linear(config.dim, config.dim), nn.GELU(), nn.Linear(config.dim, config.embedding_dim)
        )
        self.pulse_head = nn.Linear(config.dim, 1)
        # Last, so that the other weights of a seed are the same with and without these heads.
        self.beat_heads = BeatHeads(config.dim) if config.beat_heads else None

    @outside_graphs(callees=False)
    def forward(
        self,
        wav: Tensor,
        lengths: Tensor,
        grids: Sequence[Grid] | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
        hints: Hints = ANY,
    ) -> MusicFeatures:
        """Features of a padded batch, for each clip the same as if it were alone.

        Args:
            wav: (B, T) at 16 kHz, 0 beyond a clip's length.
            lengths: (B,) samples of each clip, int64, at least 1.
            grids: beats and bars of each clip where they are known; else they are estimated from
                what the configuration's ``grid_from`` says.
            augment: changes the (B, 2F, n_mels) log-mel that the trunk is given, in training.
            hints: what is known of tempo and metre, for a grid that is estimated from the beat heads.
        """
        sound = spectra(wav, lengths, self.config.n_mels)
        frames = self._frames(*sound, augment)
        states = frames.hidden_states
        grids, tokens, table = self._cut(sound, frames, lengths, grids, hints)
        layers = self.encoder(pool(states[-1], table), tokens.phase, tokens.bar, tokens.mask)
        pooled = layers[-1].sum(1) / tokens.mask.sum(1, keepdim=True)
        return MusicFeatures(
            hidden_states=states + [spread(layer, table) for layer in layers],
            frame_lengths=frames.frame_lengths,
            onset_envelope=frames.onset_envelope,
            pulses=frames.pulses,
            beats=frames.beats,
            embedding=self.embed(pooled),
            beat_tokens=layers[-1],
            tokens=tokens,
            grids=grids,
        )

    @outside_graphs(callees=True)
    def _cut(
        self,
        sound: tuple[Tensor, Tensor, Tensor],
        frames: FrameFeatures,
        lengths: Tensor,
        known: Sequence[Grid] | None,
        hints: Hints,
    ) -> tuple[list[Grid], Tokens, Overlaps]:
        """The grids, estimated unless they are known; the tokens cut on them; their overlaps with frames."""
        durations = [length / SAMPLE_RATE for length in lengths.tolist()]
        grids = list(_estimated(sound, frames, durations, *self._way, hints) if known is None else known)
        tokens = cut_tokens(grids, durations, self.config.subdivisions)
        table = overlaps(tokens, frames.pulses.shape[1]).to(lengths.device)
        return grids, tokens.to(lengths.device), table

    def encode_frames(
        self, wav: Tensor, lengths: Tensor, augment: Callable[[Tensor], Tensor] | None = None
    ) -> FrameFeatures:
        """What needs no grid: the trunk and its heads; the arguments are those of :meth:`forward`."""
        return self._frames(*spectra(wav, lengths, self.config.n_mels), augment)

    @property
    def _way(self) -> tuple[str, float]:
        return self.config.grid_from, self.config.grid_trust

    def estimate_grid(self, wav: Tensor, hints: Hints = ANY) -> Grid:
        """The grid that the tower cuts one waveform (T,) at 16 kHz on, with no more work than it takes."""
        return self.estimate_grids(wav[None], torch.tensor([len(wav)], device=wav.device), hints=hints)[0][0]

    @torch.inference_mode()
    def estimate_grids(
        self,
        wav: Tensor,
        lengths: Tensor,
        ways: Sequence[tuple[str, float]] | None = None,
        hints: Hints = ANY,
    ) -> list[list[Grid]]:
        """The grids of a padded batch by each of several ways.

        Args:
            wav: (B, T) at 16 kHz, 0 beyond a clip's length.
            lengths: (B,) samples of each clip, int64.
            ways: a ``grid_from`` with a ``grid_trust`` each; by default the configuration's alone. The
                weights of the tower are not needed for ``onsets``.
            hints: what is known of tempo and metre, for grids from the beat heads.

        Returns:
            For each way the grids of the clips.
        """
        ways = [self._way] if ways is None else ways
        durations = [length / SAMPLE_RATE for length in lengths.tolist()]
        sound = spectra(wav, lengths, self.config.n_mels)
        frames = self._frame_outputs(*sound) if any(source != "onsets" for source, _ in ways) else None
        return [_estimated(sound, frames, durations, *way, hints) for way in ways]

    @torch.inference_mode()
    def beat_activations(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        """The (F,) logits of beats and of downbeats at 50 Hz of one waveform (T,) at 16 kHz.

        Frame k is centred at (k + 0.5) · 20 ms.

        Raises:
            ConfigError: the tower has no beat heads.
        """
        if self.beat_heads is None:
            raise ConfigError(
                f"the {self.config.arch} tower has no beat heads; use a checkpoint that was trained with them"
            )
        lengths = torch.tensor([len(wav)], device=wav.device)
        beats = self._frame_outputs(*spectra(wav[None], lengths, self.config.n_mels)).beats
        assert beats is not None
        return beats.beat[0], beats.downbeat[0]

    def _frame_outputs(self, mel: Tensor, mel_lengths: Tensor, onset: Tensor) -> FrameFeatures:
        """The heads' outputs without the trunk's states, ``STRETCH`` frames at a time: an hour's states are
        1 GB."""
        # The stem sees a frame or two more than the layers.
        reach, count = self.config.trunk_reach + 2, mel.shape[1] // 2
        pulses, beats = [], []
        for first in range(0, count, STRETCH):
            low = max(0, first - reach)
            seen = slice(2 * low, 2 * (first + STRETCH + reach))
            lengths = (mel_lengths - 2 * low).clamp(0, mel[:, seen].shape[1])
            frames = self._frames(mel[:, seen], lengths, onset[:, seen])
            own = slice(first - low, first - low + STRETCH)
            pulses.append(frames.pulses[:, own])
            if frames.beats is not None:
                beats.append([getattr(frames.beats, head.name)[:, own] for head in fields(BeatLogits)])
        return FrameFeatures(
            [],
            torch.div(mel_lengths, 2, rounding_mode="floor"),
            onset,
            torch.cat(pulses, 1),
            BeatLogits(*(torch.cat(parts, 1) for parts in zip(*beats, strict=True))) if beats else None,
        )

    def _frames(
        self,
        mel: Tensor,
        mel_lengths: Tensor,
        onset: Tensor,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> FrameFeatures:
        """The trunk's states and the outputs of its heads."""
        if augment is not None:
            mel = augment(mel) * length_mask(mel_lengths, mel.shape[1])[..., None]
        states = self.trunk(mel.to(next(self.trunk.parameters()).dtype), mel_lengths)
        lengths = torch.div(mel_lengths, 2, rounding_mode="floor")
        pulses = self.pulse_head(states[-1])[..., 0] * length_mask(lengths, states[-1].shape[1])
        beats = None if self.beat_heads is None else self.beat_heads(states[-1])
        return FrameFeatures(states, lengths, onset, pulses, beats)


def _estimated(
    sound: tuple[Tensor, Tensor, Tensor],
    frames: FrameFeatures | None,
    durations: Sequence[float],
    source: str,
    trust: float,
    hints: Hints,
) -> list[Grid]:
    """Beats and bars of each clip by one way, from the spectra and, unless that is ``onsets``, the frames."""
    mel, mel_lengths, onset = sound
    # Half precision is too coarse for beats.
    with torch.autocast(mel.device.type, enabled=False):
        if source == "heads" and frames is not None and frames.beats is not None:
            heads = frames.beats
            logits = heads.beat.detach(), heads.downbeat.detach(), heads.tempo.detach()
            return decode_grids(*logits, mel, mel_lengths, durations, hints=hints)
        pulses = None
        if source == "pulses" and frames is not None:
            pulses = ((frames.pulses.detach().float() / PULSE_STEP).round() * PULSE_STEP).sigmoid()
        return estimate_grids(onset, mel, mel_lengths, durations, trust=trust, pulses=pulses)


def untrained_music_tower(config: MusicTowerConfig, seed: int = 0) -> MusicTower:
    """A tower at its random initialisation, the same at every call; the caller's generator is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MusicTower(config)
