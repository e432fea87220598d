"""Base class of our tasks: selection of checkpoints, data loaders, logging and reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.s3prl_runner.registration import weights_sha256
from recipes.downstream.s3prl_runner.run_files import BEST
from recipes.results.record import Run, command_and_versions, read_results, results_path

EMPTY_DATASET: TensorDataset = TensorDataset(torch.empty(0))
"""Evaluated on test if the weights are not the best on dev."""


class TaskExpert(nn.Module):
    """Base class of a task with the interface of ``s3prl/downstream/example/expert.py``.

    A task sets its ``task_name``, reads its settings, and creates its parts in :meth:`build`. It is trained
    with :meth:`losses` and evaluated with :meth:`collect` and :meth:`evaluate`. The checkpoint
    ``dev-best.ckpt`` is selected on dev. During training the test split is scored only for the best weights
    on dev, so the results on test are always those of ``dev-best.ckpt``.

    Args:
        upstream_dim: D, width of the features.
        upstream_rate: samples at 16 kHz per frame.
        downstream_expert: the section of ``config.yaml``.
        expdir: folder of all output files.
        **options: the rest of ``config.yaml``, and the options of the command line.

    Raises:
        MotionBeatError: invalid settings or data.
    """

    task_name: str
    repeats_waveforms: bool = True
    """Whether the waveforms of a training occur again in other epochs, seeds or folds, so that caching their
    features is useful; those of an evaluation always do."""
    best: Tensor
    """Highest criterion on dev so far; a buffer, which checkpoints contain."""
    settings: Any
    """The settings of the task, a dataclass."""

    def __init__(
        self,
        upstream_dim: int,
        upstream_rate: float,
        downstream_expert: Mapping[str, Any],
        expdir: str,
        **options: Any,
    ) -> None:
        super().__init__()
        self.settings = self.read_settings(downstream_expert)
        self.expdir = Path(expdir)
        self.options = options
        self.seed = int(options.get("seed", 0))
        self.upstream = str(options.get("upstream"))
        self.register_buffer("best", torch.tensor(float("-inf"), dtype=torch.float64))
        self.behind_best = False
        """Whether the last evaluation on dev was not the best: such weights are not saved or tested."""
        self.build(upstream_dim, float(upstream_rate))

    @staticmethod
    def read_settings(values: Mapping[str, Any]) -> Any:
        """Read the settings of the task from the section ``downstream_expert``.

        Raises:
            ConfigError: lists all errors.
        """
        raise NotImplementedError

    def build(self, dim: int, rate: float) -> None:
        """Read the data and create the probe, for features of width ``dim`` every ``rate`` samples."""
        raise NotImplementedError

    def losses(self, features: Sequence[Tensor], labels: Sequence[Any]) -> dict[str, Tensor]:
        """Scalar losses of a training batch: ``loss``, and further ones to log.

        Args:
            features: (T_i, D) each.
            labels: labels from the data loader.
        """
        raise NotImplementedError

    def collect(
        self, features: Sequence[Tensor], labels: Sequence[Any], records: dict[str, list[Any]]
    ) -> None:
        """Append the outputs for a batch to ``records``, for :meth:`evaluate`.

        Raises:
            MotionBeatError: outputs of the probe are not finite.
        """
        raise NotImplementedError

    def evaluate(self, split: str, records: dict[str, list[Any]], logger: Any, step: int) -> list[str]:
        """Score and report a split; returns the names of checkpoints to save.

        ``step`` is 0 with S3PRL's command ``evaluate``.
        """
        raise NotImplementedError

    def forward(
        self,
        split: str,
        features: Sequence[Tensor],
        labels: Sequence[Any],
        records: dict[str, list[Any]],
        **kwargs: Any,
    ) -> Tensor:
        """The loss of a batch in training (:meth:`losses`); otherwise 0 (:meth:`collect`)."""
        if not self.training:
            self.collect(features, labels, records)
            return torch.zeros(())
        self.behind_best = False
        losses = self.losses(features, labels)
        records["losses"].append({name: value.item() for name, value in losses.items()})
        return losses["loss"]

    def log_records(
        self, split: str, records: dict[str, list[Any]], logger: Any, global_step: int, **kwargs: Any
    ) -> list[str]:
        """Log the mean losses in training; otherwise :meth:`evaluate`."""
        if not self.training:
            return self.evaluate(split, records, logger, global_step)
        self.log(logger, split, global_step, mean_losses(records["losses"]))
        return []

    def result_lines(self) -> list[str]:
        """Lines that summarise a training after the best weights were tested."""
        path = results_path(self.expdir)
        step = read_results(path)[0].run.step
        return [
            f"best on dev: the weights of step {step}; their test scores are above",
            f"{self.expdir}: {BEST}, {path.stem}.md, {path.name}",
        ]

    def select_checkpoint(self, criterion: float, description: str, step: int) -> list[str]:
        """Print the scores on dev; returns the checkpoint to save if this is the best step so far.

        Args:
            criterion: criterion on dev, higher is better.
            description: scores on dev, to print.
            step: step of the training.
        """
        print(f"\n[{self.task_name}] step {step}: dev {description}", flush=True)
        self.behind_best = criterion <= self.best.item()
        if self.behind_best:
            return []
        self.best.fill_(criterion)
        return [BEST]

    def is_skipped(self, split: str) -> bool:
        """Whether the split is not evaluated, because the weights are not the best on dev."""
        return self.behind_best and split != "dev"

    def loader(
        self, dataset: Dataset[Any], epoch: int | None, collate: Callable[..., Any]
    ) -> DataLoader[Any]:
        """Shuffled batches of an epoch (of this rank), or all batches in order if ``epoch`` is None.

        The batch sizes are those in ``datarc``.
        """
        data = self.settings.datarc
        options = {"num_workers": data.num_workers, "collate_fn": collate}
        if epoch is None:
            return DataLoader(dataset, data.eval_batch_size, **options)
        # Imported here, because a task can be evaluated without S3PRL.
        from s3prl.utility.data import get_ddp_sampler

        sampler = get_ddp_sampler(dataset, epoch)
        return DataLoader(dataset, data.train_batch_size, sampler is None, sampler, **options)

    def load_audio(self, path: str | Path) -> Tensor:
        """Read audio of any format and rate for inference."""
        return read_audio(path)

    def log(self, logger: Any, split: str, step: int, values: Mapping[str, float]) -> None:
        """Write values to tensorboard as ``task/split-name``."""
        for name, value in values.items():
            logger.add_scalar(f"{self.task_name}/{split}-{name}", value, global_step=step)

    def upstream_sha256(self) -> str:
        """See :func:`~recipes.downstream.s3prl_runner.registration.weights_sha256`."""
        checkpoint = self.options.get("upstream_ckpt")
        return weights_sha256(self.upstream, None if checkpoint is None else Path(checkpoint))

    def evaluation_run(
        self, split: str, step: int, data: str, fold: object = None, details: Mapping[str, Any] | None = None
    ) -> Run:
        """The run of an evaluation, for its rows.

        Args:
            split: train, dev or test.
            step: step of the training; 0 if unknown.
            data: path or description of the data set.
            fold: the test fold, if there are folds.
            details: added to settings, options, command and versions.
        """
        return Run(
            task=self.task_name,
            data=data,
            upstream=self.upstream,
            checkpoint=self.upstream_sha256(),
            seed=self.seed,
            fold="" if fold is None else str(fold),
            split=split,
            step=step or None,
            details={
                **(details or {}),
                "settings": asdict(self.settings),
                "options": self.options,
                **command_and_versions(),
            },
        )


def mean_losses(losses: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each loss over at least one batch."""
    return {name: float(np.mean([batch[name] for batch in losses])) for name in losses[0]}


def check_finite(outputs: Iterable[Tensor]) -> None:
    """Check the outputs of a probe in an evaluation.

    Raises:
        MotionBeatError: an output is NaN or infinite.
    """
    if not all(bool(torch.isfinite(output).all()) for output in outputs):
        raise MotionBeatError(
            "the outputs of the probe are NaN or infinite: the training has diverged, or the upstream's "
            "features are not finite; lower config.optimizer.lr"
        )
