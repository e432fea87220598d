"""``python -m recipes.pretrain.export OUT FILE``: export the music tower of a run for the upstream."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motion_data.errors import DataError
from motion_data.manifest import Corpus, read_corpus
from motion_data.sources import COPYLEFT_NOTE, check_licences, has_copyleft, licence_rows, training_pairs
from motionbeat_upstream.commands.command import command
from motionbeat_upstream.commands.paths import output_file, refuse_inputs, refuse_to_replace
from motionbeat_upstream.config import GRID_SOURCES
from motionbeat_upstream.errors import MotionBeatError
from motionbeat_upstream.version import __version__

if TYPE_CHECKING:
    from motionbeat_upstream.checkpoint import Provenance
    from recipes.pretrain.model import PretrainedModel

PACKAGES = ("torch", "fairseq2", "numpy")
"""Packages whose versions are recorded."""


@command("recipes.pretrain.export", extra="pretrain")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m recipes.pretrain.export", description=__doc__)
    parser.add_argument("run", type=Path, metavar="OUT", help="folder of a run")
    parser.add_argument(
        "file", type=output_file(".safetensors"), metavar="FILE", help="a .safetensors file to write"
    )
    parser.add_argument("--step", help="best (default), last, or the number of a step", default="best")
    parser.add_argument(
        "--grid-from",
        choices=("dev", *GRID_SOURCES),
        default="dev",
        help="source of the grid estimated from audio; dev (default): the beat heads if they were trained, "
        "otherwise the source selected on the dev split",
    )
    parser.add_argument(
        "--grid-songs",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="data sets of the task beat_tracking for this selection, each with the weight of the dev split; "
        "do not use songs of a test set",
    )
    parser.add_argument(
        "--motion-side",
        type=output_file(".safetensors"),
        metavar="FILE",
        help="also write the motion tower and the heads, for comparing music and motion, to this "
        ".safetensors file",
    )
    parser.add_argument(
        "--private",
        action="store_true",
        help="allow training data whose licences forbid commercial use or derivatives; FILE is marked as for "
        "private use",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    options = parser.parse_args(arguments)
    outputs = [options.file, options.motion_side]
    refuse_inputs(outputs, [])
    refuse_to_replace(outputs, options.overwrite)
    provenance = export(
        options.run,
        options.file,
        options.step,
        options.grid_from,
        options.grid_songs,
        options.motion_side,
        options.private,
    )
    print(f"{options.file}: music tower of step {provenance.details['step']}, {provenance.training}")
    if provenance.details["private"]:
        print(f"{options.file}: for private use only, because of the licences of its training data")
    return 0


def export(
    run: Path,
    file: Path,
    step: str = "best",
    grid_from: str = "dev",
    grid_songs: Sequence[Path] = (),
    motion_side: Path | None = None,
    private: bool = False,
) -> Provenance:
    """Export the music tower of a run.

    Args:
        run: folder of the run.
        file: file to write; it appears only when it is complete.
        step: ``best``, ``last`` or a number.
        grid_from: source of the grid estimated from audio: the beat ``heads``, ``onsets``, or ``pulses`` with
            the weight selected on the dev split. ``dev`` uses the heads if they were trained, otherwise the
            better of the other two on the dev split; see :mod:`~recipes.pretrain.grid_source`.
        grid_songs: data sets of the task beat_tracking for the same selection.
        motion_side: file for the motion tower and the heads.
        private: whether to allow corpora whose licences forbid commercial use or derivatives; the metadata
            then mark the files as for private use.

    Raises:
        DataError: such corpora without ``private``; or corpora or songs that are missing or invalid.
        AudioError: sound that cannot be read.
        MotionBeatError: no run, no such checkpoint, or a checkpoint that cannot be read.
    """
    number = resolve_step(run, step)

    from motionbeat_upstream.checkpoint import Provenance, save_motion_side, save_music_tower
    from recipes.pretrain.grid_source import GridChoice, choose_grid_source
    from recipes.pretrain.initial_weights import read_init

    model, config_values = load_model(run, number)
    tower = model.motionbeat.music
    corpora = [read_corpus(folder) for folder in config_values["data"]["corpora"]]
    init = read_init(run)
    restricted = _private_reason(corpora, run, init)
    if restricted is not None and not private:
        raise DataError(f"{restricted}, or export for private use with --private")
    sources: Sequence[str] = (grid_from,)
    if grid_from == "dev":
        heads = config_values["criterion"]["settings"].get("heads", {"beat": 0.0})
        sources = ("heads",) if heads["beat"] and tower.config.beat_heads else ("onsets", "pulses")
    elif grid_from == "heads" and not tower.config.beat_heads:
        raise MotionBeatError(f"{run}: the model has no beat heads; leave --grid-from out")
    if sources == ("heads",):
        grid = GridChoice("heads", tower.config.grid_trust, {})
    else:
        grid = choose_grid_source(tower, corpora, grid_songs, sources)
    tower.config = replace(tower.config, grid_from=grid.source, grid_trust=grid.trust)
    names = [str(corpus.info["corpus"]) for corpus in corpora]
    training = " and ".join(names)
    if init is not None:
        training += f", initialised with weights trained on {init['training']}"
    details = {
        "step": number,
        "seed": config_values["common"]["seed"],
        "manifest_sha256": {str(corpus.info["corpus"]): corpus.sha256 for corpus in corpora},
        "config": {key: config_values[key] for key in ("model", "data", "criterion", "trainer", "optimizer")}
        | {"lr_scheduler": config_values["lr_scheduler"]},
        "versions": {"motionbeat": __version__}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "validation": read_validation(run, number),
        "grid": grid.to_dict(),
        "init": init,
        "private": restricted is not None,
        "licences": [asdict(row) for row in licence_rows(training_pairs(corpora))],
        "licence_note": COPYLEFT_NOTE if has_copyleft(training_pairs(corpora)) else None,
    }
    provenance = Provenance(training, json.loads(json.dumps(details, default=str)))
    save_music_tower(tower, file, provenance)
    if motion_side is not None:
        save_motion_side(model.motionbeat, motion_side, provenance)
    return provenance


def _private_reason(corpora: Sequence[Corpus], run: Path, init: Mapping[str, Any] | None) -> str | None:
    """Reason why weights are for private use only, or None."""
    from motionbeat_upstream.checkpoint import is_private

    try:
        check_licences(corpora)
    except DataError as error:
        return str(error)
    if init is not None and is_private(init["details"]):
        return f"{run}: its initial weights are for private use; start from others"
    return None


def resolve_step(run: Path, step: str) -> int:
    """Return the step of the checkpoint named ``best``, ``last``, or by its number.

    Raises:
        MotionBeatError: there is no such checkpoint.
    """
    steps = checkpoint_steps(run)
    if not steps:
        raise MotionBeatError(f"{run}: contains no checkpoint; train first, or give the folder of a run")
    if step == "last":
        return steps[-1]
    if step == "best":
        step_scores = checkpoint_scores(run)
        return (
            max(step_scores, key=lambda number: (step_scores[number], number)) if step_scores else steps[-1]
        )
    if step.isdecimal() and int(step) in steps:
        return int(step)
    raise MotionBeatError(f"{run}: no checkpoint of step {step}; choose from {', '.join(map(str, steps))}")


def checkpoint_scores(run: Path) -> dict[int, float]:
    """Scores of the checkpoints of a run by step; the highest is the best checkpoint."""
    return {
        step: float(score.read_text(encoding="utf-8"))
        for step in checkpoint_steps(run)
        if (score := run / "checkpoints/scores" / f"step_{step}.txt").is_file()
    }


def checkpoint_steps(run: Path, part: str = "model") -> list[int]:
    """Steps of the checkpoints of a run that contain a part (``model``, ``trainer``, …), in order."""
    return sorted(
        int(path.name[5:])
        for path in (run / "checkpoints").glob("step_*")
        if path.name[5:].isdecimal() and (path / part).is_dir()
    )


def load_model(run: Path, step: int) -> tuple[PretrainedModel, dict[str, Any]]:
    """Load the model of a run at a step, and the values of its configuration.

    Raises:
        MotionBeatError: files that cannot be read, or weights that do not match the configuration.
    """
    import torch
    from ruamel.yaml import YAML

    from recipes.pretrain.model import PretrainedModel, PretrainedModelConfig
    from recipes.pretrain.request import read_config

    file = run / "config.yaml"
    try:
        config_values: dict[str, Any] = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise MotionBeatError(
            f"{file}: cannot be read ({error.strerror}); give the folder of a run"
        ) from error
    config = read_config(file)
    overrides: Any = config.model.config_overrides or {}
    model = PretrainedModel(PretrainedModelConfig(**{"arch": config.model.arch, **overrides}))
    weights = run / f"checkpoints/step_{step}/model/pp_00/tp_00/sdp_00.pt"
    try:
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise MotionBeatError(
            f"{weights}: cannot be read, or does not match config.yaml ({reason[:200]}); train again"
        ) from error
    return model.eval(), config_values


def read_validation(run: Path, step: int) -> dict[str, float]:
    """Metrics of the validation at a step; empty if there was none."""
    for record in read_metrics(run, "valid"):
        if record.get("Step") == step:
            return {name: value for name, value in record.items() if "." in name}
    return {}


def read_metrics(run: Path, name: str) -> list[dict[str, Any]]:
    """Read the records of ``metrics/NAME.jsonl`` of a run, without incomplete lines of killed processes."""
    file = run / f"metrics/{name}.jsonl"
    records: list[dict[str, Any]] = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        with suppress(json.JSONDecodeError):
            records.append(json.loads(line))
    return records


if __name__ == "__main__":
    sys.exit(main())
