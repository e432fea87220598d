"""S3PRL's runner, asked for no more than it can do."""

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
from recipes.downstream.s3prl_runner.kept_features import (
    CUT_ANEW,
    TOLERANCE,
    KeptFeatures,
    batch_difference,
    layers_of,
)
from recipes.downstream.s3prl_runner.options import FeatureCache
from recipes.downstream.s3prl_runner.patches import replaced
from recipes.downstream.s3prl_runner.run_files import files_of_run
from recipes.downstream.s3prl_runner.task_expert import TaskExpert
from recipes.results.record import results_path


class Interrupted(Exception):
    """Ctrl-C; the message says how to go on."""


class LayersSideBySide(Featurizer):  # type: ignore[misc] # S3PRL has no types
    """S3PRL's featurizer for a task whose probe weighs the layers: it gives them side by side, not summed."""

    layer_num = 1

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for weights in self.parameters():
            weights.requires_grad_(False)  # S3PRL's weights of the sum

    def _weighted_sum(self, feature: Sequence[Tensor]) -> Tensor:
        """(B, T, L·D) of L times (B, T, D)."""
        layers = torch.stack(list(feature), 2)
        if self.normalize:
            layers = F.layer_norm(layers, layers.shape[-1:])
        return layers.flatten(2)


class CheckedRunner(Runner):  # type: ignore[misc] # S3PRL has no types
    """S3PRL's runner, but for layers for tasks that weigh them, kept features, and the words it ends with.

    Args:
        args: S3PRL's options.
        config: of the task.
        cache: where the features of a frozen upstream are kept.
    """

    def __init__(self, args: Any, config: Any, cache: FeatureCache) -> None:
        super().__init__(args, config)
        self.kept: KeptFeatures | None = None
        if cache.folder is not None and args.mode != "inference" and not args.upstream_trainable:
            self._keep_features(cache.folder, cache)

    def _keep_features(self, folder: Path, cache: FeatureCache) -> None:
        name, device = self.args.upstream_feature_selection, torch.device(self.args.device)
        model = self.upstream.model.eval()
        rate = self.featurizer.model.downsample_rate
        if not cache.clip_by_clip and batch_difference(model, name, rate, device) > TOLERANCE:
            print(
                f"[features] those of {self.args.upstream} depend on the batch, and are computed every time; "
                f"--clip_by_clip encodes each clip alone, and keeps them",
                flush=True,
            )
            return
        self.kept = KeptFeatures(model, name, device, folder, cache.gigabytes, self._come_again)
        self.upstream.model = self.kept

    def _come_again(self) -> bool:
        """Whether the waveforms of the batch at hand come again in other epochs, seeds or folds."""
        task = self.downstream.model
        if not task.training:
            return True
        if isinstance(task, DistributedDataParallel):
            task = task.module
        return getattr(task, "comes_again", self.args.downstream not in CUT_ANEW)

    def _get_featurizer(self) -> Any:
        self._check_selection()
        expert = importlib.import_module(f"s3prl.downstream.{self.args.downstream}.expert").DownstreamExpert
        weighs = getattr(expert, "weighs_layers", False)
        try:
            with replaced(runner, "Featurizer", LayersSideBySide if weighs else Featurizer):
                entry = super()._get_featurizer()
            if weighs:
                # S3PRL hands the options on to the task.
                self.args.upstream_layers = entry.model.layer_num
            return entry
        except IndexError as error:
            if self.args.upstream_layer_selection is None:
                raise
            raise MotionBeatError(
                f"-l {self.args.upstream_layer_selection}: {self.args.upstream} has no such layer in "
                f"{self.args.upstream_feature_selection}; count from 0, or leave -l out for "
                f"a weighted sum of all"
            ) from error

    def _check_selection(self) -> None:
        """Refuse features that a task cannot take: S3PRL would take others, or fail on them later.

        Raises:
            MotionBeatError: ``-s`` names no sequence of (B, F, D) features at a fixed rate.
        """
        model = self.upstream.model.eval()
        # A tone, for noise would change the state of the random generator.
        tone = torch.sin(torch.arange(SAMPLE_RATE, device=self.args.device) * 0.1)
        with torch.no_grad():
            features = model([tone])
        usable = [name for name, value in features.items() if _is_sequence(value) and _has_rate(model, name)]
        chosen = self.args.upstream_feature_selection
        if chosen not in usable:
            raise MotionBeatError(
                f"-s {chosen}: {self.args.upstream} has no such features at a fixed frame rate; there are "
                f"{', '.join(usable)}"
            )

    def train(self) -> None:
        """S3PRL's training loop.

        The last lines say what was reached, where the task can tell.

        Raises:
            Interrupted: by Ctrl-C, with the command that resumes.
        """
        folder = Path(self.args.expdir)
        before = files_of_run(folder).items()
        try:
            super().train()
        except KeyboardInterrupt as interrupt:
            written = dict(files_of_run(folder).items() - before)
            if self.args.past_exp or any(path.match("states-*.ckpt") for path in written):
                hint = f"resume with: run_downstream.py -m train -e {folder}"
            else:
                hint = (
                    f"no checkpoint yet (one every {self.config['runner']['save_step']} steps); start again"
                )
            raise Interrupted(hint) from interrupt
        self._tell_of_features()
        self._tell_what_was_reached()

    def evaluate(self, split: str | None = None, logger: Any = None, global_step: int = 0) -> list[str]:
        """S3PRL's evaluation of a split, the one that ``-t`` names if none is given."""
        saved: list[str] = super().evaluate(split, logger, global_step)
        if split is None:
            self._tell_of_features()
        return saved

    def _tell_of_features(self) -> None:
        if self.kept is not None and is_leader_process():
            print(f"\n[features] {self.kept.summary()}", flush=True)

    def _tell_what_was_reached(self) -> None:
        task, folder = self.downstream.model, Path(self.args.expdir)
        if is_leader_process() and isinstance(task, TaskExpert) and results_path(folder).is_file():
            lines = [f"trained to step {self.config['runner']['total_steps']}", *task.reached()]
            print("", *(f"[{self.args.downstream}] {line}" for line in lines), sep="\n", flush=True)

    def inference(self) -> None:
        """S3PRL's inference on one file.

        Raises:
            MotionBeatError: the task offers none, or needs another sample rate than the file's.
        """
        model = self.downstream.model
        if not hasattr(model, "inference"):
            raise MotionBeatError(f"-m inference: task {self.args.downstream} has none; use -m evaluate")
        if not hasattr(model, "load_audio"):
            _, rate = audio_length(self.args.evaluate_split)
            if rate != SAMPLE_RATE:
                raise MotionBeatError(
                    f"-t {self.args.evaluate_split}: {rate} Hz, and task {self.args.downstream} takes "
                    f"{SAMPLE_RATE} Hz; resample it first"
                )
        super().inference()


def _is_sequence(value: Any) -> bool:
    """Whether S3PRL's featurizer can take it: (B, F, D), or such of several layers."""
    layers = layers_of(value)
    return bool(layers) and all(isinstance(layer, torch.Tensor) and layer.dim() == 3 for layer in layers)


def _has_rate(model: Any, name: str) -> bool:
    try:
        model.get_downsample_rates(name)
    except (ValueError, KeyError):
        return False
    return True
