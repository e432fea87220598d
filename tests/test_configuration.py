"""Every configuration: what is refused, that all of it is told at once, and that no yaml file differs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import partial
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from motion_data.pipeline.config import PipelineConfig
from motion_data.settings import read_values
from motionbeat_upstream.errors import MotionBeatError
from recipes.benchmark.clip_tasks import CLIP_TASKS
from recipes.downstream.beat_tracking import settings as beat_tracking
from recipes.downstream.clip_probing import settings as clip_probing
from recipes.downstream.dance_generation import settings as dance_generation
from recipes.downstream.retrieval import settings as retrieval
from recipes.downstream.s3prl_runner.registration import TASKS
from recipes.downstream.s3prl_runner.request import UNSET
from recipes.downstream.s3prl_runner.task_settings import read_section
from recipes.pretrain.config import CriterionSection, DataSection, ValidationSection
from recipes.pretrain.model import PretrainedModelConfig

TASK_SETTINGS: dict[str, type[Any]] = {
    "beat_tracking": beat_tracking.TaskSettings,
    "retrieval": retrieval.TaskSettings,
    "dance_generation": dance_generation.TaskSettings,
    **dict.fromkeys(CLIP_TASKS, clip_probing.TaskSettings),
}

KINDS: dict[str, type[Any]] = {
    kind.__module__ + "." + kind.__name__: kind
    for kind in (
        *(TASK_SETTINGS.values()),
        PipelineConfig,
        DataSection,
        CriterionSection,
        ValidationSection,
        PretrainedModelConfig,
    )
}


def leaves(config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths and defaults of all settings."""
    for name, value in vars(config).items():
        if is_dataclass(value):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def nested(path: tuple[str, ...], value: object) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


def faults(kind: type[Any], values: object) -> list[str]:
    found: list[str] = []
    config = read_values(kind, values, found)
    assert (config is None) == bool(found)
    return found


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_numbers_are_finite_numbers_and_flags_are_flags(kind: type[Any]) -> None:
    for path, default in leaves(kind()):
        name = ".".join(path)
        wrong: list[Any] = [{"a": 1}, [[]]]
        if isinstance(default, bool):
            wrong += [1, 0.0, "yes", None, []]
        elif isinstance(default, int | float):
            wrong += [True, "3", b"3", math.nan, math.inf, -math.inf, []]
        elif isinstance(default, str):
            wrong += [True, 3 + 1j, []]
        else:
            continue
        if isinstance(default, int):
            wrong.append(1.5)
        for value in wrong:
            found = faults(kind, nested(path, value))
            assert len(found) == 1, (name, value, found)
            assert found[0].startswith((f"{name} = ", f"{name}: ")), (name, value, found)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_all_that_is_wrong_is_told_at_once(kind: type[Any]) -> None:
    """Every setting wrong, and an unknown key in every section: one message for each."""
    values: dict[str, Any] = {}
    sections: set[tuple[str, ...]] = set()
    paths = [path for path, _ in leaves(kind())]
    for path in paths:
        section = values
        for name in path[:-1]:
            section = section.setdefault(name, {})
        section[path[-1]] = {"no": "such"} if path[-1] not in ("music", "motion") else 3
        section["unheard_of"] = 1
        sections.add(path[:-1])
    found = faults(kind, values)
    for path in paths:
        assert sum(fault.startswith(f"{'.'.join(path)}: ") or fault.startswith(f"{'.'.join(path)} = ")
                   for fault in found) == 1, path  # fmt: skip
    for section_path in sections:
        key = ".".join((*section_path, "unheard_of"))
        (fault,) = [fault for fault in found if f"key {key};" in fault]
        assert "; there are " in fault
        assert all(
            path[-1] in fault.partition("; there are ")[2].split(", ")
            for path in paths
            if path[:-1] == section_path
        )
    assert len(found) == len(paths) + len(sections)


@dataclass
class Plain:
    """Of another package: it says nothing of pydantic."""

    share: float = 0.5
    either: int | str = "auto"
    several: list[tuple[int, float]] = field(default_factory=list)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inside: (
            st.lists(inside, max_size=3)
            | st.dictionaries(st.sampled_from(["share", "either", "several", "x"]) | st.integers(), inside)
        ),
        max_leaves=8,
    )
)
def test_any_values_are_read_or_refused_in_one_line_each(values: Any) -> None:
    """No other error, whatever a file holds."""
    for kind in (Plain, beat_tracking.TaskSettings):
        for message in faults(kind, values):
            assert message.isprintable()
            assert "\n" not in message


def test_a_key_is_named_without_the_types_of_a_union() -> None:
    assert faults(beat_tracking.TaskSettings, {"lossrc": {"positive_weight": "much"}}) == [
        "lossrc.positive_weight = 'much': must be a number or must be 'auto'"
    ]
    assert faults(beat_tracking.TaskSettings, {"decodingrc": {"metres": [3, 2.5]}}) == [
        "decodingrc.metres.1 = 2.5: must be a valid integer, got a number with a fractional part"
    ]
    assert faults(beat_tracking.TaskSettings, {"modelrc": [], "plots": 1}) == [
        "modelrc = []: must be a dictionary",
        "plots = 1: must be a valid boolean",
    ]


def test_whole_numbers_may_be_written_with_a_point() -> None:
    settings = beat_tracking.read_settings({"datarc": {"train_batch_size": 8.0, "crop_seconds": 8}})
    assert (type(settings.datarc.train_batch_size), settings.datarc.train_batch_size) == (int, 8)
    assert type(settings.datarc.crop_seconds) is float


