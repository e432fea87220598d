"""MotionBeat as a model of the Hugging Face Hub.

    from motionbeat_upstream import MotionBeatModel
    from motionbeat_upstream.checkpoint import load_music_tower

    model = MotionBeatModel(*load_music_tower("checkpoint.safetensors"))
    model.save_pretrained("folder")                           # config.json, model.safetensors, README.md
    model.push_to_hub("OWNER/NAME")
    model = MotionBeatModel.from_pretrained("OWNER/NAME")     # or a folder

``model.safetensors`` is a MotionBeat checkpoint with provenance, which
:func:`motionbeat_upstream.load <motionbeat_upstream.api.load>` and ``motionbeat_local`` also read. Pickles
are never read, and no code is loaded from a folder or the Hub.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from motionbeat_upstream.atomic_write import write_text
from motionbeat_upstream.checkpoint import is_private, load_music_tower, save_music_tower, tensors_sha256
from motionbeat_upstream.config import MusicTowerConfig
from motionbeat_upstream.errors import CheckpointError, ConfigError, MotionBeatError
from motionbeat_upstream.expert import UpstreamExpert
from motionbeat_upstream.shipped import SHIPPED, SHIPPED_V1

try:
    from huggingface_hub import ModelCard, ModelCardData, PyTorchModelHubMixin, hf_hub_download
except ModuleNotFoundError as error:
    raise MotionBeatError(
        f"MotionBeatModel needs {error.name}, which is not installed; in MotionBeat's folder: "
        f"pip install '.[hub]'"
    ) from error

CONFIG, WEIGHTS = "config.json", "model.safetensors"

MODEL_TYPE = "motionbeat"
"""Value of ``model_type`` in config.json, which identifies the kind of a model."""

CARDS = {SHIPPED: SHIPPED.with_name("README.md"), SHIPPED_V1: SHIPPED_V1.with_suffix(".md")}
"""Model cards of the shipped weights."""

USE = """
## Use

```python
from motionbeat_upstream import MotionBeatModel

model = MotionBeatModel.from_pretrained("OWNER/NAME")    # this repository's id, or a folder with its files
outputs = model([wav])    # (T,) tensors at 16 kHz
```

