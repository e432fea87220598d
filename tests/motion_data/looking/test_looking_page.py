"""The page of a pair, played in a real browser: clock, body, keys, and that it asks for nothing."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from motion_data.loading import load_pair
from motion_data.looking.excerpt import Excerpt, cut_excerpt
from motion_data.looking.page import opus, page_data, quantised, render, script_json, write_page
from motion_data.skeleton import JOINTS
from tests.conftest import skip_or_fail
from tests.looking_pairs import clicks, make_corpus

pytestmark = pytest.mark.browser

SECONDS, BPM = 12.0, 120.0
HOSTILE = "</script><b id=evil>&\"'<!--@@DATA@@\u2028"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def excerpts(folder: Path) -> dict[str, Excerpt]:
    """A body whose motion begins 0.4 s before the sound, and steps."""
    corpus = make_corpus(folder / "corpus", SECONDS, BPM)
    body, steps = (cut_excerpt(load_pair(pair, corpus.folder), corpus.folder) for pair in corpus.pairs)
    return {"body": replace(body, times=body.times - 0.4), "steps": steps}


def seen(page: Any, what: str = "#stage") -> np.ndarray[Any, np.dtype[np.int64]]:
    """(H, W, 3) what a user sees of an element."""
    picture = Image.open(io.BytesIO(page.locator(what).screenshot())).convert("RGB")
    return np.asarray(picture).astype(np.int64)


def changed(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> int:
    """Pixels that differ visibly."""
    return int((np.abs(one - other).sum(-1) > 40).sum())


def wait(page: Any, condition: str) -> None:
    """Until an expression is true; playwright's own way needs eval, which the page's policy forbids."""
    begin = time.monotonic()
    while not page.evaluate(condition):
        assert time.monotonic() - begin < 60, condition
        page.wait_for_timeout(20)


def seek(page: Any, seconds: float) -> None:
    """Move the sound to a time, and wait until that is drawn."""
    page.evaluate(
        """seconds => new Promise(done => {
            const sound = document.getElementById('sound');
            const drawn = () => requestAnimationFrame(() => requestAnimationFrame(done));
            sound.addEventListener('seeked', drawn, {once: true});
            sound.currentTime = seconds;
        })""",
        seconds,
    )


def sound_time(page: Any) -> float:
    return float(page.evaluate("document.getElementById('sound').currentTime"))


def drawn_frame(page: Any) -> int:
    return int(page.locator("#frame").text_content().removeprefix("frame "))


@dataclass
class Browser:
    chromium: Any
    folder: Path
    troubles: list[str] = field(default_factory=list)
    """What the console said, exceptions of the page, addresses outside it that were asked for."""

    @contextmanager
    def opened(self, excerpt: Excerpt, **options: Any) -> Iterator[Any]:
        path = self.folder / "page.html"
        write_page(path, excerpt)

        def asked_for(url: str) -> None:
            # A blob is the sound that the page carries.
            if url != path.as_uri() and not url.startswith("blob:"):
                self.troubles.append(f"asked for {url}")

        page = self.chromium.new_page(viewport={"width": 1100, "height": 760}, **options)
        page.on("console", lambda said: self.troubles.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("request", lambda asked: asked_for(asked.url))
        page.goto(path.as_uri())
        wait(page, "document.getElementById('sound').readyState >= 3")
        wait(page, "document.getElementById('time').textContent !== ''")
        try:
            yield page
        finally:
            page.close()
        troubles, self.troubles[:] = list(self.troubles), []
        assert troubles == []


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        skip_or_fail("chromium is not installed")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments, timeout=120_000)
        yield Browser(chromium, folder)
        chromium.close()


class TestInABrowser:
    def test_it_plays_and_the_body_moves(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        with browser.opened(excerpts["body"]) as page:
            before = seen(page)
            assert page.locator("#play").text_content() == "Play"
            page.locator("#play").click()
            wait(page, "document.getElementById('sound').currentTime > 0.7")
            assert page.locator("#play").text_content() == "Pause"
            page.locator("#play").click()
            wait(page, "document.getElementById('sound').paused")
            page.wait_for_timeout(100)
            assert changed(before, seen(page)) > 300
            assert drawn_frame(page) == round((sound_time(page) + 0.4) * 30)

    def test_it_plays_to_its_end_and_begins_again(
        self, browser: Browser, excerpts: dict[str, Excerpt]
    ) -> None:
        with browser.opened(excerpts["body"]) as page:
            seek(page, SECONDS - 0.2)
            page.locator("#play").click()
            wait(page, "document.getElementById('sound').ended")
            assert page.locator("#play").text_content() == "Play"
            page.locator("#play").click()
            wait(page, "!document.getElementById('sound').paused")
            assert sound_time(page) < 6

    def test_the_clock_is_the_sound_s(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        with browser.opened(excerpts["body"]) as page:
            for seconds in (0.013, 1.37, 7.777, 3.1, 11.95):
                seek(page, seconds)
                assert sound_time(page) == pytest.approx(seconds, abs=1e-3)
                # The motion has 360 frames and begins 0.4 s before the sound.
                assert drawn_frame(page) == min(359, round((seconds + 0.4) * 30))
                beat = int(seconds * BPM / 60 + 1e-6)
                assert page.locator("#place").text_content() == f"bar {beat // 4 + 1} · beat {beat % 4 + 1}"
            assert float(page.locator("#position").input_value()) == pytest.approx(11.95, abs=0.02)

    def test_the_sound_is_where_the_pair_has_it(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        """As the browser decodes it, the clicks stand on the beats."""
        with browser.opened(excerpts["body"]) as page:
            begins = page.evaluate(
                """async () => {
                    const context = new OfflineAudioContext(1, 1, 48000);
                    const sound = await context.decodeAudioData(bytes(pair.audio).buffer);
                    const samples = sound.getChannelData(0);
                    return pair.beats.slice(1, 20).map(beat => {
                        let at = Math.round((beat - 0.1) * 48000);
                        while (Math.abs(samples[at]) < 0.1) at++;
                        return at / 48000 - beat;
                    });
                }"""
            )
        assert np.abs(begins).max() < 0.004

    def test_it_turns_and_zooms(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        with browser.opened(excerpts["body"]) as page:
            seek(page, 2.0)
            front = seen(page)
            box = page.locator("#stage").bounding_box()
            x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + 150, y + 20, steps=4)
            page.mouse.up()
            page.wait_for_timeout(100)
            turned = seen(page)
            assert changed(front, turned) > 2000
            page.mouse.wheel(0, -400)
            page.wait_for_timeout(100)
            assert changed(turned, seen(page)) > 2000
            page.mouse.move(2, 2)
            page.locator("#front").click()
            page.mouse.move(2, 2)
            page.wait_for_timeout(100)
            assert changed(front, seen(page)) == 0
            page.locator("#stage").focus()
            unturned = seen(page)
            page.keyboard.press("ArrowLeft")
            page.keyboard.press("+")
            page.wait_for_timeout(100)
            assert changed(unturned, seen(page)) > 2000
            assert sound_time(page) == pytest.approx(2.0, abs=1e-3)

    def test_touch(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        with browser.opened(excerpts["body"], has_touch=True) as page:
            before = seen(page)
            touch = """([id, type, x]) => document.getElementById('stage').dispatchEvent(
                new PointerEvent(type, {pointerId: id, pointerType: 'touch', clientX: x, clientY: 300}))"""
            page.evaluate("document.getElementById('stage').setPointerCapture = () => {}")
            for id, type, x in ((1, "pointerdown", 400), (2, "pointerdown", 600), (2, "pointermove", 900)):
                page.evaluate(touch, [id, type, x])
            page.wait_for_timeout(100)
            assert changed(before, seen(page)) > 2000

    def test_the_timeline_seeks(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        with browser.opened(excerpts["body"]) as page:
            seek(page, 5.0)
            box = page.locator("#timeline").bounding_box()
            # 8 seconds are seen, the moment that is heard at 0.3 of the width.
            page.mouse.click(box["x"] + 0.55 * box["width"], box["y"] + 60)
            wait(page, "!document.getElementById('sound').seeking")
            assert sound_time(page) == pytest.approx(5.0 + 0.25 * 8, abs=0.03)
            page.mouse.move(box["x"] + 500, box["y"] + 60)
            page.mouse.down()
            page.mouse.move(box["x"] + 400, box["y"] + 60, steps=5)
            page.mouse.up()
            wait(page, "!document.getElementById('sound').seeking")
            assert sound_time(page) == pytest.approx(7.0 + 100 / box["width"] * 8, abs=0.05)

    def test_keys(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        with browser.opened(excerpts["body"]) as page:
            seek(page, 3.1)
            page.locator("h1").click()
            for key, expected in (
                ("ArrowRight", 3.5),
                ("ArrowRight", 4.0),
                ("ArrowLeft", 3.5),
                ("Shift+ArrowRight", 4.0),
                ("Shift+ArrowLeft", 2.0),
                ("Home", 0.0),
            ):
                page.keyboard.press(key)
                wait(page, "!document.getElementById('sound').seeking")
                assert sound_time(page) == pytest.approx(expected, abs=1e-3), key
            page.keyboard.press(" ")
            wait(page, "!document.getElementById('sound').paused")
            page.keyboard.press(" ")
            wait(page, "document.getElementById('sound').paused")
            # On the button itself a space presses it once, not twice.
            page.locator("#play").focus()
            page.keyboard.press(" ")
            wait(page, "!document.getElementById('sound').paused")

    def test_speed_and_loop(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        with browser.opened(excerpts["body"]) as page:
            page.locator("#speed").select_option("0.5")
            page.locator("#loop").check()
            assert page.evaluate("document.getElementById('sound').playbackRate") == 0.5
            assert page.evaluate("document.getElementById('sound').loop") is True

    def test_steps_without_a_body(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        with browser.opened(excerpts["steps"]) as page:
            seek(page, 2.0)
            one = seen(page)
            seek(page, 2.3)
            assert changed(one, seen(page)) > 2000
            assert page.locator("#front").is_hidden()

    def test_without_a_grid(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        none = np.empty(0)
        bare = replace(
            excerpts["body"],
            beats=none,
            positions=none.astype(int),
            bars=none.astype(int),
            metre=0,
            opening=None,
            pulses={},
        )
        with browser.opened(bare) as page:
            seek(page, 2.0)
            page.locator("h1").click()
            page.keyboard.press("ArrowRight")
            wait(page, "!document.getElementById('sound').seeking")
            assert sound_time(page) == pytest.approx(3.0, abs=1e-3)
            assert page.locator("#place").text_content() == "0:03.0"

    def test_a_stretch_from_the_middle(self, browser: Browser, folder: Path) -> None:
        """It begins in a bar, and reaches beyond the motion's end, where the body stands still."""
        corpus = make_corpus(folder / "middle", 6.0, BPM)
        clip = load_pair(corpus.pairs[0], corpus.folder)
        clip = replace(clip, motion=replace(clip.motion, joints=clip.motion.joints[:100]))
        excerpt = cut_excerpt(clip, corpus.folder, 3.7)
        with browser.opened(excerpt) as page:
            assert page.locator("#place").text_content() == "bar 2 · beat 4"
            assert drawn_frame(page) == 0
            seek(page, 0.4)
            assert page.locator("#place").text_content() == "bar 3 · beat 1"

    def test_dark_and_light(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        means = {}
        for scheme in ("light", "dark"):
            with browser.opened(excerpts["body"], color_scheme=scheme) as page:
                means[scheme] = seen(page, "body").mean()
        assert means["light"] > 200 > 60 > means["dark"]

    def test_text_of_the_corpus_is_only_text(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        pair = replace(
            excerpts["body"].pair,
            name=HOSTILE.replace("/", ""),
            piece=HOSTILE,
            licence=HOSTILE,
            provenance={HOSTILE: HOSTILE, "list": [HOSTILE]},
        )
        with browser.opened(replace(excerpts["body"], pair=pair)) as page:
            assert page.locator("#evil").count() == 0
            assert page.locator("h1").text_content() == pair.name
            assert HOSTILE in page.locator("header p").text_content()
            assert HOSTILE in page.locator("dt").all_text_contents()
            assert page.title().startswith(pair.name.split("\u2028")[0])

    def test_the_policy_forbids_a_network(self, browser: Browser, excerpts: dict[str, Excerpt]) -> None:
        with browser.opened(excerpts["body"]) as page:
            refused = page.evaluate(
                """async () => {
                    const refused = [];
                    document.addEventListener('securitypolicyviolation',
                        event => refused.push(event.effectiveDirective));
                    await fetch('http://127.0.0.1:9/').catch(() => {});
                    const image = new Image();
                    image.src = 'http://127.0.0.1:9/a.png';
                    const script = document.createElement('script');
                    script.textContent = 'document.title = "ran"';
                    document.head.append(script);
                    await new Promise(done => setTimeout(done, 200));
                    return refused;
                }"""
            )
            assert {"connect-src", "img-src", "script-src-elem"} <= set(refused)
            assert page.title() != "ran"
            # The browser says on its console what it refused, as it should.
            browser.troubles[:] = [
                said for said in browser.troubles if "127.0.0.1:9" not in said and "inline script" not in said
            ]


class Addresses(HTMLParser):
    """All that a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [
            value or "" for key, value in attrs if key in ("src", "href", "action", "data", "srcset")
        ]


class TestTheText:
    @pytest.mark.parametrize("which", ["body", "steps"])
    def test_it_refers_to_nothing_outside(self, excerpts: dict[str, Excerpt], which: str) -> None:
        text = render(excerpts[which])
        parser = Addresses()
        parser.feed(text)
        assert parser.found == ["data:,"]
        program = text.split("<script>")[1]
        assert not re.search(r"https?:|//cdn|import\(|importScripts|XMLHttpRequest|fetch\(|@import", program)

    def test_no_place_is_left_open(self, excerpts: dict[str, Excerpt]) -> None:
        assert "@@" not in render(excerpts["body"])

    @given(st.dictionaries(st.text(max_size=8), st.text(), max_size=3))
    def test_data_stays_in_its_element(self, told: dict[str, str]) -> None:
        text = script_json(told | {HOSTILE: HOSTILE})
        assert not set("<>&\u2028\u2029") & set(text)
        assert json.loads(text) == told | {HOSTILE: HOSTILE}

    @given(arrays.arrays(np.float32, (4, 3, 3), elements=st.floats(-50, 50, width=32)))
    def test_joints_are_true_to_the_millimetre(self, joints: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        whole, scale = quantised(joints)
        assert np.abs(whole * scale - joints).max() <= scale / 2 + 1e-5
        assert scale / 2 < 0.001

    def test_joints_come_back(self, excerpts: dict[str, Excerpt]) -> None:
        data = json.loads(script_json(page_data(excerpts["body"])))
        joints = np.frombuffer(base64.b64decode(data["joints"]), "<i2").reshape(-1, len(JOINTS), 3)
        assert np.abs(joints * data["scale"] - excerpts["body"].joints).max() < 1e-3
        assert data["frames"] == 360
        assert data["motionStart"] == pytest.approx(-0.4)
        assert len(data["bones"]) == 21

    @settings(max_examples=6, deadline=None)
    @given(
        rate=st.sampled_from([8000, 16_000, 22_050, 44_100, 48_000]),
        channels=st.integers(1, 2),
        bpm=st.floats(70, 170),
    )
    def test_the_sound_comes_back_in_time(self, rate: int, channels: int, bpm: float) -> None:
        sound = np.tile(clicks(4.0, bpm, rate)[:, None], (1, channels))
        again, rate_again = soundfile.read(io.BytesIO(opus(sound, rate)), dtype="float32", always_2d=True)
        assert again.shape[1] == channels
        for beat in range(1, int(4 * bpm / 60) - 1):
            begin = round((beat * 60 / bpm - 0.1) * rate_again)
            loud = np.flatnonzero(np.abs(again[begin : begin + rate_again // 5, 0]) > 0.15)[0]
            assert abs((begin + loud) / rate_again - beat * 60 / bpm) < 0.004
