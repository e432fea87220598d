"""The smallest task in S3PRL's layout: is a clip loud or quiet?

It can fail on demand, at a given step and with a given error, as tasks do.
"""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from motionbeat_upstream.audio import read_audio
from motionbeat_upstream.errors import MotionBeatError


class DownstreamExpert(nn.Module):
    """A small probe on the mean of the features; its record is ``log.jsonl`` in the folder of the results."""

    steps: Tensor

    def __init__(
        self, upstream_dim: int, downstream_expert: dict[str, Any], expdir: str, **_: object
    ) -> None:
        super().__init__()
        self.files = sorted(Path(downstream_expert["datarc"]["root"]).glob("*.wav"))
        if not self.files:
            raise MotionBeatError(f"{downstream_expert['datarc']['root']}: holds no .wav; put some there")
        self.workers = downstream_expert["datarc"].get("num_workers", 0)
        self.fails: dict[str, Any] = downstream_expert.get("fails", {})
        self.record = Path(expdir) / "log.jsonl"
        hidden = downstream_expert["modelrc"]["hidden"]
        self.probe = nn.Sequential(nn.Linear(upstream_dim, hidden), nn.Tanh(), nn.Linear(hidden, 2))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def get_dataloader(self, split: str) -> Any:
        return DataLoader(
            _Clips(self.files, self.fails.get("in_worker", False)),  # type: ignore[arg-type]
            batch_size=2,
            collate_fn=lambda clips: tuple(zip(*clips, strict=True)),
            num_workers=self.workers,
        )

    def forward(
        self,
        split: str,
        features: list[Tensor],
        labels: list[int],
        records: dict[str, list[float]],
        **_: object,
    ) -> Tensor:
        if split == "train":
            if int(self.steps) == self.fails.get("at_step"):
                raise getattr(builtins, self.fails["error"])("as the test asked")
            self.steps += 1
        said = self.probe(torch.stack([clip.mean(0) for clip in features]))
        loss = nn.functional.cross_entropy(said, torch.tensor(labels))
        records["loss"].append(loss.item())
        return loss

    def log_records(
        self, split: str, records: dict[str, list[float]], logger: Any, global_step: int, **_: object
    ) -> list[str]:
        loss = sum(records["loss"]) / len(records["loss"])
        logger.add_scalar(f"loudness/{split}-loss", loss, global_step=global_step)
        with self.record.open("a") as file:
            file.write(json.dumps({"split": split, "step": global_step, "loss": loss}) + "\n")
        return []


class _Clips:
    def __init__(self, files: list[Path], broken: bool) -> None:
        self.files, self.broken = files, broken

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if self.broken:
            raise MotionBeatError(f"{self.files[index]}: broken, as the test asked")
        return read_audio(self.files[index]), int("loud" in self.files[index].stem)