An independent implementation of the MotionBeat paper ([arXiv 2510.13244](https://arxiv.org/abs/2510.13244)).
"""


class MotionBeatModel(
    UpstreamExpert,
    PyTorchModelHubMixin,
    library_name="motionbeat",
    tags=["music", "audio", "audio-feature-extraction", "beat-tracking"],
    paper_url="https://arxiv.org/abs/2510.13244",
):
    """An :class:`~motionbeat_upstream.expert.UpstreamExpert` for the Hugging Face Hub.

    ``save_pretrained(folder)`` writes ``config.json``, ``model.safetensors`` and, if it does not exist, the
    model card ``README.md``. Its ``model_card_kwargs`` are fields of the card's header, such as ``license``.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **download: Any) -> Self:
        """Load a model in eval mode, float32, on the CPU.

        Args:
            pretrained_model_name_or_path: a folder that ``save_pretrained`` wrote, or the id ``OWNER/NAME``
                of a model on the Hub.
            download: ``revision``, ``cache_dir``, ``token``, ``local_files_only`` and ``force_download`` of
                ``huggingface_hub.hf_hub_download``; ignored for a folder.

        Raises:
            CheckpointError: the folder or model does not exist, a file is missing or damaged, the model has
                another architecture, or config.json does not belong to the weights.
        """
        name = str(pretrained_model_name_or_path)
        # The configuration is checked before the weights, which may be large, are downloaded.
        file = _fetch(name, CONFIG, download)
        config = read_config(file)
        tower, provenance = load_music_tower(_fetch(name, WEIGHTS, download))
        expected = asdict(tower.config)
        if differing := [key for key, value in asdict(config).items() if value != expected[key]]:
            raise CheckpointError(
                f"{file}: {', '.join(differing)} differ from the configuration in {WEIGHTS}; download or "
                f"save both files again"
            )
        return cls(tower, provenance).eval()

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the files of ``save_pretrained`` in one commit.

        Args:
            repo_id: ``OWNER/NAME``; created if it does not exist.
            options: of ``huggingface_hub.PyTorchModelHubMixin.push_to_hub``, such as ``token``.

        Returns:
            The URL of the commit.

        Raises:
            MotionBeatError: the weights were exported for private use.
        """
        if is_private(self.provenance.details):
            raise MotionBeatError(
                f"{repo_id}: the licences of the training data allow private use of the weights only; "
                f"keep them in a folder with save_pretrained"
            )
        return super().push_to_hub(repo_id, **options)

    def generate_model_card(self, *args: Any, **fields: Any) -> ModelCard:
        """Return the model card: that of shipped weights, or for others a summary of their provenance.

        Args:
            args: ignored.
            fields: of the header, such as ``license``.
        """
        header = self._hub_mixin_info.model_card_data.to_dict()
        text = self._shipped_card()
        if text is None:
            text = self._plain_card()
        else:
            header["license"] = "apache-2.0"
        return ModelCard(f"---\n{ModelCardData(**header | fields).to_yaml()}\n---\n\n{text}{USE}")

    def _save_pretrained(self, save_directory: Path) -> None:
        save_music_tower(self.tower, save_directory / WEIGHTS, self.provenance)
        values = {"model_type": MODEL_TYPE, **self.tower.config.to_dict()}
        write_text(save_directory / CONFIG, json.dumps(values, indent=2) + "\n")

    def _shipped_card(self) -> str | None:
        sha256 = tensors_sha256(self.tower.state_dict())
        for weights, card in CARDS.items():
            if sha256 == tensors_sha256(load_music_tower(weights)[0].state_dict()):
                # Links to other files of the project do not work on the Hub.
                return re.sub(r"\[([^]]*)\]\((?!https?:)[^)]*\)", r"\1", card.read_text(encoding="utf-8"))
        return None

    def _plain_card(self) -> str:
        config = self.tower.config
        trained = f"Trained on {self.provenance.training}." if self.provenance.trained else "Not trained."
        private = (
            " The licences of the training data allow private use only."
            if is_private(self.provenance.details)
            else ""
        )
        return (
            f"# MotionBeat, `{config.arch}`\n\n"
            f"A music tower of MotionBeat: 16 kHz audio in; features at 50 Hz ({config.layers} layers of "
            f"width {config.dim}), beats and bars out.\n\n"
            f"{trained}{private} The metadata of `{WEIGHTS}` contain the provenance: data, licences, "
            f"configuration, step, versions.\n"
        )


def read_config(file: Path) -> MusicTowerConfig:
    """Read the configuration from a config.json.

    Raises:
        CheckpointError: the file is not a configuration of a MotionBeat model.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{file}: cannot be read as JSON ({error}); download or save it again"
        ) from error
    kind = values.pop("model_type", None) if isinstance(values, dict) else None
    if kind != MODEL_TYPE:
        raise CheckpointError(
            f"{file}: expected a model of type {MODEL_TYPE!r}, found {kind!r}; this is the configuration of "
            f"another architecture"
        )
    try:
        return MusicTowerConfig.from_dict(values)
    except ConfigError as error:
        raise CheckpointError(f"{file}: {error}; download or save it again") from error


def _fetch(name: str, file: str, download: Mapping[str, Any]) -> Path:
    """Path of a file of a folder, or of a model on the Hub, which is downloaded."""
    folder = Path(name)
    if folder.is_file():
        raise CheckpointError(f"{name}: expected a folder, found a file; use motionbeat_upstream.load")
    if folder.is_dir():
        if not (folder / file).is_file():
            raise CheckpointError(
                f"{folder}: contains no {file}; expected {CONFIG} and {WEIGHTS} of save_pretrained"
            )
        return folder / file
    try:
        return Path(hf_hub_download(repo_id=name, filename=file, **download))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{name}: no such folder, and {file} cannot be downloaded from the Hub ({reason[:300]}); give a "
            f"folder that save_pretrained wrote, or a model's id OWNER/NAME, and check network and token"
        ) from error
