"""The table of beat tracking: which runs it makes, which it keeps, and what it says of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from motionbeat_upstream.checkpoint import Provenance, save_music_tower
from motionbeat_upstream.nn.music_tower import untrained_music_tower
from recipes.benchmark.beat_tracking_table import main
from recipes.downstream import run_downstream
from recipes.results.record import Results, Run, item_rows, results_path, write_results
from tests.small import SMALL

PIECES = 6
BEAT_F = {"fbank": 0.5, "mfcc": 0.4, "motionbeat_local": 0.7}


def scores(decoder: str, f: float, bare: bool) -> dict[str, float]:
    beat = {"beat F": f, "beat CMLt": 0.3, "beat AMLt": 0.4}
    downbeat = {} if bare else {"downbeat F": 0.2, "downbeat CMLt": 0.1, "downbeat AMLt": 0.1}
    return {f"{decoder} {name}": value for name, value in (beat | downbeat).items()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "splits.csv"
    lines = [f"{n}.wav,{n}.beats,piece{n},{n % 3}" for n in range(PIECES)]
    file.write_text("\n".join(["audio,beats,piece,fold", *lines]) + "\n")
    return file


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Upstream, seed and fold of each run; a run scores as ``BEAT_F`` says."""
    calls: list[tuple[str, str, str]] = []

    def run(argv: Sequence[str]) -> int:
        value = dict(itertools.pairwise(argv))
        fold = value["-o"].split("test_fold=")[1].split(",,")[0]
        calls.append((value["-u"], value["--seed"], fold))
        f = BEAT_F[value["-u"]] + 0.02 * int(value["--seed"])
        rows = [
            row
            for n in range(PIECES)
            if str(n % 3) == fold
            for decoder, wrong in (("dbn", 0.0), ("peaks", 0.1))
            for row in item_rows(f"piece{n}", f"piece{n}", scores(decoder, f + 0.01 * n - wrong, bare=n == 0))
        ]
        folder = Path(value["-p"])
        run = Run("beat_tracking", "d", value["-u"], seed=int(value["--seed"]), fold=fold)
        write_results(results_path(folder), [Results(run, rows)])
        return 0

    monkeypatch.setattr(run_downstream, "main", run)
    return calls


def rows(text: str) -> dict[str, list[str]]:
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    return {line[0]: line[1:] for line in lines}


def test_every_fold_is_run_with_every_seed_and_the_margin_is_paired(
    data: Path, runs: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    arguments = [str(data), str(tmp_path / "out"), "-u", "fbank", "mfcc", "--seeds", "0", "1"]
    assert main(arguments) == 0
    assert sorted(runs) == sorted((u, s, f) for u in ("fbank", "mfcc") for s in "01" for f in "012")
    table = rows((tmp_path / "out/table_dbn.md").read_text())
    # Seeds 0 and 1 differ by .02, pieces by .01 from one to the next.
    assert "6 pieces, over which" in (tmp_path / "out/table_dbn.md").read_text()
    assert table["fbank"][0].startswith("0.535 [")
    assert table["mfcc"][0].startswith("0.435 [")
    # Every piece differs by the same, so the margin has no spread, however the pieces do.
    assert table["fbank − mfcc"][0] == "+0.100 [+0.100, +0.100]"
    assert table["fbank"][3].startswith("0.200")
    before = list(runs)
    assert main([*arguments, "--decoder", "peaks"]) == 0
    assert runs == before
    assert rows((tmp_path / "out/table_peaks.md").read_text())["fbank"][0].startswith("0.435 [")


def test_other_weights_under_the_same_name_are_run_anew(
    data: Path, runs: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "tower.safetensors"
    arguments = [str(data), str(tmp_path / "out"), "-u", f"mine={file}", "--seeds", "0"]
    assert main(arguments) == 2
    for seed in (0, 1):
        save_music_tower(untrained_music_tower(SMALL, seed), file, Provenance("made", {}))
        # What is there is replaced on demand only.
        assert main(arguments) == (2 if seed else 0)
        for _ in range(2):
            assert main([*arguments, "--overwrite"]) == 0
    assert len(runs) == 6
    assert {upstream for upstream, _, _ in runs} == {"motionbeat_local"}


def test_runs_of_an_earlier_version_are_not_taken_for_results(
    data: Path, runs: list[tuple[str, str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(data), str(tmp_path / "out"), "-u", "fbank", "--seeds", "0"]
    assert main(arguments) == 0
    text = (tmp_path / "out/table_dbn.md").read_text()
    folder = tmp_path / "out" / "fbank-linear-seed0-fold1"
    for name in ("begun", "done"):
        (folder / name).write_text("0.1 data")
    (folder / "scores-test.json").write_text("{}")
    results_path(folder).unlink()
    assert main(arguments) == 2
    assert f"{folder}: contains a run of other data, weights or settings, or of another version" in (
        capsys.readouterr().err
    )
    assert main([*arguments, "--overwrite"]) == 0
    assert not (folder / "scores-test.json").exists()
    assert len(runs) == 4
    assert (tmp_path / "out/table_dbn.md").read_text() == text


def test_mistakes_are_told(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(data), str(tmp_path), "-u", "fbank", "fbank"]) == 2
    assert "'fbank' is given twice" in capsys.readouterr().err
    assert main([str(tmp_path / "none.csv"), str(tmp_path)]) == 2
    data.write_text("audio,beats,piece,fold\na,b,c,0\nd,e,f,1\n")
    assert main([str(data), str(tmp_path)]) == 2
    assert "at least 3 values" in capsys.readouterr().err
