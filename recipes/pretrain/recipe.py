"""The fairseq2 recipe of pretraining: model, data readers, training and validation units."""

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
from recipes.pretrain.checkpointing import DelayedCommits, restrict_pickle
from recipes.pretrain.config import FAMILY, PretrainConfig
from recipes.pretrain.console import ConsoleRecorder, console, install_console_handler
from recipes.pretrain.data_reader import PretrainReader
from recipes.pretrain.guarded_model import GuardedModel
from recipes.pretrain.initial_weights import freeze, load_initial_weights, write_init
from recipes.pretrain.metrics import register_metrics
from recipes.pretrain.model import PretrainedModel, PretrainedModelConfig
from recipes.pretrain.precision import choose_precision
from recipes.pretrain.run_folder import last_step
from recipes.pretrain.train_unit import PretrainUnit
from recipes.pretrain.validation.unit import DevReader, ValidationUnit


class PretrainRecipe(TrainRecipe):
    """Pretraining of both towers."""

    def register(self, container: DependencyContainer) -> None:
        """Register the model family, the metrics and the console."""
        register_model_family(
            container,
            FAMILY,
            PretrainedModel,
            PretrainedModelConfig,
            factory=PretrainedModel,
            # Buffers derived from the configuration are not saved, and would be uninitialised after the meta
            # device.
            supports_meta=False,
        )
        register = ConfigRegistrar(container, PretrainedModelConfig)
        for name in ARCHITECTURES:
            register(name)(lambda name=name: PretrainedModelConfig(arch=name))
        register_metrics(container)
        # fairseq2 calls this after it sets up its own console and before its first line.
        install_console_handler()
        container.collection.register(MetricRecorder, _console_recorder)  # type: ignore[type-abstract]
        container.register_instance(
            DeviceStatTracker,  # type: ignore[type-abstract]
            NOOP_DEVICE_STAT_TRACKER,
            key="cpu",
        )

    def create_trainer(self, context: RecipeContext) -> Trainer:
        """Create model, readers and units, and print a summary."""
        config = context.config.as_(PretrainConfig)
        device = context.gangs.root.device
        # Before create_trainer, which reads the precision.
        precision = choose_precision(config.trainer.mixed_precision, device)
        if config.common.torch.num_threads is None:
            use_idle_cores(context.resolver.resolve(WorldInfo).local_size)
        restrict_pickle(context)
        manager = context.resolver.resolve(CheckpointManager)  # type: ignore[type-abstract]
        commits = DelayedCommits(manager)
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
        reader = training_reader(config.data.sources(corpora), config, context)
        unit: TrainUnit[Any] = PretrainUnit(model, config.criterion.settings, reader, commits)
        units: list[EvalUnit[Any]] = []
        readers: list[DataReader[Any]] = []
        if config.validation.clips:
            units.append(ValidationUnit(model, commits, config.validation, config.regime.score_metric))
            readers.append(validation_reader(corpora, config))
        _print_head(context, config, precision, corpora)
        return context.create_trainer(unit, reader, units, readers)

    def has_static_autograd_graph(self, context: RecipeContext) -> bool:
        """Return False: losses of weight 0 are not computed."""
        return False

    @property
    def config_kls(self) -> type[object]:
        """Class of the configuration."""
        return PretrainConfig


def _console_recorder(resolver: DependencyResolver) -> MetricRecorder:
    steps = resolver.resolve(RegimeSection).num_steps
    assert steps is not None  # required by PretrainConfig
    return ConsoleRecorder(steps, last_step(resolver.resolve(Path)) or 0)


def _print_head(
    context: RecipeContext, config: PretrainConfig, precision: str, corpora: Sequence[Corpus]
) -> None:
    """Print folder, device, precision and corpora of the run."""
    folder, gang = context.output_dir, context.gangs.root
    step = last_step(folder)
    console.info(
        "%s: %s, %d steps in all; metrics are in metrics/ and tb/, the log is in logs/",
        folder,
        "a new run" if step is None else f"resumed from step {step}",
        config.regime.num_steps,
    )
    processes = f"{gang.size} processes, each on " if gang.size > 1 else ""
    console.info("%s%s: %s, %d thread(s)", processes, gang.device, precision, torch.get_num_threads())
    for corpus in corpora:
        train, dev = (len(corpus.split(split)) for split in ("train", "dev"))
        if config.data.endless and corpus.info.get("corpus") == "constructed":
            description = f"endless training pairs, {config.data.pairs_per_epoch} per epoch"
        else:
            description = f"{train} training pairs"
        console.info("%s: %s, %d for validation", corpus.folder, description, dev)


def training_reader(
    sources: Sequence[PairSource], config: PretrainConfig, context: RecipeContext
) -> PretrainReader:
    """Create the reader of this rank's share of the training pairs."""
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
    """Create the mixture of train splits for one of ``size`` ranks."""
    settings = config.data.pipeline(config.common.seed)
    negatives = config.criterion.hard_negatives()
    clips = [ClipReader(source, "train", settings, rank, size, negatives) for source in sources]
    return Mixture(clips, config.common.seed)


def validation_reader(corpora: Sequence[Corpus], config: PretrainConfig, split: str = "dev") -> DevReader:
    """Create the reader of a split for validation; it reads the same clips every time and on every rank."""
    section, settings = config.validation, config.data.pipeline(config.common.seed)
    return DevReader(corpora, settings, section.clips, split, section.retrieval)
