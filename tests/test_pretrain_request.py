"""What a run is asked for: every key checked, every packaged configuration readable, one line a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.pretrain.__main__ import main
from recipes.pretrain.config import PretrainConfig
from recipes.pretrain.errors import PretrainError
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
    assert request.config.data.corpora == [corpus]
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
        ("data.batch_size=0", "batch_size must be"),
        ("data.corpora=[]", "no corpora"),
        ("criterion.settings.sral_weight=-1", "sral_weight must be at least 0"),
        ("criterion.settings.frames.pulse_target=steps", "pulse_target"),
        ("criterion.stop_after=0", "stop_after"),
        ("lr_scheduler.config.cycle_len=null", "cycle_len must be given"),
        ("common.no_sweep_dir=false", "no_sweep_dir"),
        ("regime.num_steps=null", "num_steps must be given"),
        ("regime.checkpoint_every_n_steps=7", "checkpoint_every_n_steps"),
        ("validation.pool=1", "pool must be at least 2"),
        ("model.family=wav2vec2", "model.family must be"),
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
        ("a: [", "not a YAML file"),
        ("base: itself.yaml\n", "is its own base"),
        ("base: other.yaml\n", "other.yaml"),
        ("data: 3\n", "data"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "itself.yaml"
    file.write_text(text)
    with pytest.raises(PretrainError, match=message):
        read_config(file)


def test_a_users_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        [],
        ["--nothing"],
        [str(tmp_path / "out"), "--config-file", "no-such"],
        [str(tmp_path / "out"), "--config-file", "quickstart", "--config", "data.corpora=[nowhere]"],
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err.strip()
        assert said.startswith("recipes.pretrain: ")
        assert "\n" not in said
        assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_the_defaults_are_a_run_but_for_the_corpora() -> None:
    assert PretrainConfig().validate().errors == []
    assert PretrainConfig().data.validate().errors == ["no corpora; name at least one prepared folder"]
