"The explorer as a visitor's hand finds it, in headless Chromium: `make test-web` runs it, the other tests leave it out."
import functools
import json
import os
import shutil
import subprocess
import threading
import time
from http.server import ThreadingHTTPServer

import numpy as np
import onnxruntime
import pytest
from browser import CHROMIUM, open_tab
from PIL import Image

from latentfaces.bundle import load_bundle
from latentfaces.cli import main
from latentfaces.drawn import synthetic_faces
from latentfaces.explorer import _Files, explore
from latentfaces.generation import walk_between
from latentfaces.pca import LatentPCA
from latentfaces.report import read_points

pytestmark = pytest.mark.skipif("LATENTFACES_WEB" not in os.environ, reason="make test-web runs the explorer in a browser")


class Counted(_Files):
    "Hands out files, and remembers who asked for what, and how many bytes went out."
    asked, sent = [], 0

    def do_GET(self):
        self.asked.append(("GET", self.path))
        super().do_GET()

    def do_POST(self):
        self.asked.append(("POST", self.path))
        self.send_error(405)

    def copyfile(self, source, outputfile):
        data = source.read()
        type(self).sent += len(data)
        outputfile.write(data)


@pytest.fixture(scope="module")
def bundle(): return load_bundle()


@pytest.fixture(scope="module")
def address(bundle, tmp_path_factory):
    "Where the page of the pretrained bundle is served: in a folder of a plain server, without any header of its own."
    folder = explore(bundle, tmp_path_factory.mktemp("web") / "explorer")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Counted, directory=folder.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/explorer/index.html"
        server.shutdown()


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if CHROMIUM is None: pytest.skip("no Chromium found: install the package chromium to test the explorer in a browser")
    with open_tab(tmp_path_factory.mktemp("profile")) as tab: yield tab


def opened(tab, url, width=1280, height=900, dark=False):
    "The page, ready, with its worker looked at as well."
    tab.view(width, height, dark)
    tab.call("Page.navigate", url="about:blank")
    tab.call("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)
    tab.events.clear()
    tab.call("Page.navigate", url=url)
    watched, end = set(), time.monotonic() + 120
    while not tab.js("document.documentElement?.dataset.ready === ''"):
        for event in tab.of("Target.attachedToTarget"):
            if event["sessionId"] in watched: continue
            watched.add(event["sessionId"])
            for method in ("Network.enable", "Runtime.enable", "Runtime.runIfWaitingForDebugger"): tab.call(method, session=event["sessionId"])
        assert time.monotonic() < end, tab.complaints()
        time.sleep(0.05)
    tab.wait("document.getElementById('map').classList.contains('painted')")
    return tab


@pytest.fixture
def page(tab, address):
    "The page at its beginning; after the test it must not have complained, nor have asked another host."
    tab.call("Page.navigate", url="about:blank")
    yield opened(tab, address)
    assert not tab.complaints()
    assert tab.hosts() - {""} == {address.split("/")[2]}


def point(tab): return np.array(tab.js("Array.from(explorer.point.z)"))


def score(tab, k): return tab.js(f"explorer.point.scores[{k}] / explorer.space.latent.std[{k}]")


def face(tab): return np.array(tab.js("(async () => { await explorer.painter.busy; return Array.from(explorer.face); })()"))


def middle(tab, selector): return tab.js(f"(() => {{ const r = document.querySelector('{selector}').getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()")


def drag(tab, start, way, steps=8):
    mouse = functools.partial(tab.call, "Input.dispatchMouseEvent", button="left", buttons=1, clickCount=1)
    mouse(type="mousePressed", x=start[0], y=start[1])
    for k in range(1, steps + 1): mouse(type="mouseMoved", x=start[0] + way[0] * k / steps, y=start[1] + way[1] * k / steps)
    mouse(type="mouseReleased", x=start[0] + way[0], y=start[1] + way[1])


KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "z": 90}


