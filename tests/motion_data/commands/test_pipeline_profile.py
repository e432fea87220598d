"""``motionbeat data profile``."""

from __future__ import annotations

from pathlib import Path

import pytest

from motion_data.commands.data import main
from motion_data.stages import STAGES
from tests.made_corpus import Made, write_corpus


def test_it_tells_all_and_every_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(tmp_path, [Made(f"p{i}") for i in range(5)])
    options = "--batches 4 --batch-size 2 --workers 1 --seconds 2 --clips-per-pair 2 --negatives"
    assert main(["profile", str(tmp_path), *options.split()]) == 0
    head, columns, total, made, *stages = capsys.readouterr().out.splitlines()
    assert "5 pairs of train; 4 batches, 8 clips of 2 s (2.0 s on average)" in head
    assert columns.split() == ["pairs/s", "clips/s", "h", "of", "audio/min", "x", "real", "time", "ms/clip"]
    assert [line.split()[0] for line in stages] == list(STAGES)
    assert made.startswith("made")
    for line in [total.removeprefix("in all"), *(line.split(maxsplit=1)[1] for line in stages)]:
        pairs, clips, hours, speed, milliseconds = (float(word) for word in line.split()[:5])
        assert clips == pytest.approx(2 * pairs, rel=0.2, abs=0.1)
        assert speed == pytest.approx(60 * hours, rel=0.1, abs=1)
        assert speed == pytest.approx(2 * clips, rel=0.1, abs=1)
        assert milliseconds == pytest.approx(1000 / clips, rel=0.1, abs=1e-3)


def test_what_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(tmp_path)]) == 2
    assert "no prepared corpus" in capsys.readouterr().err
    write_corpus(tmp_path, [Made("p")])
    assert main(["profile", str(tmp_path), "--split", "dev"]) == 2
    assert "the split 'dev' has no pairs" in capsys.readouterr().err
