"""Metrics of both towers on held-out clips, with the audio and with blanked audio."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from motion_data.pipeline.batch import Batch
from motionbeat_upstream.config import FRAME_RATE, STRIDE
from motionbeat_upstream.nn.motionbeat import MotionSide, MusicSide
from motionbeat_upstream.nn.music_tower import FrameFeatures
from motionbeat_upstream.tracking.frontend import length_mask
from recipes.downstream.beat_tracking.decoding import pick_peaks
from recipes.downstream.beat_tracking.scores import f_measure
from recipes.pairing.hard_retrieval import hard_retrieval, hard_retrieval_metrics, negative_kinds
from recipes.pairing.no_learning import TOLERANCES, cat_padded, onset_contact_similarity, pair_correlations
from recipes.pairing.onset_curve import onset_target
from recipes.pairing.retrieval import retrieval, retrieval_metrics
from recipes.pairing.silence import noise, other_audio, silence
from recipes.pretrain.config import ValidationSection
from recipes.pretrain.model import PretrainedModel
from recipes.pretrain.validation.beat_probe import (
    MAX_PROBED_CLIPS,
    MIN_PROBED_PIECES,
    annotated_beats,
    beat_probe,
    probed_layers,
)
from recipes.pretrain.validation.head_correlation import clip_correlations, head_correlation
from recipes.results.estimates import mean_estimate

COMPARED_FRAMES = 150
"""Frames of 20 ms over which frame-level projections are compared. All clips have the same length, and frames
whose motion projections depend on the padding are excluded; otherwise the length would identify the pair."""

OWN_GRID_SECONDS = 5.0
"""Length of all clips when each side has its own grid, for the same reason."""

MIN_PEAK_PROBABILITY = 0.3
"""Minimum activation of a beat or downbeat; low, because the targets are widened."""

AUDIO_CONDITIONS = ("shared", "silence", "noise", "other_audio")
"""Inputs of the music tower: the audio, or a control without information about the pair."""


class ValidationMetrics:
    """Retrieval on shared and on own grids, with the audio and with controls; heads; beat probe.

    Args:
        model: model in eval mode.
        section: settings; without ``retrieval`` the motion tower is not used.
    """

    def __init__(self, model: PretrainedModel, section: ValidationSection) -> None:
        self._model = model
        self._section = section
        self._rows: dict[str, list[Tensor]] = defaultdict(list)
        self._edge_frames = 0
        self._features: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
        self._beats: list[NDArray[np.float64]] = []
        self._head_scores: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self._kinds: list[tuple[str, float]] = []
        self._owners: list[int] = []
        self._pieces: list[int] = []
        self._takes: list[int] = []
        self._groups: list[int] = []

    def add(self, batch: Batch) -> None:
        """Encode a batch and store its embeddings and scores."""
        size = len(batch)
        if not self._section.retrieval:
            frames = self._model.motionbeat.encode_music_frames(batch.wav, batch.wav_lengths).features
            self._score_heads(frames, batch)
            self._append_features(frames, batch)
            self._pieces += batch.pieces.tolist()
            return
        music, motion = self._model.encode(batch)
        self._score_heads(music.features, batch)
        self._append_similarities("shared", music, motion, batch)
        self._append("motion", motion.joint_embedding[:size])
        self._edge_frames = self._model.motionbeat.motion.reach
        self._append_frames("frames_motion", motion.frames[:size])
        generator = torch.Generator().manual_seed(len(self._pieces))
        controls = {
            "silence": silence(batch.wav, batch.wav_lengths),
            "noise": noise(batch.wav, batch.wav_lengths, generator),
            "other_audio": other_audio(batch.wav, batch.wav_lengths, batch.pieces, batch.takes, generator)[0],
        }
        for name, wav in controls.items():
            side = self._model.motionbeat.encode_music(wav, batch.wav_lengths, batch.grids)
            self._append_similarities(name, side, motion, batch)
        self._append_own_grids(batch)
        self._append_curves(music, motion, batch)
        self._kinds += negative_kinds(batch.negatives)
        self._pieces += batch.pieces.tolist()
        self._takes += batch.takes.tolist()
        tokens = music.features.tokens.mask.sum(1).tolist()
        self._groups += [
            grid.metre * 100_000 + count for grid, count in zip(batch.grids, tokens, strict=True)
        ]

    def compute(self) -> dict[str, float]:
        """All metrics by name, computed in full precision."""
        with torch.autocast("cpu", enabled=False):
            return self._compute()

    def _compute(self) -> dict[str, float]:
        metrics = self._head_metrics() | self._probe_metrics()
        if not self._section.retrieval:
            return metrics
        lengths = self._concatenate("lengths").long()
        long_enough = torch.nonzero(lengths >= COMPARED_FRAMES + 2 * self._edge_frames)[:, 0]
        long = torch.nonzero(lengths >= OWN_GRID_SECONDS * FRAME_RATE)[:, 0]
        for name in AUDIO_CONDITIONS:
            metrics |= self._retrieval(name, self._concatenate(name) @ self._concatenate("motion").T)
            table = self._concatenate(f"frames_{name}") @ self._concatenate("frames_motion").T
            metrics |= self._retrieval(f"frames_{name}", table, long_enough)
            metrics |= self._hard(
                f"hard_{name}", self._concatenate(f"own_{name}"), self._concatenate(f"hard_{name}")
            )
        for name, side in (("own_grids", "music"), ("own_grids_silence", "silence")):
            table = self._concatenate(f"own_grids_{side}") @ self._concatenate("own_grids_motion").T
            metrics |= self._retrieval(name, table, long)
        metrics |= self._no_learning(long_enough)
        for name in ("heard_onsets", "heard_contacts", "onsets", "contacts"):
            metrics |= head_correlation(
                f"head.{name}", self._concatenate(f"head_{name}").numpy(), self._pieces
            )
        return metrics

    def _head_metrics(self) -> dict[str, float]:
        """F-measure of the peaks of the beat and downbeat activations, with intervals over pieces."""
        metrics: dict[str, float] = {}
        for name, scores in self._head_scores.items():
            values, pieces = zip(*scores, strict=True)
            metrics |= mean_estimate(values, np.array(pieces)).metrics(f"heads.{name}_f")
        return metrics

    def _probe_metrics(self) -> dict[str, float]:
        metrics: dict[str, float] = {}
        with_beats = {piece for piece, beats in zip(self._pieces, self._beats, strict=False) if len(beats)}
        if self._section.probe and len(with_beats) >= MIN_PROBED_PIECES:
            for layer, features in self._features.items():
                probe = beat_probe(features, self._beats, self._pieces[: len(features)])
                metrics |= probe.f.metrics(f"probe.{layer}.beat_f")
        return metrics

    def _score_heads(self, features: FrameFeatures, batch: Batch) -> None:
        """Score the peaks of the heads on clips with known beats, or known bars."""
        if features.beats is None:
            return
        targets = batch.beats
        for name, logits, known, target in (
            ("beat", features.beats.beat, targets.has_beats, targets.beat),
            ("downbeat", features.beats.downbeat, targets.has_bars, targets.downbeat),
        ):
            for row in torch.nonzero(known)[:, 0].tolist():
                length = int(features.frame_lengths[row])
                peaks = pick_peaks(logits[row, :length].float().cpu(), MIN_PEAK_PROBABILITY, FRAME_RATE)
                reference = (torch.nonzero(target[row, :length])[:, 0].cpu().numpy() + 0.5) / FRAME_RATE
                piece = int(batch.pieces[row])
                if len(reference):
                    self._head_scores[name].append((f_measure(reference, peaks), piece))

    def _append(self, name: str, rows: Tensor) -> None:
        self._rows[name].append(rows.detach().float().cpu())

    def _concatenate(self, name: str) -> Tensor:
        return torch.cat(self._rows[name])

    def _append_frames(self, name: str, frames: Tensor) -> None:
        """Append (B, F, P) projections as one unit vector per clip, cut to the same number of frames."""
        frames = frames[:, self._edge_frames : self._edge_frames + COMPARED_FRAMES].float()
        frames = F.pad(frames, (0, 0, 0, COMPARED_FRAMES - frames.shape[1]))
        self._append(name, F.normalize(frames.flatten(1), dim=1))

    def _append_similarities(self, name: str, music: MusicSide, motion: MotionSide, batch: Batch) -> None:
        size, owner = len(batch), batch.owner
        self._append(name, music.joint_embedding)
        self._append(f"own_{name}", (music.joint_embedding * motion.joint_embedding[:size]).sum(-1))
        self._append(
            f"hard_{name}", (music.joint_embedding[owner[size:]] * motion.joint_embedding[size:]).sum(-1)
        )
        self._append_frames(f"frames_{name}", music.frames)
        if name == "shared":
            self._owners += (owner[size:] + len(self._pieces)).tolist()

    def _append_own_grids(self, batch: Batch) -> None:
        """Encode each side on its own grid; that of the music is estimated, also for blanked audio."""
        size, frames = len(batch), round(OWN_GRID_SECONDS * FRAME_RATE)
        lengths = batch.wav_lengths.clamp(max=frames * STRIDE)
        for name, wav in (("music", batch.wav), ("silence", silence(batch.wav, lengths))):
            music_side = self._model.motionbeat.encode_music(
                wav[:, : frames * STRIDE], lengths, own_grids=True
            )
            self._append(f"own_grids_{name}", music_side.joint_embedding)
            if name == "music":
                self._append_features(music_side.features, batch)
        motion_side = self._model.motionbeat.encode_motion(
            batch.joints[:size, :frames],
            batch.pulses[:size, :frames],
            batch.has_joints[:size],
            batch.frame_lengths.clamp(max=frames),
            batch.motion_grids,
            own_grids=True,
        )
        self._append("own_grids_motion", motion_side.joint_embedding)

    def _append_curves(self, music: MusicSide, motion: MotionSide, batch: Batch) -> None:
        """Append correlations of the heads with their targets, and the curves of the no-learning baseline."""
        size, lengths = len(batch), batch.frame_lengths
        onsets = onset_target(music.features.onset_envelope, lengths)
        contacts = batch.contacts
        for name, logits, target in (
            ("heard_onsets", music.trunk_onsets, onsets),
            ("heard_contacts", music.trunk_contacts, contacts),
            ("onsets", music.onsets, onsets),
            ("contacts", motion.contacts[:size], contacts),
        ):
            correlations = clip_correlations(torch.sigmoid(logits.float()), target, lengths)
            self._rows[f"head_{name}"].append(correlations.cpu())
        mask = length_mask(lengths, onsets.shape[1])
        pulses = batch.pulses.amax(-1)
        for name, curve in (("onset", onsets * mask), ("contact", pulses[:size]), ("hard", pulses[size:])):
            self._append(f"{name}_curve", curve)
        self._append("lengths", lengths)

    def _append_features(self, features: FrameFeatures, batch: Batch) -> None:
        """Append features for the probe; they are on the estimated grid, never on the annotated one."""
        layers = probed_layers(self._model.motionbeat.music.config)
        for row, length in enumerate(features.frame_lengths.tolist()):
            if len(self._beats) == MAX_PROBED_CLIPS:
                break
            self._beats.append(annotated_beats(batch, row))
            for layer, index in layers.items():
                if layer == "last" and not self._section.retrieval:
                    continue
                state = features.hidden_states[index][row, :length]
                self._features[layer].append(state.float().cpu().numpy())

    def _retrieval(self, name: str, similarity: Tensor, rows: Tensor | None = None) -> dict[str, float]:
        """Retrieval metrics of a similarity table, or of some of its rows and columns."""
        rows = torch.arange(len(similarity)) if rows is None else rows
        pieces, takes, groups = (
            np.array(numbers, dtype=np.int64)[rows.numpy()]
            for numbers in (self._pieces, self._takes, self._groups)
        )
        result = retrieval(similarity[rows][:, rows].numpy(), pieces, takes, groups, self._section.pool)
        return {f"{name}.{metric}": value for metric, value in retrieval_metrics(result).items()}

    def _hard(self, name: str, own: Tensor, hard: Tensor) -> dict[str, float]:
        owner = np.array(self._owners, dtype=np.int64)
        result = hard_retrieval(own.numpy(), hard.numpy(), owner, self._kinds, self._pieces)
        return {f"{name}.{metric}": value for metric, value in hard_retrieval_metrics(result).items()}

    def _no_learning(self, long_enough: Tensor) -> dict[str, float]:
        """Metrics of the no-learning baseline on whole clips, on the compared frames and against hard
        negatives, each with the better of its two tolerances."""
        onset = cat_padded(self._rows["onset_curve"])
        contact = cat_padded(self._rows["contact_curve"] + self._rows["hard_curve"])
        lengths = self._concatenate("lengths").long()
        owner = torch.tensor(self._owners, dtype=torch.long)
        metrics: dict[str, float] = {}
        size, part = len(onset), slice(self._edge_frames, self._edge_frames + COMPARED_FRAMES)
        lengths_compared = torch.full((size,), COMPARED_FRAMES)
        for tolerance in TOLERANCES:
            whole = pair_correlations(onset, contact, lengths, owner, tolerance)
            short = onset_contact_similarity(
                onset[:, part], contact[:size, part], lengths_compared, lengths_compared, tolerance
            )
            candidates = (
                self._retrieval("no_learning", whole.table)
                | self._retrieval("frames_no_learning", short, long_enough)
                | self._hard("hard_no_learning", whole.own, whole.hard)
            )
            for view, metric in (
                ("no_learning", "recall_at_1"),
                ("frames_no_learning", "recall_at_1"),
                ("hard_no_learning", "accuracy"),
            ):
                if candidates.get(f"{view}.{metric}", 0.0) >= metrics.get(f"{view}.{metric}", -1.0):
                    metrics |= {
                        name: value for name, value in candidates.items() if name.startswith(f"{view}.")
                    }
        return metrics
