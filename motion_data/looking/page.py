"""A pair as one self-contained page: the body in 3-D beside the sound, for any browser, without a network.

The page carries its sound, motion and program; a content security policy forbids it everything else.
Text of the corpus (names, licences, provenance) is escaped wherever it stands.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.resources
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile
from numpy.typing import NDArray

from motion_data.looking import caption, facts
from motion_data.looking.excerpt import ONSET_RATE, Excerpt
from motion_data.looking.stage import bones
from motionbeat_upstream.atomic_write import atomic_path

OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
"""Samples a second that Opus knows."""

BLOCK = 48_000
"""Samples handed to the encoder at a time; libsndfile's encoders have overrun their stack on long ones."""


def write_page(path: Path, excerpt: Excerpt) -> None:
    """Write the page, whole or not at all."""
    text = render(excerpt)
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def render(excerpt: Excerpt) -> str:
    """The page's HTML."""
    template = importlib.resources.files("motion_data.looking").joinpath("page.html").read_text("utf-8")
    pair = excerpt.pair
    body = (
        f"A stick figure of {len(excerpt.names)} joints. Drag, or use the arrow keys, to turn it; "
        "the wheel, or plus and minus, to zoom"
        if excerpt.names
        else "Steps that rise to the line at which they are danced"
    )
    filled = {
        "POLICY": policy(template),
        "TITLE": html.escape(f"{pair.name} · MotionBeat"),
        "NAME": html.escape(pair.name),
        "SUMMARY": html.escape(summary(excerpt)),
        "STAGE": html.escape(body),
        "FACTS": "".join(
            f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>" for key, value in facts(pair).items()
        ),
        "DATA": script_json(page_data(excerpt)),
    }
    # One pass, so that a name which looks like a place in the template stays a name.
    return re.sub(r"@@([A-Z]+)@@", lambda found: filled[found[1]], template)


def policy(template: str) -> str:
    """Content security policy: the page's own script and style, its own sound, nothing else."""
    script = re.findall(r"<script>(.*?)</script>", template, re.DOTALL)
    style = re.findall(r"<style>(.*?)</style>", template, re.DOTALL)
    hashes = {
        kind: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts
        )
        for kind, texts in (("script", script), ("style", style))
    }
    return (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; "
        "media-src blob:; img-src data:; base-uri 'none'; form-action 'none'"
    )


def summary(excerpt: Excerpt) -> str:
    """Tempo, metre and stretch, in one line."""
    pair = excerpt.pair
    parts = [caption(pair)]
    if excerpt.start > 0 or excerpt.stop < pair.seconds - 0.05:
        parts.append(f"{excerpt.start:.1f} to {excerpt.stop:.1f} s of {pair.seconds:.1f} s")
    parts.append(pair.licence)
    return " · ".join(parts)


def script_json(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it stands in, nor begin a comment there."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def page_data(excerpt: Excerpt) -> dict[str, Any]:
    """What the page's program reads: times in seconds of the stretch, joints as whole steps of ``scale``."""
    joints, scale = quantised(excerpt.joints)
    # A crash after a silence would press all else to the ground: the strongest few are cut off.
    peak = max(float(np.quantile(excerpt.onset, 0.999)), 1e-6) if len(excerpt.onset) else 1.0
    onset = np.clip(np.round(excerpt.onset / peak * 255), 0, 255).astype(np.uint8)
    return {
        "seconds": excerpt.seconds,
        "fps": excerpt.fps,
        "motionStart": float(excerpt.times[0]) if len(excerpt.times) else 0.0,
        "frames": len(excerpt.times),
        "names": list(excerpt.names),
        "bones": bones(excerpt.names),
        "joints": base64.b64encode(joints.tobytes()).decode(),
        "scale": scale,
        "onset": base64.b64encode(onset.tobytes()).decode(),
        "onsetRate": ONSET_RATE,
        "beats": _rounded(excerpt.beats),
        "positions": excerpt.positions.tolist(),
        "bars": excerpt.bars.tolist(),
        "opening": excerpt.opening,
        "metre": excerpt.metre,
        "bpm": excerpt.pair.bpm,
        "pulses": {limb: _rounded(times) for limb, times in excerpt.pulses.items()},
        "contacts": {foot: _rounded(spans) for foot, spans in excerpt.contacts.items()},
        "audioType": "audio/ogg; codecs=opus",
        "audio": base64.b64encode(opus(excerpt.sound, excerpt.rate)).decode(),
    }


def quantised(joints: NDArray[np.float32]) -> tuple[NDArray[np.int16], float]:
    """(T, J, 3) little-endian whole numbers and the metres that 1 stands for: the error is half of that."""
    scale = max(float(np.abs(joints).max(initial=0)), 1e-3) / 32_767
    return np.round(joints / scale).astype("<i2"), scale


def opus(sound: NDArray[np.float32], rate: int) -> bytes:
    """Sound (N, C) as Ogg Opus, whose header tells players what to skip: it starts where the motion does."""
    if rate not in OPUS_RATES:
        sound = librosa.resample(sound, orig_sr=rate, target_sr=48_000, axis=0, res_type="soxr_hq")
        rate = 48_000
    held = io.BytesIO()
    with soundfile.SoundFile(
        held, "w", samplerate=rate, channels=sound.shape[1], format="OGG", subtype="OPUS"
    ) as file:
        for first in range(0, len(sound), BLOCK):
            file.write(np.clip(sound[first : first + BLOCK], -1, 1))
    return held.getvalue()


def _rounded(times: NDArray[np.float64]) -> Any:
    """Tenths of milliseconds are enough to draw by."""
    return np.round(times, 4).tolist()