def test_no_configuration_can_be_made_wrong() -> None:
    with pytest.raises(ValidationError):
        clip_probing.ModelSettings(hidden=0)
    with pytest.raises(ValidationError):
        DataSection(seconds=0.5)
    with pytest.raises(ValidationError):
        DataSection(batch_size=1)  # the pipeline asks for two clips of a contrast


@pytest.mark.parametrize("task", TASK_SETTINGS)
def test_the_packaged_configuration_holds_every_setting_at_its_default(task: str) -> None:
    """A checkpoint keeps what the file says: a training goes on as it began when a default changes."""
    file = TASKS / task / "config.yaml"
    text = file.read_text(encoding="utf-8")
    section = yaml.safe_load(text)["downstream_expert"]
    defaults = plain(asdict(TASK_SETTINGS[task]()))
    if section["datarc"]["root"] == UNSET:
        assert defaults["datarc"]["root"] == ""
        section["datarc"]["root"] = ""
    assert section == defaults
    for layout in CLIP_TASKS[task].layouts if task in CLIP_TASKS else ():
        assert layout in text
    for line in text.splitlines() if task != "dance_generation" else ():
        assert not line.startswith("    ") or ":" not in line or "#" in line, f"no comment: {line}"


def test_a_larger_dance_model_says_all_of_its_settings_too() -> None:
    text = (TASKS / "dance_generation" / "edge.yaml").read_text(encoding="utf-8")
    section = yaml.safe_load(text)["downstream_expert"]
    dance_generation.read_settings(section)
    defaults = asdict(dance_generation.TaskSettings())
    assert {name: set(of) for name, of in section.items()} == {name: set(of) for name, of in defaults.items()}


def plain(value: Any) -> Any:
    """Lists in place of tuples, as YAML has them."""
    if isinstance(value, dict):
        return {name: plain(inside) for name, inside in value.items()}
    return [plain(inside) for inside in value] if isinstance(value, tuple) else value


read_genre = partial(read_section, "genre", clip_probing.TaskSettings, layouts=("gtzan",))


@pytest.mark.parametrize(
    ("read", "values", "message"),
    [
        (
            beat_tracking.read_settings,
            {
                "datarc": {"chunk_seconds": 10, "overlap_seconds": 8},
                "modelrc": {"probe": "deep"},
                "lossrc": {"positive_weight": -1},
                "decodingrc": {"decoders": ["dbn", "dbn"]},
                "scoringrc": {"select_by": "luck"},
            },
            r"datarc: chunk_seconds must be above twice overlap_seconds; modelrc\.probe = 'deep': must be "
            r"'linear', 'mlp' or 'conv'; lossrc\.positive_weight = -1: must be greater than 0 or must be "
            r"'auto'; decodingrc\.decoders = .*: must be one or more different decoders; "
            r"scoringrc\.select_by = 'luck'",
        ),
        (
            beat_tracking.read_settings,
            {
                "datarc": {"split_ratios": [0.0, 1.0]},
                "decodingrc": {"min_bpm": 99, "max_bpm": 99},
            },
            r"datarc\.split_ratios\.0 = 0\.0: must be greater than 0; datarc\.split_ratios\.2 is missing; "
            r"decodingrc: max_bpm must be above min_bpm",
        ),
        (
            read_genre,
            {"datarc": {"layout": "nsynth", "train_batch_size": 1}},
            r"genre, downstream_expert: datarc\.layout = 'nsynth': must be one of gtzan; "
            r"datarc\.train_batch_size = 1",
        ),
        (
            retrieval.read_settings,
            {"datarc": {"seconds": 7}, "scoringrc": {"pool": 1}},
            r"datarc\.root must name the folder.*datarc: seconds must be at most longest_seconds.*pool = 1",
        ),
        (
            dance_generation.read_settings,
            {"modelrc": {"heads": 5}, "diffusionrc": {"steps": 2000}},
            r"datarc\.root must name.*width must be even and a multiple of heads.*steps must be at most "
            r"levels",
        ),
        (
            beat_tracking.read_settings,
            {"decodingrc": {"decoders": ["dbn", "hmm"]}},
            r"decodingrc\.decoders\.1 = 'hmm': must be 'dbn' or 'peaks'",
        ),
        (dance_generation.read_settings, {"modelrc": {"reach": 4}}, r"modelrc\.reach = 4: must be odd, or 0"),
    ],
)
def test_rules_of_the_tasks(read: Any, values: Any, message: str) -> None:
    with pytest.raises(MotionBeatError, match=message):
        read(values)


def test_an_option_left_empty_is_none() -> None:
    data = beat_tracking.read_settings({"datarc": {"test_fold": "", "root": ""}}).datarc
    assert (data.test_fold, data.root) == (None, None)
    for fold in (2, "two"):
        assert beat_tracking.read_settings({"datarc": {"test_fold": fold}}).datarc.test_fold == fold
    clips = read_genre({"datarc": dict.fromkeys(("root", "layout"), "")})
    assert (clips.datarc.root, clips.datarc.layout) == (None, None)


def test_files_are_found_beside_each_task() -> None:
    """No task of ours is left out above."""
    packaged = {path.parent.name for path in TASKS.glob("*/expert.py")}
    assert packaged == set(TASK_SETTINGS)
