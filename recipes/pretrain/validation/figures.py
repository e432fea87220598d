"""What the towers say of held-out clips, and every figure of it, with the audio and without."""

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
    PROBED,
    PROBED_PIECES,
    annotated_beats,
    beat_probe,
    probed_layers,
)
from recipes.pretrain.validation.head_correlation import clip_correlations, head_correlation
from recipes.results.estimates import mean_estimate

SEEN_FRAMES = 150
"""Frames of 20 ms that the frame-level projections are compared over, from where those of the motion know
nothing of its ends: over whole clips, their lengths would tell which is which without listening."""

OWN_GRID_SECONDS = 5.0
"""Length that every clip is cut to where each side has its own grid, for the same reason."""

PEAK_PROBABILITY = 0.3
"""Least activation of a beat or downbeat at validation; targets that reach over neighbours make it low."""

MUSIC = ("shared", "silence", "noise", "other_audio")
"""What the music tower is given: the audio itself, or what says nothing of the pair."""


class Figures:
    """Retrieval on a shared grid and on own grids, with the audio and without, heads and a beat probe.

    Args:
        model: what is validated, in eval mode.
        section: pool, probe, and retrieval; without that the motion tower is not used.
    """

    def __init__(self, model: PretrainedModel, section: ValidationSection) -> None:
        self._model = model
        self._section = section
        self._kept: dict[str, list[Tensor]] = defaultdict(list)
        self._blind = 0
        self._features: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
        self._beats: list[NDArray[np.float64]] = []
        self._head_scores: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self._kinds: list[tuple[str, float]] = []
        self._owners: list[int] = []
        self._pieces: list[int] = []
        self._takes: list[int] = []
        self._groups: list[int] = []

    def add(self, batch: Batch) -> None:
        """Encode a batch, and keep what the figures are made of."""
        size = len(batch)
        if not self._section.retrieval:
            frames = self._model.motionbeat.encode_music_frames(batch.wav, batch.wav_lengths).features
            self._keep_beats(frames, batch)
            self._keep_features(frames, batch)
            self._pieces += batch.pieces.tolist()
            return
        music, motion = self._model.encode(batch)
        self._keep_beats(music.features, batch)
        self._keep_similarities("shared", music, motion, batch)
        self._keep("motion", motion.joint_embedding[:size])
        self._blind = self._model.motionbeat.motion.reach
        self._frames("frames_motion", motion.frames[:size])
        generator = torch.Generator().manual_seed(len(self._pieces))
        blanks = {
            "silence": silence(batch.wav, batch.wav_lengths),
            "noise": noise(batch.wav, batch.wav_lengths, generator),
            "other_audio": other_audio(batch.wav, batch.wav_lengths, batch.pieces, batch.takes, generator)[0],
        }
        for name, wav in blanks.items():
            side = self._model.motionbeat.encode_music(wav, batch.wav_lengths, batch.grids)
            self._keep_similarities(name, side, motion, batch)
        self._keep_own_grids(batch)
        self._keep_curves(music, motion, batch)
        self._kinds += negative_kinds(batch.negatives)
        self._pieces += batch.pieces.tolist()
        self._takes += batch.takes.tolist()
        tokens = music.features.tokens.mask.sum(1).tolist()
        self._groups += [
            grid.metre * 100_000 + count for grid, count in zip(batch.grids, tokens, strict=True)
        ]

    def compute(self) -> dict[str, float]:
        """Every figure by its name; in full precision, whatever the clips were encoded in."""
        with torch.autocast("cpu", enabled=False):
            return self._figures()

    def _figures(self) -> dict[str, float]:
        figures = self._head_figures() | self._probe_figures()
        if not self._section.retrieval:
            return figures
        lengths = self._all("lengths").long()
        seen = torch.nonzero(lengths >= SEEN_FRAMES + 2 * self._blind)[:, 0]
        long = torch.nonzero(lengths >= OWN_GRID_SECONDS * FRAME_RATE)[:, 0]
        for name in MUSIC:
            figures |= self._retrieval(name, self._all(name) @ self._all("motion").T)
            table = self._all(f"frames_{name}") @ self._all("frames_motion").T
            figures |= self._retrieval(f"frames_{name}", table, seen)
            figures |= self._hard(f"hard_{name}", self._all(f"own_{name}"), self._all(f"hard_{name}"))
        for name, side in (("own_grids", "music"), ("own_grids_silence", "silence")):
            table = self._all(f"own_grids_{side}") @ self._all("own_grids_motion").T
            figures |= self._retrieval(name, table, long)
        figures |= self._no_learning(seen)
        for name in ("heard_onsets", "heard_contacts", "onsets", "contacts"):
            figures |= head_correlation(f"head.{name}", self._all(f"head_{name}").numpy(), self._pieces)
        return figures

    def _head_figures(self) -> dict[str, float]:
        """F of beats and downbeats at the peaks of the heads' activations, the mean over clips by piece."""
        figures: dict[str, float] = {}
        for name, scores in self._head_scores.items():
            values, pieces = zip(*scores, strict=True)
            figures |= mean_estimate(values, np.array(pieces)).metrics(f"heads.{name}_f")
        return figures

    def _probe_figures(self) -> dict[str, float]:
        figures: dict[str, float] = {}
        with_beats = {piece for piece, beats in zip(self._pieces, self._beats, strict=False) if len(beats)}
        if self._section.probe and len(with_beats) >= PROBED_PIECES:
            for layer, features in self._features.items():
                probe = beat_probe(features, self._beats, self._pieces[: len(features)])
                figures |= probe.f.metrics(f"probe.{layer}.beat_f")
        return figures

    def _keep_beats(self, features: FrameFeatures, batch: Batch) -> None:
        """F of the heads' peaks, of clips whose beats, or bars, are known."""
        if features.beats is None:
            return
        targets = batch.beats
        for name, logits, known, target in (
            ("beat", features.beats.beat, targets.has_beats, targets.beat),
            ("downbeat", features.beats.downbeat, targets.has_bars, targets.downbeat),
        ):
            for row in torch.nonzero(known)[:, 0].tolist():
                length = int(features.frame_lengths[row])
                peaks = pick_peaks(logits[row, :length].float().cpu(), PEAK_PROBABILITY, FRAME_RATE)
                true = (torch.nonzero(target[row, :length])[:, 0].cpu().numpy() + 0.5) / FRAME_RATE
                piece = int(batch.pieces[row])
                if len(true):
                    self._head_scores[name].append((f_measure(true, peaks), piece))

    def _keep(self, name: str, rows: Tensor) -> None:
        self._kept[name].append(rows.detach().float().cpu())

    def _all(self, name: str) -> Tensor:
        return torch.cat(self._kept[name])

    def _frames(self, name: str, frames: Tensor) -> None:
        """(B, F, P) projections as one vector a clip, of length 1; of those long enough, all equally long."""
        seen = frames[:, self._blind : self._blind + SEEN_FRAMES].float()
        seen = F.pad(seen, (0, 0, 0, SEEN_FRAMES - seen.shape[1]))
        self._keep(name, F.normalize(seen.flatten(1), dim=1))

    def _keep_similarities(self, name: str, music: MusicSide, motion: MotionSide, batch: Batch) -> None:
        size, owner = len(batch), batch.owner
        self._keep(name, music.joint_embedding)
        self._keep(f"own_{name}", (music.joint_embedding * motion.joint_embedding[:size]).sum(-1))
        self._keep(
            f"hard_{name}", (music.joint_embedding[owner[size:]] * motion.joint_embedding[size:]).sum(-1)
        )
        self._frames(f"frames_{name}", music.frames)
        if name == "shared":
            self._owners += (owner[size:] + len(self._pieces)).tolist()

    def _keep_own_grids(self, batch: Batch) -> None:
        """Each side on the grid that it has by itself; the music's is estimated, also where it is blank."""
        size, frames = len(batch), round(OWN_GRID_SECONDS * FRAME_RATE)
        lengths = batch.wav_lengths.clamp(max=frames * STRIDE)
        for name, wav in (("music", batch.wav), ("silence", silence(batch.wav, lengths))):
            heard = self._model.motionbeat.encode_music(wav[:, : frames * STRIDE], lengths, own_grids=True)
            self._keep(f"own_grids_{name}", heard.joint_embedding)
            if name == "music":
                self._keep_features(heard.features, batch)
        danced = self._model.motionbeat.encode_motion(
            batch.joints[:size, :frames],
            batch.pulses[:size, :frames],
            batch.has_joints[:size],
            batch.frame_lengths.clamp(max=frames),
            batch.motion_grids,
            own_grids=True,
        )
        self._keep("own_grids_motion", danced.joint_embedding)

    def _keep_curves(self, music: MusicSide, motion: MotionSide, batch: Batch) -> None:
        """What heads and probe are judged by."""
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
            self._kept[f"head_{name}"].append(correlations.cpu())
        mask = length_mask(lengths, onsets.shape[1])
        pulses = batch.pulses.amax(-1)
        for name, curve in (("onset", onsets * mask), ("contact", pulses[:size]), ("hard", pulses[size:])):
            self._keep(f"{name}_curve", curve)
        self._keep("lengths", lengths)

    def _keep_features(self, features: FrameFeatures, batch: Batch) -> None:
        """What the probe is fitted to: features on the grid that is heard, never on the annotated one."""
        layers = probed_layers(self._model.motionbeat.music.config)
        for row, length in enumerate(features.frame_lengths.tolist()):
            if len(self._beats) == PROBED:
                break
            self._beats.append(annotated_beats(batch, row))
            for layer, index in layers.items():
                if layer == "last" and not self._section.retrieval:
                    continue
                state = features.hidden_states[index][row, :length]
                self._features[layer].append(state.float().cpu().numpy())

    def _retrieval(self, name: str, similarity: Tensor, rows: Tensor | None = None) -> dict[str, float]:
        """Figures of a table, or of some of its rows and columns."""
        kept = torch.arange(len(similarity)) if rows is None else rows
        pieces, takes, groups = (
            np.array(numbers, dtype=np.int64)[kept.numpy()]
            for numbers in (self._pieces, self._takes, self._groups)
        )
        found = retrieval(similarity[kept][:, kept].numpy(), pieces, takes, groups, self._section.pool)
        return {f"{name}.{figure}": value for figure, value in retrieval_metrics(found).items()}

    def _hard(self, name: str, own: Tensor, hard: Tensor) -> dict[str, float]:
        owner = np.array(self._owners, dtype=np.int64)
        found = hard_retrieval(own.numpy(), hard.numpy(), owner, self._kinds, self._pieces)
        return {f"{name}.{figure}": value for figure, value in hard_retrieval_metrics(found).items()}

    def _no_learning(self, seen: Tensor) -> dict[str, float]:
        """The better of two forgivenesses: over whole clips, over what the projections are compared by,
        and against hard negatives."""
        onset = cat_padded(self._kept["onset_curve"])
        contact = cat_padded(self._kept["contact_curve"] + self._kept["hard_curve"])
        lengths = self._all("lengths").long()
        owner = torch.tensor(self._owners, dtype=torch.long)
        figures: dict[str, float] = {}
        size, part = len(onset), slice(self._blind, self._blind + SEEN_FRAMES)
        alike = torch.full((size,), SEEN_FRAMES)
        for tolerance in TOLERANCES:
            whole = pair_correlations(onset, contact, lengths, owner, tolerance)
            short = onset_contact_similarity(onset[:, part], contact[:size, part], alike, alike, tolerance)
            found = (
                self._retrieval("no_learning", whole.table)
                | self._retrieval("frames_no_learning", short, seen)
                | self._hard("hard_no_learning", whole.own, whole.hard)
            )
            for view, figure in (
                ("no_learning", "recall_at_1"),
                ("frames_no_learning", "recall_at_1"),
                ("hard_no_learning", "accuracy"),
            ):
                if found.get(f"{view}.{figure}", 0.0) >= figures.get(f"{view}.{figure}", -1.0):
                    figures |= {name: value for name, value in found.items() if name.startswith(f"{view}.")}
        return figures
