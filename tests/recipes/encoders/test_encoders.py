"""Published encoders as upstreams, with small random weights in folders of the published layout."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from muq import MuQ, MuQConfig
from torch import Tensor
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor, WavLMConfig, WavLMModel

from motionbeat_upstream.errors import CheckpointError, MotionBeatError
from recipes.downstream import run_downstream
from recipes.downstream.encoder import load_encoder
from recipes.encoders import load_entry
from recipes.encoders.conformers import ROPE_LARGE, ConformerUpstream
from recipes.encoders.waveform_upstream import WaveformUpstream

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
CONFORMER = ROPE_LARGE | {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_activation": "gelu",
    "hidden_dropout": 0.1,
    "activation_dropout": 0.1,
    "attention_dropout": 0.1,
    "conformer_conv_dropout": 0.1,
    "rotary_embedding_base": 10000,
    "layerdrop": 0.1,
}
STATISTICS = {"melspec_2048_mean": -4.0, "melspec_2048_std": 9.0}


def extractor(folder: Path, rate: int, normalise: bool) -> None:
    Wav2Vec2FeatureExtractor(sampling_rate=rate, do_normalize=normalise).save_pretrained(folder)


def wavlm(folder: Path) -> None:
    WavLMModel(WavLMConfig(**SIZES)).save_pretrained(folder)
    extractor(folder, 16_000, True)


def mert(folder: Path) -> None:
    HubertModel(HubertConfig(**SIZES)).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "mert_model",
        "architectures": ["MERTModel"],
        "auto_map": {"AutoConfig": "configuration_MERT.MERTConfig", "AutoModel": "modeling_MERT.MERTModel"},
        "feature_extractor_cqt": True,
        "deepnorm": False,
        "attention_relax": -1.0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    extractor(folder, 24_000, False)


def muq(folder: Path) -> None:
    config = MuQConfig(
        conv_dim=8, encoder_dim=64, encoder_depth=2, codebook_size=32, stat=STATISTICS, w2v2_config=CONFORMER
    )
    MuQ(config).save_pretrained(folder)


def musicfm(folder: Path) -> None:
    from transformers import Wav2Vec2ConformerConfig

    sizes = {
        name: CONFORMER[name]
        for name in CONFORMER
        if "size" in name or "num_hidden" in name or "heads" in name
    }
    values = Wav2Vec2ConformerConfig.from_dict(ROPE_LARGE | sizes).to_dict()
    config = MuQConfig(
        conv_dim=8,
        encoder_dim=64,
        encoder_depth=2,
        codebook_size=32,
        stat=STATISTICS,
        w2v2_config={name: value for name, value in values.items() if not isinstance(value, dict)},
    )
    state = {f"model.{name}": value for name, value in MuQ(config).model.state_dict().items()}
    # The names of MusicFM's quantisers end in a number.
    renamed = {
        name.replace("quantizer_melspec_2048.", "quantizer_melspec_2048_0."): state[name] for name in state
    }
    folder.mkdir()
    torch.save({"state_dict": renamed}, folder / "pretrained_msd.pt")
    (folder / "msd_stats.json").write_text(json.dumps(STATISTICS))


FOLDERS: dict[str, tuple[Callable[[Path], None], int, float]] = {
    "hf_audio_local": (wavlm, 3, 320.0),
    "mert_local": (mert, 3, 320 * 16 / 24),
    "muq_local": (muq, 3, 640.0),
    "musicfm_local": (musicfm, 3, 640.0),
}
"""A function that writes the folder, the number of layers, and samples at 16 kHz per frame."""


@pytest.fixture(params=sorted(FOLDERS))
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, WaveformUpstream]:
    write_folder, _, _ = FOLDERS[request.param]
    torch.manual_seed(0)
    folder = tmp_path / "model"
    write_folder(folder)
    return request.param, folder, load_entry(request.param)(ckpt=folder)


def click(seconds: float, time: float) -> Tensor:
    wav = 1e-3 * torch.randn(round(16_000 * seconds), generator=torch.Generator().manual_seed(0))
    wav[round(16_000 * time)] = 1.0
    return wav


def test_every_layer_has_the_rate_of_the_model(encoder: tuple[str, Path, WaveformUpstream]) -> None:
    name, _, upstream = encoder
    _, layers, hop = FOLDERS[name]
    assert upstream.get_downsample_rates("hidden_states") == pytest.approx(hop)
    states = upstream([torch.randn(48_000)])["hidden_states"]
    assert len(states) == layers
    frames = 48_000 / hop
    assert all(frames - 2 <= state.shape[1] <= frames + 1 for state in states)


def test_features_do_not_depend_on_the_batch(encoder: tuple[str, Path, WaveformUpstream]) -> None:
    _, _, upstream = encoder
    long, short = torch.randn(32_000), torch.randn(20_000)
    both, alone = upstream([long, short])["hidden_states"], upstream([short.clone()])["hidden_states"]
    for batch, single in zip(both, alone, strict=True):
        torch.testing.assert_close(batch[1, : single.shape[1]], single[0], rtol=0, atol=0)
        assert not batch[1, single.shape[1] :].any()


def test_a_click_changes_the_features_at_its_time(encoder: tuple[str, Path, WaveformUpstream]) -> None:
    _, _, upstream = encoder
    rate = upstream.get_downsample_rates("hidden_states")
    first, second = (upstream([click(3.0, time)])["hidden_states"][0][0] for time in (1.0, 2.0))
    difference = (first - second).norm(dim=1)
    half = len(difference) // 2
    for frame, time in ((difference[:half].argmax(), 1.0), (half + difference[half:].argmax(), 2.0)):
        assert abs((float(frame) + 0.5) * rate / 16_000 - time) < 0.08


def test_the_weights_are_loaded_from_the_folder(encoder: tuple[str, Path, WaveformUpstream]) -> None:
    name, folder, upstream = encoder
    wav = torch.randn(16_000)
    torch.manual_seed(99)
    states = load_entry(name)(ckpt=folder)([wav.clone()])["hidden_states"]
    for state, expected in zip(states, upstream([wav])["hidden_states"], strict=True):
        torch.testing.assert_close(state, expected, rtol=0, atol=0)
    loaded = load_encoder("x", name, folder)
    assert loaded.fingerprint == load_encoder("y", name, folder).fingerprint
    assert loaded.layers(wav).shape[0] == 3


def test_musicfm_is_muqs_conformer_with_weights_of_its_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    musicfm(tmp_path / "model")
    upstream = load_entry("musicfm_local")(ckpt=tmp_path / "model")
    assert isinstance(upstream, ConformerUpstream)
    state = torch.load(tmp_path / "model" / "pretrained_msd.pt", weights_only=True)["state_dict"]
    for name, value in upstream.model.state_dict().items():
        if not name.startswith("quantizer_"):
            torch.testing.assert_close(value, state[f"model.{name}"], rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_incomplete_folders_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="got none"):
        load_entry(name)()
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="has no "):
        load_entry(name)(ckpt=tmp_path / "empty")
    FOLDERS[name][0](tmp_path / "model")
    for file in sorted((tmp_path / "model").iterdir()):
        content = file.read_bytes()
        if file.suffix in (".json", ".safetensors", ".pt"):
            file.unlink()
            with pytest.raises(CheckpointError, match=r"has (no|pretrained_msd.pt but no) "):
                load_entry(name)(ckpt=tmp_path / "model")
            file.write_bytes(content)
        if file.suffix in (".safetensors", ".pt"):
            file.write_bytes(content[: len(content) // 2])
            with pytest.raises(CheckpointError, match=f"{tmp_path}"):
                load_entry(name)(ckpt=tmp_path / "model")
            file.write_bytes(content)


class Bad:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, ("ran",)  # type: ignore[return-value]


def test_code_in_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    musicfm(tmp_path / "model")
    with (tmp_path / "model" / "pretrained_msd.pt").open("wb") as file:
        pickle.dump({"state_dict": Bad()}, file)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_entry("musicfm_local")(ckpt=tmp_path / "model")
    assert not (tmp_path / "ran").exists()


def test_code_in_the_folder_is_run_only_if_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "model"
    mert(folder)
    (folder / "configuration_MERT.py").write_text(
        "from pathlib import Path\n"
        "from transformers import HubertConfig\n"
        f"Path({str(tmp_path / 'ran')!r}).touch()\n"
        "class MERTConfig(HubertConfig):\n    model_type = 'mert_model'\n"
    )
    (folder / "modeling_MERT.py").write_text(
        "from transformers import HubertModel\n"
        "from .configuration_MERT import MERTConfig\n"
        "class MERTModel(HubertModel):\n    config_class = MERTConfig\n"
    )
    plain = load_entry("mert_local")(ckpt=folder)
    with pytest.raises(CheckpointError, match="is run only with -g trust_remote_code"):
        load_entry("hf_audio_local")(ckpt=folder)
    with pytest.raises(MotionBeatError, match="-g yes: expected trust_remote_code or nothing"):
        load_entry("mert_local")(ckpt=folder, model_config="yes")
    assert not (tmp_path / "ran").exists()
    trusted = load_entry("mert_local")(ckpt=folder, model_config="trust_remote_code")
    assert (tmp_path / "ran").exists()
    wav = torch.randn(16_000)
    torch.testing.assert_close(plain([wav])["last_hidden_state"], trusted([wav])["last_hidden_state"])


def test_a_mert_with_another_attention_is_refused(tmp_path: Path) -> None:
    mert(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"attention_relax": 32.0}))
    with pytest.raises(CheckpointError, match=r"its own attention in modeling_MERT.py; -g trust_remote_code"):
        load_entry("mert_local")(ckpt=tmp_path / "model")


def test_a_text_model_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    config = BertConfig.from_dict(dict(zip(sizes, (16, 1, 1, 16, 9), strict=True)))
    BertModel(config).save_pretrained(tmp_path)
    extractor(tmp_path, 16_000, False)
    with pytest.raises(CheckpointError, match="a model of type 'bert'; expected a waveform model"):
        load_entry("hf_audio_local")(ckpt=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mert_local", "muq_local"])
def test_a_task_runs_with_an_encoder(name: str, tmp_path: Path) -> None:
    FOLDERS[name][0](tmp_path / "model")
    arguments = f"-m train -u {name} -d instrument --device cpu".split()
    paths = ["-k", str(tmp_path / "model"), "-p", str(tmp_path / "out")]
    options = "config.runner.total_steps=2,,config.runner.eval_step=2,,config.runner.save_step=2"
    assert run_downstream.main([*arguments, *paths, "-o", options]) == 0
    assert (tmp_path / "out" / "scores-test.jsonl").is_file()
