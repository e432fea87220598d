"""What the modules of our tasks share: the weights that are kept, data loaders, logging and reports."""

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

NO_DATA: TensorDataset = TensorDataset(torch.empty(0))
"""What is evaluated of weights that are not kept."""


class TaskExpert(nn.Module):
    """A task as S3PRL's runner drives it: see ``s3prl/downstream/example/expert.py`` for the contract.

    A task says its ``task_name``, reads its settings, and makes its parts in :meth:`build`; it trains by
    :meth:`losses`, and is evaluated by :meth:`put_aside` and :meth:`evaluate`. The checkpoint
    ``dev-best.ckpt`` is chosen on dev. In training the test split is scored only where dev says that the
    weights are kept, so the results of test are always those of ``dev-best.ckpt``.

    Args:
        upstream_dim: D, numbers per frame.
        upstream_rate: samples at 16 kHz per frame.
        downstream_expert: the section of ``config.yaml``.
        expdir: folder for everything that is written.
        **options: the rest of ``config.yaml``, and the command line's options.

    Raises:
        MotionBeatError: what is wrong with the settings or the data.
    """

    task_name: str
    comes_again: bool = True
    """Whether the waveforms of a training come again in other epochs, seeds or folds, so that it is of use to
    keep their features; what is evaluated always does."""
    best: Tensor
    """Highest criterion on dev so far; a buffer, so that every checkpoint carries it."""
    settings: Any
    """The task's settings, a dataclass, with what was left out filled in."""

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
        self.fell_behind = False
        """Whether the last evaluation on dev was no better: such weights are not kept, and not tested."""
        self.build(upstream_dim, float(upstream_rate))

    @staticmethod
    def read_settings(values: Mapping[str, Any]) -> Any:
        """The task's settings from the section ``downstream_expert``.

        Raises:
            ConfigError: everything that is wrong with them.
        """
        raise NotImplementedError

    def build(self, dim: int, rate: float) -> None:
        """Read the data and make the probe, for features of ``dim`` numbers every ``rate`` samples."""
        raise NotImplementedError

    def losses(self, features: Sequence[Tensor], labels: Sequence[Any]) -> dict[str, Tensor]:
        """The loss of a training batch, ``loss``, and what else is to be logged; scalars.

        Args:
            features: (T_i, D) each.
            labels: what the data loader gave with the audio.
        """
        raise NotImplementedError

    def put_aside(
        self, features: Sequence[Tensor], labels: Sequence[Any], records: dict[str, list[Any]]
    ) -> None:
        """Put into ``records`` what :meth:`evaluate` needs of a batch.

        Raises:
            MotionBeatError: what the probe gives is not finite.
        """
        raise NotImplementedError

    def evaluate(self, split: str, records: dict[str, list[Any]], logger: Any, step: int) -> list[str]:
        """Score and report a split; returns the checkpoint to keep, if any.

        ``step`` is 0 where S3PRL's command is evaluate.
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
        """The loss of a batch in training, see :meth:`losses`; else 0, see :meth:`put_aside`."""
        if not self.training:
            self.put_aside(features, labels, records)
            return torch.zeros(())
        self.fell_behind = False
        losses = self.losses(features, labels)
        records["losses"].append({name: value.item() for name, value in losses.items()})
        return losses["loss"]

    def log_records(
        self, split: str, records: dict[str, list[Any]], logger: Any, global_step: int, **kwargs: Any
    ) -> list[str]:
        """Log the mean losses in training; else see :meth:`evaluate`."""
        if not self.training:
            return self.evaluate(split, records, logger, global_step)
        self.log(logger, split, global_step, mean_losses(records["losses"]))
        return []

    def reached(self) -> list[str]:
        """What a training has reached, for its last lines; called where weights were kept and tested."""
        file = results_path(self.expdir)
        step = read_results(file)[0].run.step
        return [
            f"kept: the weights of step {step}, the best on dev; their test scores are above",
            f"{self.expdir}: {BEST}, {file.stem}.md, {file.name}",
        ]

    def choose(self, criterion: float, description: str, step: int) -> list[str]:
        """Print the figures on dev; returns the checkpoint to keep, if this is the best step so far.

        Args:
            criterion: of dev, more being better.
            description: of the figures on dev, for the line that is printed.
            step: of training.
        """
        print(f"\n[{self.task_name}] step {step}: dev {description}", flush=True)
        self.fell_behind = criterion <= self.best.item()
        if self.fell_behind:
            return []
        self.best.fill_(criterion)
        return [BEST]

    def is_skipped(self, split: str) -> bool:
        """Whether a split is not to be evaluated: weights that are not kept are not tested either."""
        return self.fell_behind and split != "dev"

    def loader(
        self, dataset: Dataset[Any], epoch: int | None, collate: Callable[..., Any]
    ) -> DataLoader[Any]:
        """The shuffled batches of an epoch, in distributed training of this process; None: all in order.

        Their sizes are those of the settings' ``datarc``.
        """
        data = self.settings.datarc
        options = {"num_workers": data.num_workers, "collate_fn": collate}
        if epoch is None:
            return DataLoader(dataset, data.eval_batch_size, **options)
        # Imported here: a task is driven without S3PRL too, but for its distributed training.
        from s3prl.utility.data import get_ddp_sampler

        sampler = get_ddp_sampler(dataset, epoch)
        return DataLoader(dataset, data.train_batch_size, sampler is None, sampler, **options)

    def load_audio(self, path: str | Path) -> Tensor:
        """Audio for inference, of any format and rate."""
        return read_audio(path)

    def log(self, logger: Any, split: str, step: int, figures: Mapping[str, float]) -> None:
        """Write figures to tensorboard as ``task/split-name``."""
        for name, value in figures.items():
            logger.add_scalar(f"{self.task_name}/{split}-{name}", value, global_step=step)

    def upstream_sha256(self) -> str:
        """See :func:`~recipes.downstream.s3prl_runner.registration.weights_sha256`."""
        given = self.options.get("upstream_ckpt")
        return weights_sha256(self.upstream, None if given is None else Path(given))

    def evaluated(
        self, split: str, step: int, data: str, fold: object = None, details: Mapping[str, Any] | None = None
    ) -> Run:
        """What the rows of an evaluation share.

        Args:
            split: train, dev or test.
            step: of training; 0 where it is not known.
            data: the data set: its path, or what it is.
            fold: that was tested on, if there are folds.
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
    """The mean of each over batches, at least one."""
    return {name: float(np.mean([one[name] for one in losses])) for name in losses[0]}


def check_finite(outputs: Iterable[Tensor]) -> None:
    """Refuse what a probe gives in an evaluation when it is not finite.

    Raises:
        MotionBeatError: it is not.
    """
    if not all(bool(torch.isfinite(one).all()) for one in outputs):
        raise MotionBeatError(
            "the probe gives no numbers (NaN or infinite): the training has diverged, or the upstream's "
            "features are no numbers; lower config.optimizer.lr"
        )
