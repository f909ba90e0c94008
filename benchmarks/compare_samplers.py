"""Which way of drawing z-vectors is best? The measurements behind the chapter that compares the samplers.

    python benchmarks/compare_samplers.py --data CELEBA --work FOLDER [--bundles NAME=DIR ...] [--part PART ...]

Each measurement is kept in FOLDER as soon as it is there, so an interrupted run goes on where it stopped, and two runs with
different parts share the work. When all parts are there, they are written to nbs/comparison.json. Parts:

samplers  every sampler, three times 5,000 pictures with seeds of their own, all measures; about half an hour on one core
curve     elliptic factor and components, scale of the Gaussian and of the blend, 4,000 pictures each
novelty   noise of the blends and bandwidth of the kernel density: how good, and how near to known faces
points    the samplers fitted to 1,000 to all z-points
bundles   the same samplers on other bundles (such as 64=DIR, 128=DIR), short trainings that differ in one thing
"""
import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.base import clone

from latentfaces import evaluate, load_bundle
from latentfaces.core import replace_file
from latentfaces.images import load_images
from latentfaces.densities import EigenfaceSampler
from latentfaces.evaluation import Yardstick, build_reference, decoded
from latentfaces.features import Features
from latentfaces.gaussian import normality
from latentfaces.metrics import nearest_distances
from latentfaces.sampling import make_sampler

OUT = Path(__file__).resolve().parents[1] / "nbs" / "comparison.json"
SEEDS, EACH = (0, 1, 2), 5000


SAMPLERS = {  # row of the table, by the name it has there: sampler for a seed
    "cube": lambda seed: make_sampler("uniform"),
    "own ranges": lambda seed: make_sampler("range"),
    "independent Gaussians": lambda seed: make_sampler("independent"),
    "eigenfaces": lambda seed: EigenfaceSampler(),
    "elliptic, factor 0.7": lambda seed: make_sampler("elliptic", factor=0.7),
    "elliptic, sequential": lambda seed: make_sampler("sequential"),
    "Gaussian x 0.7": lambda seed: make_sampler("gaussian", factor=0.7),
    "Gaussian": lambda seed: make_sampler("gaussian"),
    "Gaussian in its 50 % ellipsoid": lambda seed: make_sampler("truncated", confidence=0.5),
    "empirical radius": lambda seed: make_sampler("radius"),
    "scale mixture": lambda seed: make_sampler("scale"),
    "Gaussian copula": lambda seed: make_sampler("copula"),
    "mixture of 10": lambda seed: make_sampler("mixture", n_gaussians=10, random_state=seed),
    "flow": lambda seed: make_sampler("flow", random_state=seed),
    "iterative Gaussianisation": lambda seed: make_sampler("gaussianization", random_state=0),
    "two parents": lambda seed: make_sampler("blend"),
    "three parents": lambda seed: make_sampler("blend", n_parents=3),
    "kernel density, h = 1": lambda seed: make_sampler("kernel", bandwidth=1.0),
    "kernel density, h = 0.5": lambda seed: make_sampler("kernel", bandwidth=0.5),
}
FEW = ("elliptic, factor 0.7", "Gaussian", "scale mixture", "mixture of 10", "iterative Gaussianisation", "two parents")


class Bench:
    "A bundle, its reference and its z-points, and the measurements that are kept in a folder."
    def __init__(self, bundle, images, names, folder):
        self.bundle, self.folder, self.features, self.by = bundle, folder, Features(), {}
        self.reference = build_reference(images, names, bundle, self.features, progress=False)
        self.apart = np.median(nearest_distances(bundle.encode(self.reference.images[1]), bundle.z))
        folder.mkdir(parents=True, exist_ok=True)

    def kept(self, name, found):
        "What the file says, or else what `found()` gives, which is written there."
        path = self.folder / f"{name}.json"
        if not path.exists():
            value = json.dumps(found())
            replace_file(path, lambda file: file.write(value.encode()))
            print(f"{self.folder.name}: {name}", flush=True)
        return json.loads(path.read_text())

    def measure(self, name, draw, n, seed=0):
        "All measures of one way to draw; `draw(n, seed)` gives z-vectors or images."
        row, controls = self.kept(f"{name}-{n}-{seed}", lambda: self._measured(name, draw(n, seed), seed)), self.controls(n, seed)
        row["frechet_ratio"] = row["frechet_extrapolated"] / controls[1]["frechet_extrapolated"]
        row["sharpness"] *= controls[0]["sharpness"] / self.reference.sharpness  # over that of the reconstructions, as in the controls
        return row

    def _measured(self, name, source, seed):
        if seed not in self.by: self.by[seed] = Yardstick(self.reference, self.bundle, self.features, seed, n_faces=500)
        row = {"name": name} | self.by[seed].measure(decoded(source, self.bundle))
        if source.ndim == 2: row["nearest_z"] = float(np.median(nearest_distances(source[:1000].astype(np.float32), self.bundle.z)) / self.apart)
        return row

    def controls(self, n, seed=0):
        "The rows that every table has: real images, reconstructions, mean face, N(0, I)."
        def rows():
            table = evaluate(self.bundle, {}, self.reference, n, seed, False, self.features, n_faces=1000, n_seeds=1)
            return json.loads(table.reset_index().to_json(orient="records", double_precision=15))
        return self.kept(f"controls-{n}-{seed}", rows)


