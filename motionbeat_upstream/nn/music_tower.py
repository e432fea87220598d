"""The music tower, from a waveform to features per frame, beat tokens and one embedding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from motionbeat_upstream.config import SAMPLE_RATE, MusicTowerConfig
from motionbeat_upstream.errors import ConfigError
from motionbeat_upstream.nn.beat_pooling import Overlaps, overlaps, pool, spread
from motionbeat_upstream.nn.frame_trunk import BottleneckTrunk, FrameTrunk, frame_states
from motionbeat_upstream.nn.token_encoder import TokenEncoder
from motionbeat_upstream.no_compile import no_compile
from motionbeat_upstream.tracking.bar_pointer import NO_HINTS, Hints
from motionbeat_upstream.tracking.beat_estimation import estimate_grids
from motionbeat_upstream.tracking.decoded_grid import decode_grids
from motionbeat_upstream.tracking.frontend import length_mask, spectra
from motionbeat_upstream.tracking.grid import METRES, Grid, Tokens, cut_tokens
from motionbeat_upstream.tracking.tempo import TEMPO_CLASSES

BEAT_OUTPUTS = 1, 1, max(METRES), len(METRES), TEMPO_CLASSES
"""Number of logits of each beat head, in the order of :class:`BeatLogits`."""

PULSE_STEP = 1 / 16
"""Step to which logits of pulses are rounded before beats are estimated from them. The trunk's outputs differ
by about 1e-6 between batches; after rounding, one frame in about 50,000 still differs [O]."""

CHUNK_FRAMES = 6000
"""Frames per chunk when only the outputs of the heads are computed."""


@dataclass(frozen=True)
class BeatLogits:
    """Logits of the beat heads at 50 Hz, undefined beyond a clip's end."""

    beat: Tensor
    """(B, F) of a beat, downbeats included."""
    downbeat: Tensor
    """(B, F) of a downbeat."""
    position: Tensor
    """(B, F, 7) of the position in the bar, from 1, of the last beat before the frame."""
    metre: Tensor
    """(B, F, 6) of the metre, one of ``METRES``."""
    tempo: Tensor
    """(B, F, 32) of the tempo, see :func:`~motionbeat_upstream.tracking.tempo.tempo_class`."""


