"""The interface of the upstream, for valid and invalid input."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from motionbeat_upstream import hubconf
from motionbeat_upstream.audio import AudioError
from motionbeat_upstream.checkpoint import CheckpointError, Provenance, save_music_tower
from motionbeat_upstream.expert import UpstreamExpert
from motionbeat_upstream.nn.beat_pooling import overlaps, pool, spread
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from motionbeat_upstream.tracking.frontend import log_mel, onset_envelope
from motionbeat_upstream.tracking.grid import cut_tokens, fallback_grid
from tests.small import SMALL

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def expert() -> UpstreamExpert:
    return UpstreamExpert(untrained_music_tower(SMALL), Provenance("none", {})).eval()


def ask(expert: UpstreamExpert, wavs: Any) -> dict[str, Any]:
    with torch.no_grad():
        outputs: dict[str, Any] = expert(wavs)
    return outputs


def test_outputs(expert: UpstreamExpert) -> None:
    outputs = ask(expert, [0.1 * torch.randn(32_000), 0.1 * torch.randn(10_000)])
    assert len(outputs["hidden_states"]) == SMALL.layers
    assert all(state.shape == (2, 100, 32) for state in outputs["hidden_states"])
    assert outputs["last_hidden_state"] is outputs["hidden_states"][-1]
    assert outputs["embedding"].shape == (2, 8)
    assert outputs["onset_envelope"].shape == (2, 200)
    tokens = outputs["beat_tokens"].shape[1]
    assert outputs["beat_tokens"].shape == (2, tokens, 32)
    assert outputs["token_times"].shape == (2, tokens, 2)
    assert len(outputs["grids"]) == 2
    rates = {"hidden_states": 320, "pulse_activation": 320, "onset_envelope": 160}
    assert {key: expert.get_downsample_rates(key) for key in rates} == rates
    assert outputs["pulse_activation"].shape == (2, 100)
    assert (outputs["pulse_activation"][0] > 0).all()
    assert outputs["pulse_activation"].max() <= 1
    assert (outputs["pulse_activation"][1, 32:] == 0).all()


@pytest.mark.parametrize("key", ["embedding", "beat_tokens", "nonsense"])
def test_outputs_without_a_frame_rate_raise_an_error(expert: UpstreamExpert, key: str) -> None:
    with pytest.raises(ValueError, match=f"'{key}' has no fixed frame rate; .* hidden_states"):
        expert.get_downsample_rates(key)


@pytest.mark.parametrize("seconds", [0.0000625, 0.01, 0.05, 0.0501, 0.31, 1.0, 7.77, 61.3])
def test_lengths_follow_s3prls_rule(expert: UpstreamExpert, seconds: float) -> None:
    count = max(1, round(seconds * 16_000))
    outputs = ask(expert, [0.1 * torch.randn(count)])
    assert outputs["last_hidden_state"].shape[1] == math.ceil(count / 320)
    assert outputs["last_hidden_state"].isfinite().all()


@pytest.mark.slow
def test_ten_minutes_fit_into_little_memory(expert: UpstreamExpert) -> None:
    # A process of its own, so that its peak is its own: what ten minutes add to one.
    script = (
        "import sys, torch, resource; torch.set_num_threads(1)\n"
        "from motionbeat_upstream.hubconf import motionbeat\n"
        "expert = motionbeat()\n"
        "with torch.inference_mode():\n"
        "    for minutes in (1, 10):\n"
        "        wav = 0.1 * torch.randn(16_000 * 60 * minutes)\n"
        "        frames = expert([wav])['last_hidden_state'].shape[1]\n"
        "        print(frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    (short, small), (long, large) = (map(int, line.split()) for line in run.stdout.splitlines())
    assert (short, long) == (3000, 30_000)
    assert large - small < 1_500_000, f"ten minutes took {(large - small) / 1e6:.2f} GB more than one"


NOISE = 0.1 * torch.randn(16_000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "wav",
    [
        pytest.param(torch.zeros(16_000), id="all zeros"),
        pytest.param(torch.full((16_000,), 0.7), id="DC"),
        pytest.param((20 * NOISE).clamp(-1, 1), id="clipped"),
        pytest.param(1e-30 * NOISE, id="next to nothing"),
        pytest.param(1e6 * NOISE, id="out of range"),
        pytest.param((32_767 * NOISE.clamp(-1, 1)).short(), id="int16"),
        pytest.param(NOISE.double(), id="float64"),
        pytest.param(NOISE.half(), id="float16"),
        pytest.param(NOISE[:160], id="0.01 s"),
        pytest.param(NOISE[:1], id="one sample"),
    ],
)
def test_unusual_valid_input(expert: UpstreamExpert, wav: torch.Tensor) -> None:
    outputs = ask(expert, [wav])
    for key in ("last_hidden_state", "embedding", "beat_tokens", "onset_envelope", "pulse_activation"):
        assert outputs[key].isfinite().all(), key


def test_silence_and_short_clips_have_confidence_zero(expert: UpstreamExpert) -> None:
    outputs = ask(expert, [torch.zeros(48_000), NOISE[:800]])
    assert [grid.confidence for grid in outputs["grids"]] == [0.0, 0.0]
    assert outputs["grids"][0].beats.tolist() == fallback_grid(3.0).beats.tolist()


def test_a_batch_as_one_tensor(expert: UpstreamExpert) -> None:
    wavs = NOISE[None].repeat(3, 1)
    torch.testing.assert_close(
        ask(expert, wavs)["embedding"], ask(expert, list(wavs))["embedding"], rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.zeros(0), r"wavs\[1\]: has no samples"),
        (torch.zeros(2, 100), r"wavs\[1\]: expected one dimension"),
        (torch.full((9,), torch.nan), r"wavs\[1\]: 9 of 9 samples"),
        ("song.wav", r"wavs\[1\]: expected a torch tensor, got str"),
    ],
)
def test_an_invalid_item_is_named(expert: UpstreamExpert, bad: Any, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        ask(expert, [NOISE, bad, NOISE])


def test_an_empty_list(expert: UpstreamExpert) -> None:
    with pytest.raises(AudioError, match="at least one waveform"):
        ask(expert, [])


def test_outputs_are_on_the_device_of_the_tower() -> None:
    # No second device here. Tensors on "meta" hold no numbers but know where they are, and an
    # operation that mixes two devices raises; only reading beats off a device cannot be shown so.
    device = torch.device("meta")
    tower = untrained_music_tower(SMALL).to(device)
    wav, lengths = torch.zeros(2, 32_000, device=device), torch.zeros(2, dtype=torch.int64, device=device)
    mel, mel_lengths = log_mel(wav, lengths, SMALL.n_mels)
    onset = onset_envelope(mel, mel_lengths)
    states = tower.trunk(mel, mel_lengths)
    cut = cut_tokens([fallback_grid(2.0), fallback_grid(0.1)], [2.0, 0.1], 4)
    table, tokens = overlaps(cut, 100).to(device), cut.to(device)
    layers = tower.encoder(pool(states[-1], table), tokens.phase, tokens.bar, tokens.mask)
    frames = spread(layers[-1], table)
    assert {tensor.device for tensor in (mel, onset, *states, *layers, frames)} == {device}
    assert frames.shape == states[-1].shape


def test_hub_entries(tmp_path: Path) -> None:
    for entry in ("motionbeat", "motionbeat_untrained", "motionbeat_base"):
        model = getattr(hubconf, entry)(ckpt=None, model_config=None, refresh=False)
        assert isinstance(model, UpstreamExpert)
        assert not model.training
    path = tmp_path / "mine.safetensors"
    save_music_tower(untrained_music_tower(SMALL, seed=9), path, Provenance("made", {}))
    local = hubconf.motionbeat_local(ckpt=str(path), model_config=None, refresh=False)
    assert local.provenance.trained
    assert local.tower.config == SMALL
    assert hubconf.motionbeat(ckpt=path).tower.config == SMALL
    for entry in ("motionbeat_local", "motionbeat_url"):
        with pytest.raises(CheckpointError, match=f"{entry}: no checkpoint"):
            getattr(hubconf, entry)()


def test_a_url_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import functools
    import http.server
    import threading

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    served = tmp_path / "served"
    served.mkdir()
    save_music_tower(untrained_music_tower(SMALL), served / "a.safetensors", Provenance("made", {}))
    handler = functools.partial(Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.safetensors"
        assert hubconf.motionbeat_url(ckpt=url).tower.config == SMALL
        with pytest.raises(CheckpointError, match="cannot be downloaded"):
            hubconf.motionbeat_url(ckpt=url.replace("a.safe", "b.safe"))
        (served / "a.safetensors").unlink()
        assert hubconf.motionbeat_url(ckpt=url).tower.config == SMALL
        with pytest.raises(CheckpointError, match="cannot be downloaded"):
            hubconf.motionbeat_url(ckpt=url, refresh=True)
        server.shutdown()


@pytest.mark.slow
def test_the_base_dependencies_are_sufficient(tmp_path: Path) -> None:
    # Run from a foreign folder through torch.hub, with everything heavier made unimportable.
    script = f"""
import sys
BLOCKED = "s3prl fairseq2 smplx submitit matplotlib tqdm mir_eval".split()
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
import torch
torch.set_num_threads(1)
import motionbeat_upstream
model = torch.hub.load({str(ROOT)!r}, "motionbeat", source="local")
with torch.no_grad():
    said = model([0.1 * torch.randn(16000)])
assert said["last_hidden_state"].shape == (1, 50, 192)
print("ok")
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout.strip().endswith("ok"), run.stderr