def press(tab, key, times=1, modifiers=0):
    "A key, with Ctrl (2) or Shift (8)."
    kind = {"key": key, "code": "KeyZ" if key == "z" else "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key], "modifiers": modifiers}
    for _ in range(times):
        tab.call("Input.dispatchKeyEvent", type="keyDown", **kind, **({"text": "\r"} if key == "Enter" else {"text": " "} if key == " " else {}))
        tab.call("Input.dispatchKeyEvent", type="keyUp", **kind)


def click(tab, selector): tab.js(f"document.querySelector('{selector}').click()")


# ---------------------------------------------------------------- loading and painting

def test_the_first_load(tab, address):
    Counted.asked.clear()
    Counted.sent = 0
    start = time.monotonic()
    opened(tab, address)
    seconds = time.monotonic() - start
    print(f"\nfirst load: {Counted.sent / 1e6:.1f} MB in {len(Counted.asked)} files, {seconds:.1f} s to the first face and the map")
    assert Counted.sent < 13e6 and not [path for _, path in Counted.asked if "encoder" in path] and not tab.complaints()
    assert not tab.js("crossOriginIsolated")


def test_faces_are_pythons(page, bundle):
    z = np.concatenate([bundle.sampler.sample(4, 1), bundle.z[:4] * 1.5]).astype(np.float32)
    found = np.array(page.js(f"(async () => Array.from(await explorer.painter.decode(...{json.dumps(z.tolist())})))()"))
    assert np.abs(found.reshape(8, 64, 64, 3) - bundle.decode(z)).max() < 1e-3
    assert np.abs(face(page).reshape(64, 64, 3) - bundle.decode(point(page)[None])[0]).max() < 1e-3


def test_milliseconds_a_face(page, bundle):
    "Printed, not asserted: beside onnxruntime in Python on one thread, in the same run."
    mine = page.js("(async () => { const all = []; for (let k = 0; k < 40; k++) { await explorer.painter.decode(explorer.point.z); all.push(explorer.painter.ms); } return all; })()")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(bundle.path / "decoder.onnx", options)
    z, theirs = {session.get_inputs()[0].name: bundle.z[:1].astype(np.float32)}, []
    for _ in range(40):
        start = time.perf_counter()
        session.run(None, z)
        theirs.append(1000 * (time.perf_counter() - start))
    print(f"\na face: {np.median(mine):.1f} ms in the browser, {np.median(theirs):.1f} ms in Python, ratio {np.median(mine) / np.median(theirs):.1f}")


def test_without_webassembly_a_sentence(tab, address):
    script = tab.call("Page.addScriptToEvaluateOnNewDocument", source="delete window.WebAssembly;")["identifier"]
    try:
        tab.call("Page.navigate", url=address)
        assert "has no WebAssembly" in tab.wait("!document.getElementById('trouble')?.hidden && document.getElementById('trouble')?.textContent")
        assert tab.js("document.getElementById('still').naturalWidth") == 320
    finally: tab.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_a_bundle_of_ones_own(tab, tiny_bundle, tmp_path):
    "Other sizes, four dimensions, no attributes."
    explore(tiny_bundle, tmp_path / "explorer", progress=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Counted, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        opened(tab, f"http://127.0.0.1:{server.server_port}/explorer/index.html")
        assert np.abs(face(tab).reshape(16, 16, 3) - tiny_bundle.decode(point(tab)[None])[0]).max() < 1e-3
        assert tab.js("document.getElementById('attribute-card').hidden") and tab.js("document.querySelectorAll('#components input').length") == 4
        for name in ("mixture", "cube", "gaussian"):
            click(tab, f"#samplers input[value={name}]")
            click(tab, "#draw")
        assert not tab.complaints()
        server.shutdown()


# ---------------------------------------------------------------- moving

def test_drag(page, bundle):
    before, seen = point(page), face(page)
    drag(page, middle(page, "#handle"), (90, -60))
    after = point(page)
    moved = LatentPCA().fit(bundle.moments).transform(np.stack([before, after])) @ np.eye(256)
    assert np.abs(moved[1] - moved[0])[:2].min() > 1 and np.abs(moved[1] - moved[0])[2:].max() < 1e-3
    assert np.abs(face(page) - seen).mean() > 0.02
    width = page.js("document.getElementById('plane').clientWidth")
    assert moved[1][0] - moved[0][0] == pytest.approx(90 / width * 2 * page.js("explorer.plane.extent"), rel=0.05)
    press(page, "z", modifiers=2)
    np.testing.assert_allclose(point(page), before)
    click(page, "#redo")
    np.testing.assert_allclose(point(page), after)


def test_a_click_in_the_plane_moves_the_point_there(page):
    x, y = middle(page, "#plane")
    drag(page, (x + 60, y + 40), (0, 0))
    assert middle(page, "#handle") == pytest.approx([x + 60, y + 40], abs=1.5)


def test_outside_of_the_ellipses_it_is_said(page):
    assert page.js("document.getElementById('verdict').textContent").startswith("Inside all 5,671 ellipses")
    drag(page, middle(page, "#handle"), (-200, -150))
    assert page.js("document.getElementById('verdict').textContent").startswith("Outside ")
    assert page.js("document.getElementById('length-words').textContent").startswith("length ")


def test_original_components(page):
    page.js("(() => { const s = document.getElementById('kind'); s.value = 'z'; s.dispatchEvent(new Event('change')); })()")
    before = point(page)
    drag(page, middle(page, "#handle"), (40, 30))
    assert np.flatnonzero(point(page) != before).tolist() == [0, 1] and page.js("document.getElementById('own-key').hidden")


def test_slider(page):
    page.js("document.querySelectorAll('#components input')[4].focus()")
    before = score(page, 4)
    press(page, "ArrowRight", 10)
    assert score(page, 4) == pytest.approx(before + 0.5, abs=0.06)
    click(page, "#undo")


def test_attributes_and_holding(page, bundle):
    names = page.js("explorer.space.attributes")
    i, j = names.index("Eyeglasses"), names.index("Male")

    def scores(): return page.js("explorer.space.directions.scores(explorer.point.z)")

    def put(value): page.js(f"(() => {{ const s = document.querySelectorAll('#attributes input[type=range]')[{i}]; s.value = {value}; s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); }})()")
    start = scores()
    put(3)
    assert scores()[i] == pytest.approx(3, abs=0.03) and abs(scores()[j] - start[j]) > 0.1
    click(page, "#undo")
    page.js(f"document.querySelectorAll('#attributes .hold input')[{j}].click()")
    put(3)
    assert scores()[i] == pytest.approx(3, abs=0.03) and scores()[j] == pytest.approx(start[j], abs=1e-3)


def test_samplers_and_their_factor(page):
    lengths = {}
    for name in ("elliptic", "gaussian", "mixture", "cube"):
        click(page, f"#samplers input[value={name}]")
        click(page, "#draw")
        lengths[name] = page.js("explorer.space.latent.length(explorer.point.scores)")
    assert lengths["elliptic"] < 0.6 * lengths["gaussian"] < lengths["cube"]
    click(page, "#samplers input[value=elliptic]")
    click(page, "#draw")
    whole = point(page) - np.array(page.js("Array.from(explorer.space.latent.mean)"))
    page.js("(() => { const s = document.getElementById('factor'); s.value = 0.35; s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); })()")
    half = point(page) - np.array(page.js("Array.from(explorer.space.latent.mean)"))
    np.testing.assert_allclose(2 * half, whole, atol=1e-4)
    seed = page.js("explorer.state.seed")
    page.js(f"(() => {{ const s = document.getElementById('seed'); s.value = {seed}; s.dispatchEvent(new Event('change')); }})()")
    np.testing.assert_allclose(point(page) - np.array(page.js("Array.from(explorer.space.latent.mean)")), half, atol=1e-6)


def test_grid(page):
    click(page, "#draw-grid")
    page.wait("!document.querySelector('#grid button:last-child').disabled")
    first = page.js("Array.from(explorer.grid.vectors[5])")
    click(page, "#grid button:nth-child(6)")
    np.testing.assert_array_equal(point(page), first)
    assert page.js("[...document.querySelectorAll('#grid button')].map(b => b.getAttribute('aria-pressed'))").index("true") == 5


def test_from_a_to_b(page, bundle):
    a = point(page)
    click(page, "#set-a")
    click(page, "#draw")
    b = point(page)
    click(page, "#set-b")
    page.js("(() => { const s = document.getElementById('walk'); s.value = 0.5; s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); })()")
    np.testing.assert_allclose(point(page), walk_between(a, b, 3, LatentPCA().fit(bundle.moments))[1], atol=1e-3)
    click(page, "#play")
    assert page.wait("explorer.walk.slider.value === '1'") and page.wait("document.getElementById('play').textContent === 'Walk'")
    np.testing.assert_allclose(point(page), b, atol=1e-3)


def test_reset_and_mean(page):
    start = point(page)
    click(page, "#mean")
    assert page.js("explorer.space.latent.length(explorer.point.scores)") < 1e-3
    click(page, "#reset")
    np.testing.assert_array_equal(point(page), start)


# ---------------------------------------------------------------- keeping

def test_a_link_holds_the_state(page, address):
    click(page, "#samplers input[value=gaussian]")
    click(page, "#draw")
    click(page, "#set-a")
    page.js("(() => { const s = document.getElementById('axis-j'); s.value = 9; s.dispatchEvent(new Event('change')); })()")
    click(page, "#copy")
    z, link = point(page), page.js("location.href")
    opened(page, link)
    np.testing.assert_allclose(point(page), z, rtol=1e-3, atol=1e-4)
    state = page.js("explorer.state")
    assert state["sampler"] == "gaussian" and state["plane"] == {"kind": "pc", "i": 0, "j": 8} and page.js("Boolean(explorer.walk.ends.a)")
    for bad in ("#z=AAAA", "#plane=pc.0.999&sampler=magic.1.2", "#%%%"):
        opened(page, address + bad)
        assert page.js("explorer.state.plane.j") == 1 and page.js("explorer.state.sampler") == "elliptic"


def test_what_is_saved_can_be_read_and_dropped_back(page, bundle, tmp_path):
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    click(page, "#draw")
    z, shown = point(page), face(page).reshape(64, 64, 3)
    for name in ("json", "png"):
        click(page, f"#{name}")
        end = time.monotonic() + 20
        while not (tmp_path / f"face.{name}").exists() and time.monotonic() < end: time.sleep(0.05)
    time.sleep(0.3)
    np.testing.assert_allclose(read_points(tmp_path / "face.json")[0], z[None], rtol=1e-6)
    assert main(["decode", str(tmp_path / "face.json"), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    with np.load(tmp_path / "out/faces.npz") as kept: assert np.abs(kept["faces"][0] / (255 if kept["faces"].dtype == np.uint8 else 1) - shown).max() < 5e-3
    assert np.abs(np.asarray(Image.open(tmp_path / "face.png").convert("RGB")) / 255 - shown).max() < 5e-3
    click(page, "#mean")
    drop(page, "face.json", "application/json", (tmp_path / "face.json").read_bytes())
    page.wait("document.getElementById('kept-words').textContent === 'Opened face.json.'")
    np.testing.assert_allclose(point(page), z, rtol=1e-6)
    drop(page, "face.json", "application/json", b'{"z": [1, 2]}')
    assert "no list z of 256 numbers" in page.wait("document.getElementById('kept-words').textContent.startsWith('This') && document.getElementById('kept-words').textContent")


def drop(tab, name, kind, content):
    "A file that falls onto the page."
    tab.js(f"""(() => {{ const all = new DataTransfer(); all.items.add(new File([Uint8Array.from({list(content)})], '{name}', {{type: '{kind}'}}));
      dispatchEvent(new DragEvent('drop', {{dataTransfer: all, cancelable: true}})); }})()""")


def test_a_photograph_stays_here(page, bundle, tmp_path):
    Counted.asked.clear()
    drawn = synthetic_faces(1, size=64, random_state=3)[0][0]
    Image.fromarray(drawn).resize((256, 256), Image.Resampling.BICUBIC).save(tmp_path / "me.png")
    node = page.call("DOM.querySelector", nodeId=page.call("DOM.getDocument")["root"]["nodeId"], selector="#photo-file")["nodeId"]
    page.call("DOM.setFileInputFiles", files=[str(tmp_path / "me.png")], nodeId=node)
    page.wait("!document.getElementById('photo-take').disabled && !explorer.photo.looking", 60)
    pixels = np.array(page.js("Array.from(explorer.photo.pixels())")).reshape(1, 64, 64, 3)
    assert np.abs(pixels[0] - drawn / 255).mean() < 0.03
    np.testing.assert_allclose(page.js("Array.from(explorer.photo.z)"), bundle.encode(pixels.astype(np.float32).clip(0, 1))[0], atol=2e-3)
    click(page, "#photo-take")
    np.testing.assert_array_equal(point(page), page.js("Array.from(explorer.photo.z)"))
    frame = middle(page, "#frame") if page.js("document.getElementById('frame').scrollIntoView({block: 'center'}) ?? true") else None
    drag(page, middle(page, "#frame") or frame, (30, 0))
    assert page.js("explorer.photo.placed.x") == pytest.approx(30 / page.js("document.getElementById('frame').clientWidth"), abs=0.01)
    page.js("document.getElementById('frame').focus()")
    press(page, "ArrowUp", 5)
    assert page.js("explorer.photo.placed.y") == pytest.approx(-0.05, abs=1e-6)
    page.wait("!explorer.photo.looking")
    assert {kind for kind, _ in Counted.asked} == {"GET"} and [path for _, path in Counted.asked] == ["/explorer/encoder.onnx"]


def test_what_is_no_photograph(page):
    drop(page, "me.png", "image/png", b"nothing")
    assert "is not a picture" in page.wait("document.getElementById('photo-words').textContent")


# ---------------------------------------------------------------- everybody

def test_keyboard_alone(page):
    "From the first Tab to a taken face, without a mouse."
    seen = []
    for _ in range(90):
        press(page, "Tab")
        seen.append(page.js("document.activeElement.id || document.activeElement.closest('[id]')?.id"))
        if seen[-1] == "handle":
            start = score(page, 0), score(page, 1)
            press(page, "ArrowRight", 3)
            press(page, "ArrowUp", modifiers=8)
            assert (score(page, 0), score(page, 1)) == pytest.approx((start[0] + 0.3, start[1] + 0.5), abs=1e-3)
        if seen[-1] == "grid" and seen.count("grid") == 2:
            press(page, "Enter")
            assert page.js("explorer.grid.vectors[1] === explorer.point.z")
    assert {"reset", "kind", "axis-i", "axis-j", "handle", "draw-grid", "grid", "attributes", "components", "set-a", "photo-file", "copy", "json-file", "draw", "mean", "samplers", "factor", "seed"} <= set(seen)
    page.js("document.querySelector('#samplers input:checked').focus()")
    press(page, "ArrowRight")
    assert page.js("explorer.state.sampler") == "gaussian"


def test_phone(tab, address):
    opened(tab, address, 390, 844)
    tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        assert tab.js("document.documentElement.scrollWidth") == 390
        low = "[...document.querySelectorAll('button, select, .file, input[type=number]')].filter(e => e.getClientRects().length && e.getBoundingClientRect().height < 24).map(e => e.outerHTML.slice(0, 80))"
        assert tab.js(low) == []
        tab.js("scrollTo({top: 400, behavior: 'instant'})")
        x, y = middle(tab, "#handle")
        before = point(tab)
        tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for k in range(1, 6): tab.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x + 10 * k, "y": y - 6 * k}])
        tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        assert np.abs(point(tab) - before).max() > 0.1 and middle(tab, "#handle") == pytest.approx([x + 50, y - 30], abs=3)
        tab.js("scrollTo({top: 2500, behavior: 'instant'})")
        box = tab.js("(() => { const r = document.getElementById('face').getBoundingClientRect(); return [r.top, r.bottom]; })()")
        assert 0 <= box[0] < box[1] < 400  # whatever is moved, the face stays in sight
        assert not tab.complaints()
    finally: tab.call("Emulation.setTouchEmulationEnabled", enabled=False)


def test_dark(tab, address):
    light = "(() => { const c = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number); return (c[0] + c[1] + c[2]) / 3; })()"
    opened(tab, address, dark=True)
    assert tab.js(light) < 60
    click(tab, "#scheme")
    assert tab.js(light) > 240
    opened(tab, address, dark=True)
    assert tab.js(light) > 240  # the choice is kept
    tab.js("localStorage.clear()")


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    "The script of axe, from npm."
    if shutil.which("npm") is None: pytest.skip("no npm found: install it to look for barriers with axe")
    folder = tmp_path_factory.mktemp("axe")
    run = subprocess.run(["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", "axe-core@4.14.1"], capture_output=True, text=True)
    if run.returncode: pytest.skip("axe-core cannot be had from npm now")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("width, dark", [(1280, False), (1280, True), (390, False)])
def test_axe_finds_no_barrier(tab, address, axe, width, dark):
    opened(tab, address, width, 844, dark)
    tab.call("Runtime.evaluate", expression=axe)
    found = tab.js("axe.run().then(r => r.violations.map(v => [v.id, v.nodes.slice(0, 3).map(n => n.target.join(' '))]))")
    assert found == []