def drawn_from(sampler, z):
    "A function that fits a copy of the sampler to the z-points (or images) once, and then draws."
    fitted = []

    def draw(n, seed):
        if not fitted: fitted.append(clone(sampler).fit(z))
        return fitted[0].sample(n, random_state=seed)
    return draw


def compare(bench):
    "Every sampler, three seeds; the mixture and the flow are fitted anew for each seed."
    rows = [bench.controls(EACH, seed) for seed in SEEDS]
    table = {name: [seed[i] for seed in rows] for i, name in enumerate(("real images", "reconstructions", "mean face", "N(0, I)"))}
    images = bench.reference.images[0][np.arange(len(bench.reference.images[0]))]
    for name, make in SAMPLERS.items():
        draws = {repr(make(seed)): drawn_from(make(seed), images if name == "eigenfaces" else bench.bundle.z) for seed in SEEDS}
        table[name] = [bench.measure(name, draws[repr(make(seed))], EACH, seed) for seed in SEEDS]
    return table


def shrunk(sampler, z, factor):
    "Draws of a sampler, drawn towards the mean of the z-points."
    draw, mean = drawn_from(sampler, z), z.mean(axis=0, dtype=np.float64)
    return lambda n, seed: mean + factor * (draw(n, seed) - mean)


def curve(bench):
    "Fidelity against diversity: the knobs of three samplers."
    z = bench.bundle.z
    ways = {("elliptic", f): drawn_from(make_sampler("elliptic", factor=f), z) for f in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)}
    ways |= {("components", k): drawn_from(make_sampler("elliptic", n_components=k), z) for k in (20, 50, 80, 120, 180, None)}
    ways |= {("Gaussian", t): drawn_from(make_sampler("gaussian", factor=t), z) for t in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)}
    ways |= {("Gaussian, 90 %", t): drawn_from(make_sampler("gaussian", factor=t, n_components=0.9), z) for t in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)}
    ways |= {("two parents", t): shrunk(make_sampler("blend"), z, t) for t in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)}
    return [{"way": way, "value": value} | bench.measure(f"{way} {value}", draw, 4000) for (way, value), draw in ways.items()]


def novelty(bench):
    "Good against new: the noise of the blends, and the bandwidth of the kernel density."
    z = bench.bundle.z
    ways = {("two parents", h): make_sampler("blend", noise=h) for h in (0, 0.2, 0.3, 0.4, 0.6, 0.8)}
    ways |= {("three parents", h): make_sampler("blend", n_parents=3, noise=h) for h in (0, 0.3, 0.6)}
    ways |= {("kernel density", h): make_sampler("kernel", bandwidth=h) for h in (0.3, 0.5, 0.7, 1.0, 1.5)}
    return [{"way": way, "value": value} | bench.measure(f"{way} with {value}", drawn_from(sampler, z), 4000) for (way, value), sampler in ways.items()]


def few(bench, label, z):
    "The most interesting samplers, fitted to some z-points."
    return {name: bench.measure(f"{name} {label}", drawn_from(SAMPLERS[name](0), z), 4000) for name in FEW}


def points(bench):
    "The same samplers fitted to fewer z-points; one random subset within the next."
    z = bench.bundle.z
    order = np.random.default_rng(0).permutation(len(z))
    return {n: few(bench, f"of {n}", z[order[:n]]) for n in (1000, 2000, 4000, len(z))}


def describe(bench):
    "A bundle: its errors, its controls and the samplers."
    scores = bench.bundle.config["scores"]
    return {"latent_dim": bench.bundle.latent_dim, "recipe": bench.bundle.config["recipe"], "scores": scores,
            "normal": {key: getattr(normality(bench.bundle.z), key) for key in ("radius_ks", "radius_variance")},
            "controls": bench.controls(4000), "samplers": few(bench, "on this", bench.bundle.z)}


PARTS = {"samplers": compare, "curve": curve, "novelty": novelty, "points": points}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="the CelebA zip or folder")
    p.add_argument("--work", required=True, type=Path, help="folder for the measurements")
    p.add_argument("--bundles", nargs="*", default=[], metavar="NAME=DIR", help="other bundles")
    p.add_argument("--part", nargs="*", default=[*PARTS, "bundles"], help="which parts to measure; nothing is written unless all are asked for")
    a = p.parse_args()
    bundle = load_bundle()
    images, names = load_images(a.data, size=64, crop=bundle.config["crop"], return_names=True)
    found = {"about": {"seeds": SEEDS, "n_samples": EACH, "numpy": np.__version__}}
    bench = Bench(bundle, images, names, a.work / "shipped")
    for part, measure in PARTS.items():
        if part in a.part: found[part] = measure(bench)
    if "points" in a.part: found["controls"] = bench.controls(4000)
    if "bundles" in a.part:
        pairs = dict(pair.split("=", 1) for pair in a.bundles)
        found["bundles"] = {name: describe(Bench(load_bundle(folder), images, names, a.work / name)) for name, folder in pairs.items()}
    if len(a.part) <= len(PARTS): return
    replace_file(OUT, lambda file: file.write((json.dumps(rounded(found)) + "\n").encode()))
    print(f"wrote {OUT.name}")


def rounded(tree):
    "Numbers with five digits, which is more than their spread allows."
    if isinstance(tree, dict): return {key: rounded(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)): return [rounded(value) for value in tree]
    return float(f"{tree:.5g}") if isinstance(tree, float) else tree


if __name__ == "__main__": main()
