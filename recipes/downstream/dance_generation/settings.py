"""The settings of dance_generation, as ``config.yaml`` gives them under ``downstream_expert``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from motionbeat_upstream.config import LARGEST
from recipes.downstream.settings_values import SettingsError, read_values

LOSSES = ("clean", "velocity", "joints", "contact", "guess")

BODIES = ("auto", "joints", "rotations")


@dataclass(frozen=True)
class DataSettings:
    """``datarc``: the corpus and how it is cut."""

    root: str = ""
    """Folder of a corpus of motion_data."""
    body: str = "auto"
    """rotations (EDGE's 151 numbers), joints, or auto: rotations where the motions have them."""
    slice_seconds: float = 5.0
    """Length of a slice."""
    stride_seconds: float = 0.5
    """Slices begin at multiples of it."""
    longest_seconds: float = 20.0
    """The upstream hears so much of a pair at once, at most."""
    pairs_a_step: int = 4
    """Pairs of a training step, each heard whole once."""
    slices_a_pair: int = 4
    """Slices cut from each."""
    eval_pairs: int = 40
    """Pairs danced in an evaluation, at most."""
    eval_batch_size: int = 20
    """Pairs danced at once."""
    memory_megabytes: float = 4096.0
    """Decoded pairs kept in memory; an hour is 260 MB."""


@dataclass(frozen=True)
class ModelSettings:
    """``modelrc``: the denoiser."""

    width: int = 96
    layers: int = 3
    heads: int = 4
    hidden: int = 384
    """Of each feed-forward part."""
    dropout: float = 0.0
    frame_sum: bool = True
    """Whether frames of music are also added to the motion's own; EDGE has cross-attention alone."""
    reach: int = 9
    """Frames of a convolution beside self-attention, odd; 0 for none, as EDGE has it."""
    filtered: bool = True
    """Whether filters of the noisy slice are added to what the decoder says; EDGE has none."""
    average_decay: float = 0.995
    """Of the moving average of the weights, a step; dances are made with the average."""


@dataclass(frozen=True)
class DiffusionSettings:
    """``diffusionrc``: noise, losses and how a dance is drawn."""

    levels: int = 1000
    """Steps of noise in training, on the cosine schedule."""
    level_draws: int = 2
    """The step of noise is the largest of so many draws: with 2 high noise, where the music decides, is
    learned more often [O]; with 1 all alike, as in EDGE."""
    steps: int = 50
    """Steps of DDIM when a dance is drawn."""
    guidance: float = 2.0
    """1 follows the music as learned; more exaggerates what it changes; 0 does not listen."""
    unheard: float = 0.25
    """Share of training slices without music, which guidance needs."""
    given: float = 0.5
    """Share of training slices with frames that are given, from which a dance goes on [O]."""
    clean: float = 0.636
    """Weight of the loss on the body's numbers, as EDGE has it."""
    velocity: float = 6.0
    """Of their change from frame to frame."""
    joints: float = 0.646
    """Of the joints' places in metres."""
    contact: float = 100.0
    """Of the feet's movement while they are said to stand, in metres a frame."""
    guess: float = 1.0
    """Of what the music alone says of the dance, without the noisy motion [O]; EDGE has no such loss."""


@dataclass(frozen=True)
class TaskSettings:
    """Everything under ``downstream_expert``."""

    datarc: DataSettings = field(default_factory=DataSettings)
    modelrc: ModelSettings = field(default_factory=ModelSettings)
    diffusionrc: DiffusionSettings = field(default_factory=DiffusionSettings)


def read_settings(values: Mapping[str, Any], inference: bool = False) -> TaskSettings:
    """Settings from the plain values of a YAML file; what is left out takes its default.

    Args:
        values: of the section.
        inference: whether a corpus is not needed.

    Raises:
        SettingsError: with every unknown key, wrong type and value out of range.
    """
    faults: list[str] = []
    settings = read_values(TaskSettings, values, faults)
    data, model, diffusion = settings.datarc, settings.modelrc, settings.diffusionrc
    rules = {
        "datarc.root must name the folder of a corpus of motion_data": bool(data.root) or inference,
        f"datarc.body must be one of {', '.join(BODIES)}": data.body in BODIES,
        "datarc.slice_seconds must lie between 1 and longest_seconds, and that be at most 3600": (
            1 <= data.slice_seconds <= data.longest_seconds <= 3600
        ),
        "datarc.stride_seconds must be above 0": data.stride_seconds > 0,
        "datarc.pairs_a_step, slices_a_pair, eval_pairs and eval_batch_size must be at least 1": (
            min(data.pairs_a_step, data.slices_a_pair, data.eval_pairs, data.eval_batch_size) >= 1
        ),
        "datarc.memory_megabytes must be at least 0": data.memory_megabytes >= 0,
        f"modelrc.width, layers, heads and hidden must lie between 1 and {LARGEST}": (
            min(model.width, model.layers, model.heads, model.hidden) >= 1
            and max(model.width, model.layers, model.heads, model.hidden) <= LARGEST
        ),
        "modelrc.heads must divide width, and width be even": (
            model.heads >= 1 and model.width % model.heads == 0 and model.width % 2 == 0
        ),
        "modelrc.reach must be odd, or 0": model.reach == 0 or (model.reach > 0 and model.reach % 2 == 1),
        "modelrc.dropout and average_decay must lie in [0, 1)": (
            0 <= model.dropout < 1 and 0 <= model.average_decay < 1
        ),
        "diffusionrc.level_draws must be at least 1": diffusion.level_draws >= 1,
        "diffusionrc.steps must lie between 1 and levels, and those be at most 100,000": (
            1 <= diffusion.steps <= diffusion.levels <= 100_000
        ),
        "diffusionrc.unheard and given must lie in [0, 1]": (
            0 <= diffusion.unheard <= 1 and 0 <= diffusion.given <= 1
        ),
        "diffusionrc: guidance and the weights of losses must be at least 0": (
            min(diffusion.guidance, *(getattr(diffusion, name) for name in LOSSES)) >= 0
        ),
    }
    faults = faults or [rule for rule, kept in rules.items() if not kept]
    if faults:
        raise SettingsError("dance_generation, downstream_expert: " + "; ".join(faults))
    return settings
