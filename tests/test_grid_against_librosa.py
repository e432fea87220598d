import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from motionbeat_upstream.config import SAMPLE_RATE
from recipes.benchmark.grid_against_librosa import Row, main, summarise
from tests.drum_patterns import beat_times, piece

ROW = Row("a", 1.0, 0.9, 0.95, 0.8, 0.5, 0.5, 120.0, 120.0, 120.0, 1.0, 0.1, 0.2, 1.0)


def test_it_compares_and_writes_what_it_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beats = beat_times(120.0, 15.0)
    soundfile.write(tmp_path / "a.flac", piece(beats, 4, 15.0).numpy(), SAMPLE_RATE)
    np.savetxt(tmp_path / "a.beats", np.stack([beats, np.arange(len(beats)) % 4 + 1], 1))
    (tmp_path / "splits.csv").write_text(
        "audio,beats,piece,split\na.flac,a.beats,a,test\na.flac,a.beats,b,test\n"
    )
    code = main([str(tmp_path), "--threads", "1", "--repeats", "1", "--json", str(tmp_path / "out.json")])
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["pieces"][0]["ours_f"] == 1.0
    assert figures["pieces"][0]["ours_downbeat_f"] == 1.0
    assert figures["pieces"][0]["model_f"] > 0.9
    assert figures["summary"]["model_speed_up"] > 0
    printed = capsys.readouterr()
    assert "95 % bootstrap over 2 pieces" in printed.out
    # Whether a clip this short is fast enough depends on the machine; the code must say what was printed.
    assert code == int("missed" in printed.err)


def test_each_aim_missed_is_named() -> None:
    assert summarise([ROW, ROW], 0).misses == []
    (slow,) = summarise([replace(ROW, ours_seconds=0.5)], 0).misses
    assert "2.0 times as fast" in slow
    (wrong,) = summarise([replace(ROW, ours_f=0.7)], 0).misses
    assert "below" in wrong


def test_a_folder_without_an_index_is_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "debian_songs" in capsys.readouterr().err
