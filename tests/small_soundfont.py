"""A soundfont of a few kilobytes whose programs are known exactly."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 44_100

LOOP = 4410
"""Samples at the end of each that are repeated while a note is held: whole periods of 200 and 440 Hz."""


def tone(late: float, hertz: float = 440.0, seconds: float = 1.0) -> NDArray[np.float64]:
    """Silence of ``late`` seconds at pitch 69, then a tone that is loud at once."""
    times = np.arange(round(seconds * RATE)) / RATE
    return np.concatenate([np.zeros(round(late * RATE)), 0.5 * np.cos(2 * np.pi * hertz * times)])


def write_soundfont(path: Path, presets: Mapping[tuple[int, int], NDArray[np.float64]]) -> Path:
    """Write presets by bank (128: drums) and program, each one sample over all pitches."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    def listed(name: bytes, *chunks: bytes) -> bytes:
        return chunk(b"LIST", name + b"".join(chunks))

    phdr = pbag = pgen = inst = ibag = igen = shdr = b""
    audio: list[NDArray[np.int16]] = []
    place = 0
    for number, ((bank, program), sound) in enumerate(sorted(presets.items())):
        name = f"{bank}:{program}".encode()
        phdr += struct.pack("<20sHHHIII", name, program, bank, number, 0, 0, 0)
        pbag += struct.pack("<HH", number, 0)
        pgen += struct.pack("<HH", 41, number)  # instrument
        inst += struct.pack("<20sH", name, number)
        envelope = [(33, -12000), (34, -12000), (35, -12000), (36, -12000), (37, 0), (38, -6000)]
        generators = [(43, 127 << 8), (44, 127 << 8), *envelope, (54, 1), (53, number)]
        ibag += struct.pack("<HH", len(igen) // 4, 0)
        igen += b"".join(struct.pack("<Hh", *generator) for generator in generators)
        samples = np.round(sound * 32767).astype(np.int16)
        stop = place + len(samples)
        shdr += struct.pack("<20sIIIIIBbHH", name, place, stop, stop - LOOP, stop, RATE, 69, 0, 0, 1)
        audio += [samples, np.zeros(46, np.int16)]
        place = stop + 46
    count = len(presets)
    phdr += struct.pack("<20sHHHIII", b"EOP", 0, 0, count, 0, 0, 0)
    pbag, pgen = pbag + struct.pack("<HH", count, 0), pgen + bytes(4)
    inst += struct.pack("<20sH", b"EOI", count)
    ibag, igen = ibag + struct.pack("<HH", len(igen) // 4, 0), igen + bytes(4)
    shdr += struct.pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0)
    info = listed(b"INFO", chunk(b"ifil", struct.pack("<HH", 2, 1)), chunk(b"INAM", b"made\0\0"))
    data = listed(b"sdta", chunk(b"smpl", np.concatenate(audio).astype("<i2").tobytes()))
    mods = bytes(10)
    hydra = [(b"phdr", phdr), (b"pbag", pbag), (b"pmod", mods), (b"pgen", pgen), (b"inst", inst)]
    hydra += [(b"ibag", ibag), (b"imod", mods), (b"igen", igen), (b"shdr", shdr)]
    body = b"sfbk" + info + data + listed(b"pdta", *(chunk(*part) for part in hydra))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(chunk(b"RIFF", body))
    return path
