"""What a run is asked for: every key checked, every packaged configuration readable, one line a fault."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from fairseq2.utils.structured import StandardValueConverter
from ruamel.yaml import YAML

from motionbeat_upstream.errors import MotionBeatError
from recipes.pretrain.__main__ import main
from recipes.pretrain.config import PretrainConfig
from recipes.pretrain.options import CONFIGS
from recipes.pretrain.request import check, parse, read_config
from tests.made_corpus import Made, write_corpus

PACKAGED = sorted(str(path.relative_to(CONFIGS).with_suffix("")) for path in CONFIGS.rglob("*.yaml"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, [Made(f"p{i}", bpm=100.0 + i, seconds=8.0) for i in range(4)])
    return folder


@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_configuration_can_be_read(name: str) -> None:
    config = read_config(name)
    assert config.data.corpora
    assert config.common.no_sweep_dir


def test_overrides_come_after_the_file_and_both_after_the_base(corpus: Path) -> None:
    arguments = [
        "out",
        "--config-file",
        "quickstart",
        "--config",
        f"data.corpora=[{corpus}]",
        "common.seed=7",
    ]
    request = parse(arguments)
    assert request.folder == Path("out")
    assert request.config.common.seed == 7
    assert request.config.data.corpora == [str(corpus)]
    assert request.config.data.batch_size == read_config("quickstart").data.batch_size
    assert request.config.criterion == read_config("tiny").criterion


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.batchsize=3", r"unknown key data\.batchsize"),
        ("nothing=3", "unknown key nothing"),
        ("criterion.settings.ecl.wait=1", r"unknown key criterion\.settings\.ecl\.wait"),
        ("optimizer.config.learning_rate=1", r"unknown key optimizer\.config\.learning_rate"),
        ("model.config_overrides.musik={}", r"unknown key model\.config_overrides\.musik"),
        ("model.config_overrides.music={dimm: 3}", "dimm"),
        ("model.config_overrides.music={dim: 7}", "multiple of 2"),
        ("data.batch_size=many", r"data\.batch_size"),
        ("data.batch_size=0", r"data\.batch_size = 0: must be greater than or equal to 1"),
        ("data.corpora=[]", "no corpora"),
        ("criterion.settings.sral_weight=-1", "sral_weight = -1: must be greater than or equal to 0"),
        ("criterion.settings.frames.pulse_target=steps", "pulse_target"),
        ("criterion.stop_after=0", "stop_after"),
        ("lr_scheduler.config.cycle_len=null", "cycle_len is required"),
        ("common.no_sweep_dir=false", "no_sweep_dir"),
        ("regime.num_steps=null", "num_steps is required"),
        ("regime.checkpoint_every_n_steps=7", "checkpoint_every_n_steps"),
        ("validation.pool=1", "pool = 1: must be greater than or equal to 2"),
        ("model.family=wav2vec2", "model: family must be"),
        ("data.corpora=[nowhere]", "no prepared corpus"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(override: str, message: str, corpus: Path) -> None:
    arguments = ["out", "--config-file", "quickstart", "--config", f"data.corpora=[{corpus}]", override]
    with pytest.raises(ValueError, match=message):
        check(arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "expected keys with values"),
        ("a: [", "cannot be read as YAML"),
        ("base: itself.yaml\n", "is its own base"),
        ("base: other.yaml\n", "other.yaml"),
        ("data: 3\n", "data"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "itself.yaml"
    file.write_text(text)
    with pytest.raises(MotionBeatError, match=message):
        read_config(file)


def test_user_errors_have_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        [],
        ["--nothing"],
        [str(tmp_path / "out"), "--config-file", "no-such"],
        [str(tmp_path / "out"), "--config-file", "quickstart", "--config", "data.corpora=[nowhere]"],
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith("recipes.pretrain: ")
        assert "\n" not in error
        assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_the_defaults_are_valid_except_for_the_corpora() -> None:
    message = r"^data\.corpora = \[\]: no corpora; name at least one prepared folder$"
    with pytest.raises(MotionBeatError, match=message):
        read_config(None)
    overrides = [{"data": {"corpora": ["corpus"]}}]
    config = read_config(None, overrides)
    defaults = PretrainConfig()
    assert replace(config, data=defaults.data) == defaults
    assert config.data == replace(defaults.data, corpora=["corpus"])
    # It survives the conversion of fairseq2, which records it.
    converter = StandardValueConverter()
    assert converter.structure(converter.unstructure(config), PretrainConfig).data == config.data


def test_all_errors_are_listed_together() -> None:
    wrong = {
        "model": {"config_overrides": {"musik": {}, "projection": 0}},
        "data": {"corpora": ["nowhere"], "batch_size": True, "seconds": "5", "fps": 50},
        "criterion": {"settings": {"ecl": {"weight": math.nan}, "sral": {"band": 10**30}}},
        "trainer": {"mixed_precision": {"dtype": "float99"}, "fp16_loss_scale": 1, "max_grad_norm": "x"},
        "optimizer": {"config": {"lr": "fast", "momentum": 1}},
        "lr_scheduler": {"config": {"cycle_len": None}},
        "regime": {"validate_every_n_steps": 30, "num_steps": 1000.0},
        "common": 3,
        "nothing": 3,
    }
    with pytest.raises(MotionBeatError) as error:
        read_config("tiny", [wrong])
    for message in (
        "unknown key model.config_overrides.musik; there are arch, music, motion,",
        "model.config_overrides.projection = 0: must be greater than or equal to 1",
        "data.batch_size = True: must be a number",
        "data.seconds = '5': must be a number",
        "unknown key data.fps; there are bars, seconds,",
        "criterion.settings.ecl.weight = nan: must be a finite number",
        "criterion.settings.sral.band = 1000000000000000000000000000000: must be less than or equal to 10000",
        "trainer.mixed_precision.dtype = 'float99': must be an instance of dtype",
        "trainer.fp16_loss_scale = 1: must be a valid tuple",
        "trainer.max_grad_norm = 'x': must be a valid number",
        "optimizer.config.lr = 'fast': must be a number",
        "unknown key optimizer.config.momentum; there are lr, betas,",
        "lr_scheduler.config: cycle_len is required",
        "regime: `validate_every_n_steps` must be a multiple of `publish_metrics_every_n_steps`",
        "common = 3: must be a dictionary",
        "unknown key nothing; there are model, init, data,",
    ):
        assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "num_steps =" not in str(error.value)


def test_a_recorded_configuration_without_the_newest_keys_still_opens(tmp_path: Path) -> None:
    """Keys that are missing in the record of an earlier version have their defaults."""
    values = StandardValueConverter().unstructure(read_config("tiny"))
    assert isinstance(values, dict)
    del values["data"]["speed_octaves"], values["criterion"]["settings"]["heads"], values["validation"]
    file = tmp_path / "config.yaml"
    YAML(typ="safe", pure=True).dump(values, file)
    assert read_config(file) == read_config("tiny")
