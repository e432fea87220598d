"""Small corpora of noise and tones in the published layouts that S3PRL's own tasks read.

Every function writes a corpus under a folder and returns what goes into ``config.downstream_expert.datarc``.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def write_clip(path: Path, seed: int, seconds: float = 0.5) -> None:
    """A tone of its own pitch in a little noise, 16-bit, 16 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 2000) * time)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone + 0.01 * rng.standard_normal(len(time)), RATE, subtype="PCM_16")


def speech_commands(root: Path) -> dict[str, object]:
    """Speech Commands v0.01: a folder a word, files named by speaker, background noise, a test archive.

    S3PRL sends a file to train or dev by the hash of its speaker, so speakers of both kinds are made.
    """
    train, test = root / "speech_commands_v0.01", root / "speech_commands_test_set_v0.01"
    speakers = _speakers_of_every_split()
    for index, word in enumerate((*WORDS, "bed")):
        for number, speaker in enumerate(speakers):
            write_clip(train / word / f"{speaker}_nohash_0.wav", seed=100 * index + number)
    for name in ("running_tap", "white_noise"):
        write_clip(train / "_background_noise_" / f"{name}.wav", seed=len(name), seconds=1.5)
    for index, word in enumerate((*WORDS, "_unknown_", "_silence_")):
        write_clip(test / word / f"{speakers[0]}_nohash_1.wav", seed=7000 + index)
    return {
        "speech_commands_root": train,
        "speech_commands_test_root": test,
        "batch_size": 4,
        "num_workers": 0,
    }


def fluent_commands(root: Path) -> dict[str, object]:
    """Fluent Speech Commands: three tables of intents and a folder a speaker."""
    intents = [
        ("activate", "lights", "kitchen"),
        ("deactivate", "music", "none"),
        ("increase", "volume", "none"),
        ("bring", "shoes", "bedroom"),
    ]
    for seed, (split, count) in enumerate({"train": 8, "valid": 4, "test": 4}.items()):
        table = root / "data" / f"{split}_data.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["", "path", "speakerId", "transcription", "action", "object", "location"])
            for number in range(count):
                name = f"wavs/speakers/spk{number % 2}/{split}-{number}.wav"
                write_clip(root / name, seed=100 * seed + number)
                intent = intents[number % len(intents)]
                writer.writerow([number, name, f"spk{number % 2}", " ".join(intent), *intent])
    return {"file_path": root, "train_batch_size": 4, "eval_batch_size": 4, "num_workers": 0}


def iemocap(root: Path) -> dict[str, object]:
    """IEMOCAP_full_release: sessions of dialogs, sentences and their evaluations.

    S3PRL's own preparation turns the evaluations into ``meta_data``, as its users do.
    """
    from s3prl.downstream.emotion.IEMOCAP_preprocess import main as prepare

    emotions = ("neu", "hap", "ang", "sad", "exc", "fru")
    for session in (1, 2):
        folder = root / f"Session{session}"
        dialog = f"Ses0{session}F_impro01"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n", "\n"]
        for number, emotion in enumerate(emotions):
            name = f"{dialog}_F{number:03d}"
            write_clip(folder / "sentences" / "wav" / dialog / f"{name}.wav", seed=100 * session + number)
            lines.append(f"[{number}.0000 - {number}.5000]\t{name}\t{emotion}\t[2.5, 2.5, 2.5]\n")
        evaluation = folder / "dialog" / "EmoEvaluation" / f"{dialog}.txt"
        evaluation.parent.mkdir(parents=True)
        evaluation.write_text("".join(lines))
    prepare(str(root))
    return {
        "root": root,
        "meta_data": root / "meta_data",
        "train_batch_size": 2,
        "eval_batch_size": 2,
        "num_workers": 0,
    }


def voxceleb1(root: Path) -> dict[str, object]:
    """VoxCeleb1: a folder a speaker and video under dev/wav and test/wav, and the file of the split."""
    lines = []
    for index in range(4):
        for number, split in enumerate((1, 1, 1, 2, 3)):
            name = f"id{10001 + index}/video{number}/00001.wav"
            place = "test" if index == 3 else "dev"
            write_clip(root / place / "wav" / name, seed=100 * index + number)
            lines.append(f"{split} {name}\n")
    (root / "iden_split.txt").write_text("".join(lines))
    return {
        "file_path": root,
        "meta_data": root / "iden_split.txt",
        "train_batch_size": 4,
        "num_workers": 0,
    }


def _speakers_of_every_split(least: int = 3) -> list[str]:
    """Speakers' names, at least so many for dev and for train by Speech Commands' published hash."""
    dev: list[str] = []
    train: list[str] = []
    number = 0
    while len(dev) < least or len(train) < least:
        name = f"{number:08x}"
        share = int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2**27 * 100 / (2**27 - 1)
        (dev if share < 10 else train if share >= 20 else []).append(name)
        number += 1
    return train[:least] + dev[:least]
