"The explorer's folder, and its mathematics: JavaScript beside Python, on the same numbers."
import gzip
import json
import lzma
import re
import threading
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from py_mini_racer import MiniRacer

import latentfaces
from latentfaces.attributes import attribute_directions
from latentfaces.bundle import Bundle
from latentfaces.cli import main
from latentfaces.densities import MixtureSampler
from latentfaces.ellipses import confidence_ellipse
from latentfaces.explorer import _mixture, _n_gaussians, _safetensors, explore, page_server
from latentfaces.gaussian import LatentGaussian
from latentfaces.generation import walk_between
from latentfaces.pca import LatentPCA
from latentfaces.report import read_points
from latentfaces.sampling import EllipticSampler, _spike_share, _spike_weights, _uniform_pair_region

SOURCE = Path(latentfaces.__file__).with_name("explorer")
PAGE = SOURCE / "page"


# ---------------------------------------------------------------- the folder

@pytest.fixture(scope="module")
def page(tiny_bundle, tmp_path_factory):
    "The page of a tiny bundle."
    return explore(tiny_bundle, tmp_path_factory.mktemp("page") / "explorer", progress=False)


def tensors(path):
    "Arrays of a safetensors file by name, and what the page must know besides."
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    meta = json.loads(header.pop("__metadata__")["page"])
    kinds = {"F32": "<f4", "F16": "<f2"}
    return {name: np.frombuffer(data[start:], kinds[e["dtype"]], int(np.prod(e["shape"])), e["data_offsets"][0]).reshape(e["shape"]) for name, e in header.items()}, meta


def test_the_folder_holds_all_that_the_page_loads(page, tiny_bundle):
    assert {p.name for p in PAGE.iterdir()} | {"space.safetensors", "decoder.onnx", "encoder.onnx", "still.jpg", "runtime"} == {p.name for p in page.iterdir()}
    for name in ("decoder.onnx", "encoder.onnx"): assert (page / name).read_bytes() == (tiny_bundle.path / name).read_bytes()
    wasm = gzip.decompress((page / "runtime/ort-wasm-simd-threaded.wasm.gz").read_bytes())
    assert wasm == lzma.decompress((SOURCE / "runtime/ort-wasm-simd-threaded.wasm.xz").read_bytes()) and wasm[:4] == b"\0asm"
    soup = BeautifulSoup((page / "index.html").read_text(encoding="utf-8"), "html.parser")
    sizes = json.loads(soup.find(id="sizes").string)
    assert sizes and all((page / name).stat().st_size == size for name, size in sizes.items())
    for e in soup.find_all(["script", "img"], src=True): assert (page / e["src"]).is_file()
    early = {e["href"] for e in soup.find_all("link", rel="modulepreload")}
    assert early == {p.name for p in PAGE.glob("*.js")} - {"paint-worker.js"}


def test_the_numbers_are_the_bundles(page, tiny_bundle):
    found, meta = tensors(page / "space.safetensors")
    pca = LatentPCA().fit(tiny_bundle.z)
    np.testing.assert_allclose(found["mean"], tiny_bundle.z.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found["axes"], pca.components_, atol=1e-6)
    np.testing.assert_allclose(found["half_widths"], tiny_bundle.sampler.half_widths_, rtol=1e-6)
    assert meta["n_points"] == len(tiny_bundle.z) and meta["size"] == 16 and sum(meta["lengths"]["points"]) >= len(tiny_bundle.z) - 1
    assert found["weights"].sum() == pytest.approx(1) and len(found["weights"]) == _n_gaussians(*tiny_bundle.z.shape)


def test_no_z_point_is_in_the_page(page, tiny_bundle):
    data = (page / "space.safetensors").read_bytes()
    for kind in ("<f4", "<f2"): assert not [i for i, z in enumerate(tiny_bundle.z.astype(kind)) if z.tobytes() in data]


def test_a_gaussian_stands_on_many_points():
    assert [_n_gaussians(*shape) for shape in ((31_111, 256), (25_599, 256), (100, 256), (40, 4))] == [10, 9, 1, 1]