class BeatHeads(nn.Module):
    """Linear heads on (B, F, D) frames for beats, downbeats, position in the bar, metre and tempo [O].

    They do not see the grid. They are linear, so that the trunk's last state, which probes and the
    frame-level contrast also use, must contain their targets explicitly.
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
    """Outputs of the tower without a grid; all are 0 beyond a clip's end."""

    hidden_states: list[Tensor]
    """States of the front end, if the configuration has it, and the trunk, each (B, F, D); empty if only the
    heads' outputs were computed."""
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
    """Outputs of the tower for a batch; all are 0 beyond a clip's end.

    ``hidden_states`` are the states of the front end and the trunk, then those of the token layers, spread
    over frames.
    """

    embedding: Tensor
    """(B, E) the pooled embedding z_a, not normalised."""
    beat_tokens: Tensor
    """(B, N, D) beat-synchronous tokens of the last layer."""
    tokens: Tokens
    """Times, bars and phases of the tokens."""
    grids: list[Grid]
    """The grid of each clip."""


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
        # Created last, so that a seed gives the same other weights with and without these heads.
        self.beat_heads = BeatHeads(config.dim) if config.beat_heads else None

    @no_compile(recursive=False)
    def forward(
        self,
        wav: Tensor,
        lengths: Tensor,
        grids: Sequence[Grid] | None = None,
        augment: Callable[[Tensor], Tensor] | None = None,
        hints: Hints = NO_HINTS,
    ) -> MusicFeatures:
        """Compute the features of a padded batch; those of a clip do not depend on the others.

        Args:
            wav: (B, T) at 16 kHz, 0 beyond a clip's length.
            lengths: (B,) samples of each clip, int64, at least 1.
            grids: known beats and bars of each clip; by default they are estimated as the configuration's
                ``grid_from`` says.
            augment: augmentation of the (B, 2F, n_mels) log-mel before the trunk, in training.
            hints: range of tempi and metres, for grids from the beat heads.
        """
        mel, mel_lengths, onset = spectra(wav, lengths, self.config.n_mels)
        frames = self._frames(mel, mel_lengths, onset, augment)
        states = frames.hidden_states
        grids, tokens, table = self._segment(mel, mel_lengths, frames, lengths, grids, hints)
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

    @no_compile(recursive=True)
    def _segment(
        self,
        mel: Tensor,
        mel_lengths: Tensor,
        frames: FrameFeatures,
        lengths: Tensor,
        grids: Sequence[Grid] | None,
        hints: Hints,
    ) -> tuple[list[Grid], Tokens, Overlaps]:
        """Return the grids, estimated if they are not given, their tokens, and the overlaps with frames."""
        durations = [length / SAMPLE_RATE for length in lengths.tolist()]
        if grids is None:
            source, trust = self.config.grid_from, self.config.grid_trust
            grids = _estimate_grids(mel, mel_lengths, frames, durations, source, trust, hints)
        grids = list(grids)
        tokens = cut_tokens(grids, durations, self.config.subdivisions)
        table = overlaps(tokens, frames.pulses.shape[1]).to(lengths.device)
        return grids, tokens.to(lengths.device), table

    def encode_frames(
        self, wav: Tensor, lengths: Tensor, augment: Callable[[Tensor], Tensor] | None = None
    ) -> FrameFeatures:
        """Compute the outputs of the trunk and its heads, without a grid; the arguments are those of
        :meth:`forward`."""
        return self._frames(*spectra(wav, lengths, self.config.n_mels), augment)

    def estimate_grid(self, wav: Tensor, hints: Hints = NO_HINTS) -> Grid:
        """Estimate the grid of one waveform (T,) at 16 kHz, without the token layers."""
        return self.estimate_grids(wav[None], torch.tensor([len(wav)], device=wav.device), hints=hints)[0][0]

    @torch.inference_mode()
    def estimate_grids(
        self,
        wav: Tensor,
        lengths: Tensor,
        sources: Sequence[tuple[str, float]] | None = None,
        hints: Hints = NO_HINTS,
    ) -> list[list[Grid]]:
        """Estimate the grids of a padded batch from one or several sources.

        Args:
            wav: (B, T) at 16 kHz, 0 beyond a clip's length.
            lengths: (B,) samples of each clip, int64.
            sources: pairs of ``grid_from`` and ``grid_trust``; by default those of the configuration. For
                ``onsets`` the tower need not be trained.
            hints: range of tempi and metres, for grids from the beat heads.

        Returns:
            The grids of the clips for each source.
        """
        if sources is None:
            sources = [(self.config.grid_from, self.config.grid_trust)]
        durations = [length / SAMPLE_RATE for length in lengths.tolist()]
        mel, mel_lengths, onset = spectra(wav, lengths, self.config.n_mels)
        if all(source == "onsets" for source, _ in sources):
            # The heads are not needed.
            empty = torch.zeros(0, device=mel.device)
            frames = FrameFeatures([], empty, onset, empty, None)
        else:
            frames = self._head_outputs(mel, mel_lengths, onset)
        return [
            _estimate_grids(mel, mel_lengths, frames, durations, source, trust, hints)
            for source, trust in sources
        ]

    @torch.inference_mode()
    def beat_activations(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the (F,) logits of beats and of downbeats at 50 Hz of one waveform (T,) at 16 kHz.

        Frame k is centred at (k + 0.5) · 20 ms.

        Raises:
            ConfigError: the tower has no beat heads.
        """
        if self.beat_heads is None:
            raise ConfigError(
                f"the {self.config.arch} tower has no beat heads; use a checkpoint trained with them"
            )
        lengths = torch.tensor([len(wav)], device=wav.device)
        beats = self._head_outputs(*spectra(wav[None], lengths, self.config.n_mels)).beats
        assert beats is not None
        return beats.beat[0], beats.downbeat[0]

    def _head_outputs(self, mel: Tensor, mel_lengths: Tensor, onset: Tensor) -> FrameFeatures:
        """Compute the outputs of the heads in chunks, without the states of the trunk, which take 1 GB an
        hour."""
        # The receptive field of the stem adds at most two frames to that of the layers.
        reach, count = self.config.trunk_reach + 2, mel.shape[1] // 2
        pulses, beats = [], []
        for first in range(0, count, CHUNK_FRAMES):
            start = max(0, first - reach)
            context = slice(2 * start, 2 * (first + CHUNK_FRAMES + reach))
            lengths = (mel_lengths - 2 * start).clamp(0, mel[:, context].shape[1])
            frames = self._frames(mel[:, context], lengths, onset[:, context])
            chunk = slice(first - start, first - start + CHUNK_FRAMES)
            pulses.append(frames.pulses[:, chunk])
            if frames.beats is not None:
                beats.append([getattr(frames.beats, head.name)[:, chunk] for head in fields(BeatLogits)])
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
        """Compute the states of the trunk and the outputs of its heads."""
        if augment is not None:
            mel = augment(mel) * length_mask(mel_lengths, mel.shape[1])[..., None]
        mel = mel.to(next(self.trunk.parameters()).dtype)
        states = frame_states(self.trunk, self.config, mel, mel_lengths)
        lengths = torch.div(mel_lengths, 2, rounding_mode="floor")
        pulses = self.pulse_head(states[-1])[..., 0] * length_mask(lengths, states[-1].shape[1])
        beats = None if self.beat_heads is None else self.beat_heads(states[-1])
        return FrameFeatures(states, lengths, onset, pulses, beats)


def _estimate_grids(
    mel: Tensor,
    mel_lengths: Tensor,
    frames: FrameFeatures,
    durations: Sequence[float],
    source: str,
    trust: float,
    hints: Hints,
) -> list[Grid]:
    """Estimate the grid of each clip from one source; see ``grid_from`` and ``grid_trust``."""
    # Half precision is too coarse for beats.
    with torch.autocast(mel.device.type, enabled=False):
        heads = frames.beats
        if source == "heads" and heads is not None:
            logits = heads.beat.detach(), heads.downbeat.detach(), heads.tempo.detach()
            return decode_grids(*logits, mel, mel_lengths, durations, hints=hints)
        pulses = None
        if source == "pulses":
            pulses = ((frames.pulses.detach().float() / PULSE_STEP).round() * PULSE_STEP).sigmoid()
        return estimate_grids(frames.onset_envelope, mel, mel_lengths, durations, trust=trust, pulses=pulses)


def untrained_music_tower(config: MusicTowerConfig, seed: int = 0) -> MusicTower:
    """Create a tower at random initialisation, without changing the state of the random generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MusicTower(config)
