"""S3PRL's runner with checks of its inputs, cached features and a summary."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from s3prl.downstream import runner
from s3prl.downstream.runner import SAMPLE_RATE, Runner
from s3prl.upstream.interfaces import Featurizer
from s3prl.utility.helper import is_leader_process
from torch import Tensor
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from motionbeat_upstream.decoding import audio_length
from motionbeat_upstream.errors import MotionBeatError
from recipes.downstream.s3prl_runner.cached_upstream import (
    MAX_BATCH_DIFFERENCE,
    RANDOM_CROP_TASKS,
    CachedUpstream,
    as_layers,
    batch_difference,
)
from recipes.downstream.s3prl_runner.options import FeatureCache
from recipes.downstream.s3prl_runner.patches import patched
from recipes.downstream.s3prl_runner.run_files import list_run_files
from recipes.downstream.s3prl_runner.task_expert import TaskExpert
from recipes.results.record import results_path


class Interrupted(Exception):
    """Ctrl-C; the message tells how to resume."""


class ConcatenatingFeaturizer(Featurizer):  # type: ignore[misc] # S3PRL has no types
    """S3PRL's featurizer, but it concatenates the layers, for a task whose probe weights them."""

    layer_num = 1

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for weights in self.parameters():
            weights.requires_grad_(False)  # S3PRL's layer weights, which are unused

    def _weighted_sum(self, feature: Sequence[Tensor]) -> Tensor:
        """(B, T, L·D) from L layers of (B, T, D)."""
        layers = torch.stack(list(feature), 2)
        if self.normalize:
            layers = F.layer_norm(layers, layers.shape[-1:])
        return layers.flatten(2)


