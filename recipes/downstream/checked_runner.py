"""S3PRL's runner, asked for no more than it can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from s3prl.downstream.runner import SAMPLE_RATE, Runner

from motionbeat_upstream.decoding import audio_length
from recipes.downstream.errors import TaskError


class Interrupted(Exception):
    """Ctrl-C; the message says how to go on."""


class CheckedRunner(Runner):  # type: ignore[misc] # S3PRL has no types
    """S3PRL's runner to the letter, but for the words it ends with."""

    def _get_featurizer(self) -> Any:
        try:
            return super()._get_featurizer()
        except IndexError as error:
            if self.args.upstream_layer_selection is None:
                raise
            raise TaskError(
                f"-l {self.args.upstream_layer_selection}: {self.args.upstream} has no such layer in "
                f"{self.args.upstream_feature_selection}; count from 0, or leave -l out for "
                f"a weighted sum of all"
            ) from error

    def train(self) -> None:
        """S3PRL's training loop.

        Raises:
            Interrupted: by Ctrl-C, with the command that resumes.
        """
        try:
            super().train()
        except KeyboardInterrupt as interrupt:
            folder = Path(self.args.expdir)
            if any(folder.glob("states-*.ckpt")):
                hint = f"resume with: run_downstream.py -m train -e {folder}"
            else:
                hint = (
                    f"no checkpoint yet (one every {self.config['runner']['save_step']} steps); start again"
                )
            raise Interrupted(hint) from interrupt

    def inference(self) -> None:
        """S3PRL's inference on one file.

        Raises:
            TaskError: the task offers none, or needs another sample rate than the file's.
        """
        model = self.downstream.model
        if not hasattr(model, "inference"):
            raise TaskError(f"-m inference: task {self.args.downstream} has none; use -m evaluate")
        if not hasattr(model, "load_audio"):
            _, rate = audio_length(self.args.evaluate_split)
            if rate != SAMPLE_RATE:
                raise TaskError(
                    f"-t {self.args.evaluate_split}: {rate} Hz, and task {self.args.downstream} takes "
                    f"{SAMPLE_RATE} Hz; resample it first"
                )
        super().inference()
