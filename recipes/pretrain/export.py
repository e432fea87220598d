"""``python -m recipes.pretrain.export OUT FILE``: write the music tower of a run as the upstream reads it."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Mapping, Sequence
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
"""Whose versions are written down."""


@command("recipes.pretrain.export", extra="pretrain")
def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser("python -m recipes.pretrain.export", description=__doc__)
    parser.add_argument("run", type=Path, metavar="OUT", help="folder of a run")
    parser.add_argument(
        "file", type=output_file(".safetensors"), metavar="FILE", help="a .safetensors file to write"
    )
    parser.add_argument("--step", help="best (the default), last, or a step's number", default="best")
    parser.add_argument(
        "--grid-from",
        choices=("dev", *GRID_SOURCES),
        default="dev",
        help="what the grid of audio alone is estimated from; dev (the default): the beat heads where they "
        "were trained, otherwise what does well on the dev split",
    )
    parser.add_argument(
        "--grid-songs",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="data sets of the task beat_tracking to choose that by too, each counting as much as the dev "
        "split; songs that no test will be made on",
    )
    parser.add_argument(
        "--motion-side",
        type=output_file(".safetensors"),
        metavar="FILE",
        help="another .safetensors file to write: the motion tower and the heads, to compare music and "
        "motion with",
    )
    parser.add_argument(
        "--private",
        action="store_true",
        help="export even what was trained on music or motion that must not be used commercially, or not be "
        "changed; FILE says so, and is for your own use",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    options = parser.parse_args(arguments)
    outputs = [options.file, options.motion_side]
    refuse_inputs(outputs, [])
    refuse_to_replace(outputs, options.overwrite)
    provenance = export(
        *(options.run, options.file, options.step, options.grid_from, options.grid_songs),
        *(options.motion_side, options.private),
    )
    step = provenance.details["step"]
    print(f"{options.file}: the music tower of step {step}, {provenance.training}")
    if provenance.details["private"]:
        print(f"{options.file}: for your own use, by the licences of what it was trained on")
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
    """Write the music tower of a run.

    Args:
        run: its folder.
        file: to write; it appears only when it is whole.
        step: ``best``, ``last`` or a number.
        grid_from: what the tower estimates the grid of audio alone from: the beat ``heads``, ``onsets``, or
            ``pulses`` at the weight that does well on the dev split. ``dev`` stands for the heads where they
            were trained, otherwise for the better of the other two on the dev split; see
            :mod:`~recipes.pretrain.grid_source`.
        grid_songs: data sets of the task beat_tracking to choose that by too.
        motion_side: to write the motion tower and the heads to.
        private: whether corpora whose licences forbid commercial use or changed versions are allowed; the
            files' metadata say then that they are for private use.

    Raises:
        DataError: without ``private``, such pairs; named.
        MotionBeatError: no run, no such checkpoint, or a checkpoint that cannot be read.
        DataError, AudioError: the corpora that the run names, or the songs, are not there or cannot be read.
    """
    number = chosen_step(run, step)

    from motionbeat_upstream.checkpoint import Provenance, save_motion_side, save_music_tower
    from recipes.pretrain.grid_source import GridChoice, choose_grid_source
    from recipes.pretrain.initial_weights import read_init

    model, values = load_model(run, number)
    tower = model.motionbeat.music
    corpora = [read_corpus(folder) for folder in values["data"]["corpora"]]
    init = read_init(run)
    restricted = _restriction(corpora, run, init)
    if restricted is not None and not private:
        raise DataError(f"{restricted}, or export for your own use with --private")
    sources: Sequence[str] = (grid_from,)
    if grid_from == "dev":
        heads = values["criterion"]["settings"].get("heads", {"beat": 0.0})
        sources = ("heads",) if heads["beat"] and tower.config.beat_heads else ("onsets", "pulses")
    elif grid_from == "heads" and not tower.config.beat_heads:
        raise MotionBeatError(f"{run}: its model has no beat heads; leave --grid-from out")
    if sources == ("heads",):
        # Nothing to choose: the decoder has the heads alone.
        grid = GridChoice("heads", tower.config.grid_trust, {})
    else:
        grid = choose_grid_source(tower, corpora, grid_songs, sources)
    tower.config = replace(tower.config, grid_from=grid.source, grid_trust=grid.trust)
    names = [str(corpus.info["corpus"]) for corpus in corpora]
    training = " and ".join(names)
    if init is not None:
        training += f", begun with weights trained on {init['training']}"
    details = {
        "step": number,
        "seed": values["common"]["seed"],
        "manifest_sha256": {str(corpus.info["corpus"]): corpus.sha256 for corpus in corpora},
        "config": {key: values[key] for key in ("model", "data", "criterion", "trainer", "optimizer")}
        | {"lr_scheduler": values["lr_scheduler"]},
        "versions": {"motionbeat": __version__}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "validation": validation_at(run, number),
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


def _restriction(corpora: Sequence[Corpus], run: Path, init: Mapping[str, Any] | None) -> str | None:
    """Why weights are for private use alone; None where they are not."""
    from motionbeat_upstream.checkpoint import is_private

    try:
        check_licences(corpora)
    except DataError as error:
        return str(error)
    if init is not None and is_private(init["details"]):
        return f"{run}: it began with weights that are for private use; begin with others"
    return None


def chosen_step(run: Path, step: str) -> int:
    """The number of the checkpoint that is meant.

    Raises:
        MotionBeatError: there is none such.
    """
    there = _steps(run)
    if not there:
        raise MotionBeatError(f"{run}: holds no checkpoint; train first, or give the folder of a run")
    if step == "last":
        return there[-1]
    if step == "best":
        found = scores(run)
        return max(found, key=lambda number: (found[number], number)) if found else there[-1]
    if step.isdecimal() and int(step) in there:
        return int(step)
    raise MotionBeatError(f"{run}: no checkpoint of step {step}; there are {', '.join(map(str, there))}")


def scores(run: Path) -> dict[int, float]:
    """Score of each checkpoint of a run, by step; what the best one is chosen by."""
    return {
        step: float(score.read_text(encoding="utf-8"))
        for step in _steps(run)
        if (score := run / "checkpoints/scores" / f"step_{step}.txt").is_file()
    }


def _steps(run: Path) -> list[int]:
    return sorted(
        int(path.name[5:])
        for path in (run / "checkpoints").glob("step_*")
        if path.name[5:].isdecimal() and (path / "model").is_dir()
    )


def load_model(run: Path, step: int) -> tuple[PretrainedModel, dict[str, Any]]:
    """What a run trained, at a step, and the values of its configuration.

    Raises:
        MotionBeatError: files that cannot be read, or weights that do not fit the configuration.
    """
    import torch
    from ruamel.yaml import YAML

    from recipes.pretrain.model import PretrainedModel, PretrainedModelConfig
    from recipes.pretrain.request import read_config

    file = run / "config.yaml"
    try:
        values: dict[str, Any] = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
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
        raise MotionBeatError(f"{weights}: not the weights of this run ({reason[:200]})") from error
    return model.eval(), values


def validation_at(run: Path, step: int) -> dict[str, float]:
    """The figures of the validation at a step; none where it was not validated."""
    file = run / "metrics/valid.jsonl"
    if not file.is_file():
        return {}
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record.get("Step") == step:
            return {name: value for name, value in record.items() if "." in name}
    return {}


if __name__ == "__main__":
    sys.exit(main())