def test_the_shipped_mixture_is_that_of_the_pretrained_bundle():
    bundle = latentfaces.load_bundle()
    mixture = _mixture(bundle, None)
    assert mixture["means"].shape == (10, 256) and mixture["cholesky"].shape == (10, 256 * 257 // 2) and mixture["cholesky"].dtype == np.float16
    assert mixture["weights"] @ mixture["means"] == pytest.approx(np.zeros(256), abs=1e-3)


def test_an_older_page_is_replaced_and_nothing_else(page, tiny_bundle, tmp_path):
    folder = tmp_path / "page"
    for _ in range(2): assert explore(tiny_bundle, folder, progress=False) == folder
    assert [p.name for p in tmp_path.iterdir()] == ["page"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="other files in it: choose another folder"): explore(tiny_bundle, mine)
    assert [p.name for p in mine.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("bundle, error", [("nowhere", FileNotFoundError), (3, TypeError)])
def test_what_is_no_bundle(bundle, error, tmp_path):
    with pytest.raises(error): explore(bundle, tmp_path / "page")
    assert not list(tmp_path.iterdir())


def test_points_on_a_line_have_no_plane(tiny_bundle, tmp_path):
    z = np.linspace(0, 1, 50)[:, None] * [1, 0, 0, 0]
    bundle = Bundle(z, config=tiny_bundle.config, encoder=tiny_bundle.path / "encoder.onnx", decoder=tiny_bundle.path / "decoder.onnx")
    with pytest.raises(ValueError, match="vary along at least 2 axes"): explore(bundle, tmp_path / "page")
    assert not list(tmp_path.iterdir())


def test_networks_that_cannot_be_written_leave_nothing_behind(tmp_path):
    z = np.random.default_rng(0).standard_normal((50, 3))
    with pytest.raises((TypeError, ValueError)): explore(Bundle(z, decoder=lambda z: np.full((len(z), 8, 8, 3), 0.5), encoder=len), tmp_path / "page", progress=False)
    assert not list(tmp_path.iterdir())


def test_attributes_that_are_not_held_get_no_slider(tiny_bundle, tmp_path):
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2000, 4))
    labels = pd.DataFrame({"right": z[:, 0] > 0.3, "by_chance": rng.random(2000) < 0.5, "rare": np.arange(2000) < 3})
    bundle = Bundle(z, config=tiny_bundle.config, encoder=tiny_bundle.path / "encoder.onnx", decoder=tiny_bundle.path / "decoder.onnx", attributes=labels)
    found, meta = tensors(explore(bundle, tmp_path / "page", progress=False) / "space.safetensors")
    assert meta["attributes"] == ["right"] and found["steps"].shape == found["normals"].shape == (1, 4)


def test_the_server_listens_to_this_machine_alone(page):
    with page_server(page) as server:
        assert server.server_address[0] == "127.0.0.1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, kind in {"": "text/html", "main.js": "text/javascript", "runtime/ort.wasm.min.mjs": "text/javascript", "decoder.onnx": "application/octet-stream"}.items():
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{name}") as answer: assert answer.headers["Content-Type"].startswith(kind)
        server.shutdown()


# ---------------------------------------------------------------- the command

def test_the_command_writes_a_folder(tiny_bundle, tmp_path, capsys):
    assert main(["explore", "--bundle", str(tiny_bundle.path), "--out", str(tmp_path / "page"), "--quiet"]) == 0
    assert (tmp_path / "page/index.html").is_file() and "put it on a web server" in capsys.readouterr().out
    assert main(["explore", "--bundle", str(tiny_bundle.path), "--out", str(tiny_bundle.path)]) == 2
    assert "other files in it" in capsys.readouterr().err