class CheckedRunner(Runner):  # type: ignore[misc] # S3PRL has no types
    """S3PRL's runner with separate layers for tasks that weight them, cached features and a summary.

    Args:
        args: S3PRL's options.
        config: configuration of the task.
        cache: cache of the features of a frozen upstream.
    """

    def __init__(self, args: Any, config: Any, cache: FeatureCache) -> None:
        super().__init__(args, config)
        self.cached: CachedUpstream | None = None
        if cache.folder is not None and args.mode != "inference" and not args.upstream_trainable:
            self._cache_features(cache.folder, cache)

    def _cache_features(self, folder: Path, cache: FeatureCache) -> None:
        name, device = self.args.upstream_feature_selection, torch.device(self.args.device)
        model = self.upstream.model.eval()
        rate = self.featurizer.model.downsample_rate
        if not cache.clip_by_clip and batch_difference(model, name, rate, device) > MAX_BATCH_DIFFERENCE:
            print(
                f"[features] the features of {self.args.upstream} depend on the batch and are not cached; "
                f"--clip_by_clip encodes each clip separately and caches them",
                flush=True,
            )
            return
        self.cached = CachedUpstream(model, name, device, folder, cache.gigabytes, self._repeats_waveforms)
        self.upstream.model = self.cached

    def _repeats_waveforms(self) -> bool:
        """Whether the waveforms of the current batch occur again in other epochs, seeds or folds."""
        task = self.downstream.model
        if not task.training:
            return True
        if isinstance(task, DistributedDataParallel):
            task = task.module
        return getattr(task, "repeats_waveforms", self.args.downstream not in RANDOM_CROP_TASKS)

    def _get_featurizer(self) -> Any:
        self._check_selection()
        expert = importlib.import_module(f"s3prl.downstream.{self.args.downstream}.expert").DownstreamExpert
        weights_layers = getattr(expert, "weights_layers", False)
        try:
            with patched(runner, "Featurizer", ConcatenatingFeaturizer if weights_layers else Featurizer):
                entry = super()._get_featurizer()
            if weights_layers:
                # S3PRL passes the options to the task.
                self.args.upstream_layers = entry.model.layer_num
            return entry
        except IndexError as error:
            if self.args.upstream_layer_selection is None:
                raise
            raise MotionBeatError(
                f"-l {self.args.upstream_layer_selection}: {self.args.upstream} has no such layer in "
                f"{self.args.upstream_feature_selection}; layers count from 0; leave -l out for a weighted "
                f"sum of all"
            ) from error

    def _check_selection(self) -> None:
        """Check that ``-s`` selects features that a task can use; S3PRL would use others or fail later.

        Raises:
            MotionBeatError: ``-s`` names no (B, F, D) features at a fixed rate.
        """
        model = self.upstream.model.eval()
        # A tone, because noise would change the state of the random generator.
        tone = torch.sin(torch.arange(SAMPLE_RATE, device=self.args.device) * 0.1)
        with torch.no_grad():
            features = model([tone])
        usable = [name for name, value in features.items() if _is_sequence(value) and _has_rate(model, name)]
        selection = self.args.upstream_feature_selection
        if selection not in usable:
            raise MotionBeatError(
                f"-s {selection}: {self.args.upstream} has no such features at a fixed frame rate; there are "
                f"{', '.join(usable)}"
            )

    def train(self) -> None:
        """Run S3PRL's training loop and print a summary.

        Raises:
            Interrupted: by Ctrl-C, with the command that resumes.
        """
        folder = Path(self.args.expdir)
        before = list_run_files(folder).items()
        try:
            super().train()
        except KeyboardInterrupt as interrupt:
            written = dict(list_run_files(folder).items() - before)
            if self.args.past_exp or any(path.match("states-*.ckpt") for path in written):
                hint = f"resume with: run_downstream.py -m train -e {folder}"
            else:
                hint = (
                    f"no checkpoint yet (one every {self.config['runner']['save_step']} steps); start again"
                )
            raise Interrupted(hint) from interrupt
        self._print_cache_summary()
        self._print_result()

    def evaluate(self, split: str | None = None, logger: Any = None, global_step: int = 0) -> list[str]:
        """Run S3PRL's evaluation of a split, by default the one of ``-t``."""
        checkpoints: list[str] = super().evaluate(split, logger, global_step)
        if split is None:
            self._print_cache_summary()
        return checkpoints

    def _print_cache_summary(self) -> None:
        if self.cached is not None and is_leader_process():
            print(f"\n[features] {self.cached.summary()}", flush=True)

    def _print_result(self) -> None:
        task, folder = self.downstream.model, Path(self.args.expdir)
        if is_leader_process() and isinstance(task, TaskExpert) and results_path(folder).is_file():
            lines = [f"trained to step {self.config['runner']['total_steps']}", *task.result_lines()]
            print("", *(f"[{self.args.downstream}] {line}" for line in lines), sep="\n", flush=True)

    def inference(self) -> None:
        """Run S3PRL's inference on one file.

        Raises:
            MotionBeatError: the task has no inference, or the file has another sample rate than the task.
        """
        model = self.downstream.model
        if not hasattr(model, "inference"):
            raise MotionBeatError(f"-m inference: task {self.args.downstream} has none; use -m evaluate")
        if not hasattr(model, "load_audio"):
            _, rate = audio_length(self.args.evaluate_split)
            if rate != SAMPLE_RATE:
                raise MotionBeatError(
                    f"-t {self.args.evaluate_split}: {rate} Hz; task {self.args.downstream} expects "
                    f"{SAMPLE_RATE} Hz: resample the file first"
                )
        super().inference()


def _is_sequence(value: Any) -> bool:
    """Whether S3PRL's featurizer accepts the features: (B, F, D), one or several layers."""
    layers = as_layers(value)
    return bool(layers) and all(isinstance(layer, torch.Tensor) and layer.dim() == 3 for layer in layers)


def _has_rate(model: Any, name: str) -> bool:
    try:
        model.get_downsample_rates(name)
    except (ValueError, KeyError):
        return False
    return True
