"""The fairseq2 recipe: what is trained, on what, and what is measured on the way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from fairseq2.checkpoint import CheckpointManager
from fairseq2.composition import register_model_family
from fairseq2.datasets import DataReader
from fairseq2.metrics.recorders import MetricRecorder
from fairseq2.recipe import EvalUnit, RecipeContext, Trainer, TrainRecipe, TrainUnit
from fairseq2.recipe.config import RegimeSection
from fairseq2.runtime.config_registry import ConfigRegistrar
from fairseq2.runtime.dependency import DependencyContainer, DependencyResolver
from fairseq2.utils.device_stat import NOOP_DEVICE_STAT_TRACKER, DeviceStatTracker
from fairseq2.world_info import WorldInfo

from motion_data.manifest import Corpus, PairSource, read_corpus
from motion_data.pipeline.batch import collate
from motion_data.pipeline.reader import ClipReader, Mixture
from motionbeat_upstream.config import ARCHITECTURES
from motionbeat_upstream.threads import use_idle_cores
from recipes.pretrain.checkpointing import PatientCommits, read_and_write_plainly
from recipes.pretrain.config import FAMILY, PretrainConfig
from recipes.pretrain.console import ConsoleRecorder, console, print_briefly
from recipes.pretrain.data_reader import PretrainReader
from recipes.pretrain.guarded_model import GuardedModel
from recipes.pretrain.initial_weights import freeze, load_initial_weights, write_init
from recipes.pretrain.metrics import register_metrics
from recipes.pretrain.model import PretrainedModel, PretrainedModelConfig
from recipes.pretrain.precision import choose_precision
from recipes.pretrain.run_folder import last_step
from recipes.pretrain.sources import training_sources
from recipes.pretrain.train_unit import PretrainUnit
from recipes.pretrain.validation.unit import DevReader, ValidationUnit


class PretrainRecipe(TrainRecipe):
    """Pretraining of both towers."""

    def register(self, container: DependencyContainer) -> None:
        """Make model, metrics and the CPU known."""
        register_model_family(
            container,
            FAMILY,
            PretrainedModel,
            PretrainedModelConfig,
            factory=PretrainedModel,
            # Harmonics and frequencies are derived from the configuration and not saved; on the meta device
            # they would become garbage.
            supports_meta=False,
        )
        register = ConfigRegistrar(container, PretrainedModelConfig)
        for name in ARCHITECTURES:
            register(name)(lambda name=name: PretrainedModelConfig(arch=name))
        register_metrics(container)
        # Called once fairseq2 has set up its own console, and before it says anything.
        print_briefly()
        container.collection.register(MetricRecorder, _console_recorder)  # type: ignore[type-abstract]
        container.register_instance(
            DeviceStatTracker,  # type: ignore[type-abstract]
            NOOP_DEVICE_STAT_TRACKER,
            key="cpu",
        )

    def create_trainer(self, context: RecipeContext) -> Trainer:
        """Put the run together."""
        config = context.config.as_(PretrainConfig)
        device = context.gangs.root.device
        # fairseq2 reads the precision when it makes the trainer, below.
        precision = choose_precision(config.trainer.mixed_precision, device)
        if config.common.torch.num_threads is None:
            use_idle_cores(context.resolver.resolve(WorldInfo).local_size)
        read_and_write_plainly(context)
        manager = context.resolver.resolve(CheckpointManager)  # type: ignore[type-abstract]
        commits = PatientCommits(manager)
        corpora = [read_corpus(folder) for folder in config.data.corpora]
        base_model = cast(PretrainedModel, context.model.base_module)
        freeze(base_model, config.init.frozen)
        if last_step(context.output_dir) is None:
            load_initial_weights(base_model, config.init)
            if context.gangs.root.rank == 0:
                write_init(context.output_dir, config.init)
        model = GuardedModel(
            context.model, config.criterion.stop_after, context.output_dir, context.gangs.root.rank
        )
        reader = training_reader(training_sources(corpora, config.data), config, context)
        unit: TrainUnit[Any] = PretrainUnit(model, config.criterion.settings, reader, commits)
        units: list[EvalUnit[Any]] = []
        readers: list[DataReader[Any]] = []
        if config.validation.clips:
            units.append(ValidationUnit(model, commits, config.validation, config.regime.score_metric))
            readers.append(validation_reader(corpora, config))
        _print_head(context, config, precision, corpora)
        return context.create_trainer(unit, reader, units, readers)

    def has_static_autograd_graph(self, context: RecipeContext) -> bool:
        """No: what has no weight in the loss is not computed."""
        return False

    @property
    def config_kls(self) -> type[object]:
        """Of the configuration."""
        return PretrainConfig


def _console_recorder(resolver: DependencyResolver) -> MetricRecorder:
    steps = resolver.resolve(RegimeSection).num_steps
    assert steps is not None  # PretrainConfig refuses a run without an end
    return ConsoleRecorder(steps, last_step(resolver.resolve(Path)) or 0)


def _print_head(
    context: RecipeContext, config: PretrainConfig, precision: str, corpora: Sequence[Corpus]
) -> None:
    """Print what is about to happen, where, and on what."""
    folder, gang = context.output_dir, context.gangs.root
    step = last_step(folder)
    begins = "a new run" if step is None else f"goes on from step {step}"
    console.info(
        "%s: %s, %d steps in all; its figures are in metrics/ and tb/, its log in logs/",
        *(folder, begins, config.regime.num_steps),
    )
    processes = f"{gang.size} processes, each on " if gang.size > 1 else ""
    console.info("%s%s: %s, %d thread(s)", processes, gang.device, precision, torch.get_num_threads())
    for corpus in corpora:
        train, dev = (len(corpus.split(split)) for split in ("train", "dev"))
        if config.data.endless and corpus.info.get("corpus") == "constructed":
            told = f"pairs without end to train on, {config.data.pairs_per_epoch} an epoch"
        else:
            told = f"{train} pairs to train on"
        console.info("%s: %s, %d to validate on", corpus.folder, told, dev)


def training_reader(
    sources: Sequence[PairSource], config: PretrainConfig, context: RecipeContext
) -> PretrainReader:
    """Reads this rank's share of the train split."""
    gang = context.gangs.dp
    return PretrainReader(
        partial(training_mixture, sources, config, gang.rank, gang.size),
        gang,
        config.common.seed,
        config.trainer.grad_accumulation.num_batches,
        partial(
            collate,
            rolled=config.data.rolled_motion,
            motions=config.criterion.settings.uses_motions,
            targets=config.data.targets,
        ),
        config.data.own_process,
    )


def training_mixture(sources: Sequence[PairSource], config: PretrainConfig, rank: int, size: int) -> Mixture:
    """The train splits, as one of ``size`` processes reads them."""
    settings = config.data.pipeline(config.common.seed)
    negatives = config.criterion.wanted()
    clips = [ClipReader(source, "train", settings, rank, size, negatives) for source in sources]
    return Mixture(clips, config.common.seed)


def validation_reader(corpora: Sequence[Corpus], config: PretrainConfig, split: str = "dev") -> DevReader:
    """Reads the dev splits, the same clips at every validation and on every rank; or the test splits.

    Args:
        corpora: whose splits are read.
        config: of the run.
        split: train, dev or test.
    """
    section, settings = config.validation, config.data.pipeline(config.common.seed)
    return DevReader(corpora, settings, section.clips, split, section.retrieval)