def test_the_command_serves_until_it_is_interrupted(tiny_bundle, tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def interrupted(server): raise KeyboardInterrupt
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", interrupted)
    assert main(["explore", "--bundle", str(tiny_bundle.path), "--quiet"]) == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", *opened) and opened[0] in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [dict, list])
def test_decode_reads_what_the_page_saves(tiny_bundle, tmp_path, shape):
    z = tiny_bundle.sampler.sample(2, random_state=0)
    file = tmp_path / "face.json"
    file.write_text(json.dumps({"z": z.tolist(), "decoder": "0"} if shape is dict else z.tolist()))
    np.testing.assert_array_equal(read_points(file)[0], z)
    assert main(["decode", str(file), "--bundle", str(tiny_bundle.path), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    with np.load(tmp_path / "out/faces.npz") as kept: np.testing.assert_allclose(kept["z"], z, rtol=1e-6)


@pytest.mark.parametrize("text", ["{", "[", '{"a": 1}', '{"z": "words"}', "[[1, 2], [3]]", '{"z": {"1": 2}}', "[" * 100_000])
def test_json_without_vectors_is_one_sentence(text, tmp_path):
    file = tmp_path / "face.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="expected a list z of latent vectors in .*face.json"): read_points(file)


# ---------------------------------------------------------------- the source of the page

def test_modules_name_what_is_there():
    "Files that are imported, names in them, and elements that are asked for."
    texts = {p.name: p.read_text(encoding="utf-8") for p in PAGE.glob("*.js")}
    for text in texts.values():
        for names, file in re.findall(r'^import \{ ([^}]+) \} from "\./([\w-]+\.js)"', text, re.M):
            for name in names.split(", "): assert re.search(rf"^export (async )?(const|function|class) {name}\b", texts[file], re.M), (file, name)
    soup = BeautifulSoup((PAGE / "index.html").read_text(encoding="utf-8"), "html.parser")
    ids = [e["id"] for e in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    asked = {name for text in texts.values() for name in re.findall(r'(?:\$|find)\("([\w-]+)"\)', text)}
    assert len(asked) > 30 and asked <= set(ids)


def test_the_page_asks_no_other_host():
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|url\(", text), path.name


def test_modules_are_small_and_one_concept_each():
    lines = {p.name: len(p.read_text(encoding="utf-8").splitlines()) for p in PAGE.glob("*.js")}
    assert len(lines) > 15 and max(lines.values()) <= 450 and sorted(lines.values())[len(lines) // 2] < 90
    assert all(p.read_text(encoding="utf-8").startswith("// ") for p in PAGE.glob("*.js"))


# ---------------------------------------------------------------- the mathematics

ORDER = ("half", "safetensors", "random", "latent", "ellipse", "elliptic", "mixture", "samplers", "directions", "link", "files", "space")
BROWSER = """
class TextDecoder { decode(bytes) { return String.fromCharCode(...bytes); } }
const flat = (x) => ArrayBuffer.isView(x) ? Array.from(x) : Array.isArray(x) ? x.map(flat) : x;
const bytes = (numbers) => Uint8Array.from(numbers).buffer;
"""


@pytest.fixture(scope="module")
def engine():
    "All modules that need no browser, in one JavaScript engine: without their imports and exports they are a script."
    engine = MiniRacer()
    text = "\n".join((PAGE / f"{name}.js").read_text(encoding="utf-8") for name in ORDER)
    engine.eval(BROWSER + re.sub(r"^export ", "", re.sub(r"^import .*$", "", text, flags=re.M), flags=re.M).replace("\nclass ", "\nvar _; class "))
    return engine


@pytest.fixture(scope="module")
def js(engine):
    "The value of an expression, arrays as NumPy's."
    def run(expression):
        value = json.loads(engine.eval(f"JSON.stringify(flat({expression}) ?? null)"))
        return np.array(value, float) if isinstance(value, list) and value and not isinstance(value[0], (str, dict)) else value
    return run


@pytest.fixture(scope="module")
def cloud():
    "Two blobs of 3,000 points in six dimensions, tilted, off the origin."
    rng = np.random.default_rng(0)
    z = rng.standard_normal((3000, 6)) * [4, 3, 2, 1.5, 1, 0.5] + (rng.random((3000, 1)) < 0.4) * [5, 0, 3, 0, 0, 0]
    return (z @ np.linalg.qr(rng.standard_normal((6, 6)))[0] + 2).astype(np.float32)


@pytest.fixture(scope="module")
def space(engine, cloud):
    "The cloud as the page knows it, in the engine as `space`; here a bundle and its principal axes."
    labels = pd.DataFrame({"a": cloud[:, 0] > 2, "b": cloud[:, 0] + cloud[:, 1] > 4, "c": cloud[:, 2] > 2.5})
    directions = attribute_directions(cloud, labels)
    pca, sampler = LatentPCA().fit(cloud), EllipticSampler().fit(cloud)
    mixture = _mixture(Bundle(cloud), pca, progress=False)
    arrays = {"mean": pca.mean_, "axes": pca.components_, "std": np.sqrt(pca.explained_variance_), "half_widths": sampler.half_widths_,
              "start": sampler.sample(1, 0)[0], "normals": directions.normals, "steps": directions.steps, "weights": mixture["weights"], "means": mixture["means"]}
    arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()} | {"cholesky": mixture["cholesky"]}
    engine.eval(f"var space = openSpace(bytes({list(_safetensors(arrays, {'attributes': list(labels), 'size': 8}))}));")
    return Bundle(cloud), pca, sampler, directions


def text(array): return json.dumps(np.asarray(array, float).tolist())


def test_numbers_of_16_bits(js):
    values = np.float16([0, 1, -1, 0.1, 65504, 6e-8, 6.1e-5, 6.05e-5, 1 / 3, -2.5]).astype(float)
    rng = np.random.default_rng(0)
    values = np.concatenate([values, rng.standard_normal(2000) * 10.0 ** rng.integers(-7, 5, 2000), [1 + 2**-11, 1 + 3 * 2**-11, 65519.9]])
    np.testing.assert_array_equal(js(f"{text(values)}.map((x) => fromHalf(toHalf(x)))"), np.float16(values).astype(float))
    assert js("[toHalf(1e6), toHalf(-1e6), toHalf(NaN), toHalf(65520)].map(fromHalf).map(String)") == ["Infinity", "-Infinity", "NaN", "Infinity"]


def test_principal_coordinates_and_back(js, space, cloud):
    bundle, pca, *_ = space
    for z in cloud[:5]:
        np.testing.assert_allclose(js(f"space.latent.scores({text(z)})"), pca.transform(z[None])[0], atol=1e-4)
        np.testing.assert_allclose(js(f"space.latent.fromScores(space.latent.scores({text(z)}))"), z, atol=1e-4)
        expected = LatentGaussian(shrinkage=0).fit(cloud).mahalanobis(z[None])[0]
        assert js(f"space.latent.length(space.latent.scores({text(z)}))") == pytest.approx(expected, rel=1e-4)
    covariance = np.cov(cloud.T.astype(float))
    assert js("space.latent.covariance(1, 4)") == pytest.approx(covariance[1, 4], rel=1e-4)
    assert js("space.latent.covariance(2, 2)") == pytest.approx(covariance[2, 2], rel=1e-4)


@pytest.mark.parametrize("t", [0, 0.3, 0.5, 1])
def test_walks_are_those_of_python(js, space, cloud, t):
    _, pca, *_ = space
    a, b = cloud[:2]
    expected = walk_between(a, b, 11, pca)[round(10 * t)]
    np.testing.assert_allclose(js(f"between(space.latent, {text(a)}, {text(b)}, {t})"), expected, atol=1e-4)
    np.testing.assert_allclose(js(f"between(space.latent, {text(a)}, {text(a)}, {t})"), a, atol=1e-4)
    assert np.isfinite(js(f"between(space.latent, {text(pca.mean_ + 1)}, {text(pca.mean_ - 1)}, {t})")).all()  # opposite sides


@pytest.mark.parametrize("covariance", [[[4, 1], [1, 2]], [[1, 0], [0, 3]], [[3, 0], [0, 1]], [[2, -1.9], [-1.9, 2]], [[1, 0], [0, 1]], [[1, 1], [1, 1]]])
def test_ellipses_are_those_of_python(js, covariance):
    (a, b), (_, c) = covariance
    expected = confidence_ellipse(covariance=np.array(covariance, float), n_std=1)
    found = js(f"(() => {{ const e = confidenceEllipse({a}, {b}, {c}); return [...e.semiAxes, e.angle]; }})()")
    np.testing.assert_allclose(found[:2], expected.semi_axes, atol=1e-7)
    if expected.axis_ratio > 1.001: assert np.cos(2 * (found[2] - np.radians(expected.angle))) == pytest.approx(1)
    assert js("confidenceLevel(2)") == pytest.approx(1 - np.exp(-2))


@pytest.mark.parametrize("n", [2, 3, 10, 107])
def test_the_elliptic_law_is_that_of_python(js, n):
    exponents, weights = _spike_weights(n)
    np.testing.assert_allclose(js(f"spikeWeights({n}).exponents"), exponents)
    np.testing.assert_allclose(js(f"spikeWeights({n}).weights"), weights, rtol=1e-10)
    assert js(f"spikeShare({n})") == pytest.approx(_spike_share(n))
    u = js(f"(() => {{ const r = new Random(3); return Array.from({{length: 4000}}, () => uniformPairRegion({n}, r)); }})()")
    largest = np.sort(u**2, axis=1)[:, -2:].sum(axis=1)
    assert largest.max() <= 1 + 1e-12 and largest.max() > 0.97
    python = _uniform_pair_region(40_000, n, np.random.default_rng(0))
    assert (u**2).mean() == pytest.approx((python**2).mean(), rel=0.02) and abs(u.mean()) < 0.02
    assert np.mean(np.abs(u).max(axis=1) > np.sqrt(0.5)) == pytest.approx(np.mean(np.abs(python).max(axis=1) > np.sqrt(0.5)), abs=0.03)


def test_elliptic_vectors_lie_in_all_ellipses(js, space):
    *_, sampler, _ = space
    drawn = js("Array.from({length: 300}, (_, seed) => SAMPLERS.elliptic.draw(space, 0.7, new Random(seed)))")
    assert np.isfinite(sampler.score_samples(drawn)).all()
    assert not js(f"{text(drawn)}.map((z) => pairsOutside(scaledSquares(space.latent.scores(z), space.halfWidths, 0.7), 1e-4))").any()
    outside = js(f"pairsOutside(scaledSquares(space.latent.scores({text(drawn[0] + 30)}), space.halfWidths, 0.7))")
    scaled = sampler.pca_.transform(drawn[:1] + 30)[0] / (0.7 * sampler.half_widths_)
    assert outside == sum(scaled[i] ** 2 + scaled[j] ** 2 > 1 for i in range(len(scaled)) for j in range(i)) > 0


def test_samplers_have_their_laws(js, space, cloud):
    def draw(name, factor, n=3000): return js(f"(() => {{ const r = new Random(1); return Array.from({{length: {n}}}, () => SAMPLERS.{name}.draw(space, {factor}, r)); }})()")
    covariance = np.cov(cloud.T.astype(float))
    for name in ("gaussian", "mixture"):
        drawn = draw(name, 1)
        np.testing.assert_allclose(drawn.mean(axis=0), cloud.mean(axis=0), atol=0.4)
        np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.12 * covariance.max())
    half, whole = (js(f"SAMPLERS.gaussian.draw(space, {f}, new Random(5))") - cloud.mean(axis=0) for f in (0.5, 1))
    np.testing.assert_allclose(2 * half, whole, atol=1e-4)
    cube = draw("cube", 1.5, 400)
    assert 1.4 < cube.max() <= 1.5 and -1.5 <= cube.min() < -1.4


@pytest.mark.parametrize("kind, i, j", [("z", 0, 3), ("z", 5, 2), ("pc", 0, 1), ("pc", 4, 2)])
def test_the_density_of_a_plane_is_the_marginal_of_the_mixture(js, space, cloud, kind, i, j):
    from scipy.stats import multivariate_normal
    _, pca, *_ = space
    sampler = MixtureSampler(10, progress=False, random_state=0).fit(cloud)
    g = sampler.gaussian_
    back = g.std_[:, None] * (g.axes_ if kind == "z" else np.eye(6))  # rows: a step in whitened coordinates
    centre = g.mean_ if kind == "z" else np.zeros(6)
    places = np.random.default_rng(0).standard_normal((6, 2)) * 3 + centre[[i, j]]
    expected = 0
    for weight, mean, factor in zip(sampler.weights_, sampler.means_, sampler.cholesky_):
        spread = (back.T @ factor)[[i, j]]
        expected = expected + weight * multivariate_normal((centre + mean @ back)[[i, j]], spread @ spread.T).pdf(places)
    engine = f"""(() => {{ const found = [{i}, {j}].map((k) => direction(space.latent, "{kind}", k));
      const law = space.mixture.marginal(found.map((d) => d[0]), found.map((d) => d[1]));
      return {text(places)}.flatMap(([x, y]) => Array.from(densityOn(law, [x], [y]))); }})()"""
    np.testing.assert_allclose(js(engine), expected, rtol=0.02, atol=1e-6)
    np.testing.assert_allclose(js("densityOn([{weight: 1, mean: [0, 0], covariance: [1, 0, 1]}], [0, 1], [0, 2])"),
                               np.exp([0, -0.5, -2, -2.5]) / (2 * np.pi))


def test_attributes_move_and_are_held_as_in_python(js, space, cloud):
    *_, directions = space
    np.testing.assert_allclose(js(f"space.directions.scores({text(cloud[0])})"), directions.scores(cloud[:1]).to_numpy()[0], atol=1e-4)
    for held in ([], ["b"], ["b", "c"]):
        places = [directions.names.index(name) for name in held]
        np.testing.assert_allclose(js(f"space.directions.heldStep(0, {places})"), directions.holding(*held).steps[0], atol=2e-3)
    assert js("solve([[1, 2], [2, 4]], [1, 0])") is None
    np.testing.assert_allclose(js("solve([[0, 2], [3, 4]], [2, 10])"), [2, 1])


def test_random_numbers_are_the_pages_own(js):
    numbers = js("(() => { const r = new Random(7); return Array.from({length: 20000}, () => r.uniform()); })()")
    assert 0 <= numbers.min() and numbers.max() < 1 and abs(numbers.mean() - 0.5) < 0.01 and abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.03
    assert js("new Random(7).uniform()") == numbers[0] != js("new Random(8).uniform()")
    normal = js("(() => { const r = new Random(7); return Array.from({length: 20000}, () => r.normal()); })()")
    assert abs(normal.mean()) < 0.03 and abs(normal.std() - 1) < 0.02 and abs(np.mean(np.abs(normal) < 1.96) - 0.95) < 0.01
    chosen = js("(() => { const r = new Random(7); return Array.from({length: 9000}, () => r.choice([1, 0, 2])); })()")
    assert np.bincount(chosen.astype(int)) / 9000 == pytest.approx([1 / 3, 0, 2 / 3], abs=0.02)


@pytest.mark.parametrize("content, message", [("{", "is no JSON"), ('{"z": [[1, 2]]}', "no list z of 6 numbers"), ('{"z": [1, 2, 3, 4, 5, "a"]}', "no list z"), ("null", "no list z"), ("3", "no list z")])
def test_files_that_are_no_vectors(js, content, message):
    assert message in js(f"(() => {{ try {{ readJson({json.dumps(content)}, 6); }} catch (error) {{ return error.message; }} }})()")


def test_files_that_are(js):
    for content in ('{"z": [[1, 2]], "decoder": "x"}', "[1, 2]", "[[1, 2], [3, 4]]"): np.testing.assert_array_equal(js(f"readJson({json.dumps(content)}, 2)"), [1, 2])
