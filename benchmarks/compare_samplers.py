"""Which way of drawing z-vectors is best, and is a drawn face anybody? The measurements behind the chapter that compares.

    python benchmarks/compare_samplers.py --data CELEBA [MORE] --work FOLDER [--photographs PEOPLE] [--others FILE.npz]

The images are all that the pretrained bundle was made from, and beside them some of CelebA's validation part, which are
strangers to it; PEOPLE is a zip or folder of photographs with a folder for each person, and FILE z-vectors of other
people's samplers by name. `latentfaces[judges]` must be there. Each measurement is kept in FOLDER as soon as it is there,
so an interrupted run goes on where it stopped, and two runs with different parts share the work. Each part is written into
nbs/comparison.json when all that were asked for are there; what was not asked for stays there as it is. Parts:

panel     every sampler before three judges, three seeds
samplers  every sampler, three seeds, all measures of the own judge
leak      are drawn faces the people they were made from, or anybody?
near      samplers between the Gaussian and copies: how good, and how often somebody; the same seed and photographs as in panel
curve     elliptic factor and components, scale of the Gaussian and of the blend
points    samplers fitted to 1,000 to all z-points
labels    by sex, age and skin: errors of the decoder, faces that a detector finds, how often they are drawn
"""

import argparse
import json
import warnings
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from scipy.stats import binomtest

from latentfaces import build_gallery, evaluate, identity_leak, judge_samplers, load_bundle, load_features
from latentfaces.bundle import images_for
from latentfaces.core import replace_file
from latentfaces.densities import EigenfaceSampler
from latentfaces.evaluation import Yardstick, build_reference, decoded
from latentfaces.features import Features
from latentfaces.images import load_images
from latentfaces.labels import load_partition
from latentfaces.metrics import face_rate
from latentfaces.sampling import fitted_sampler, load_sampler, make_sampler

OUT = Path(__file__).resolve().parents[1] / "nbs" / "comparison.json"
SEEDS, EACH, FACES, IDENTITIES = (0, 1, 2), 1500, 200, 5000
LABELS = {"women": ("Male", False), "men": ("Male", True), "young": ("Young", True), "not young": ("Young", False)}
LABELS |= {"pale skin": ("Pale_Skin", True), "other skin": ("Pale_Skin", False)}

SAMPLERS = {  # row of the table, by the name it has there: sampler
    "cube": make_sampler("uniform"),
    "own ranges": make_sampler("range"),
    "independent Gaussians": make_sampler("independent"),
    "elliptic, factor 0.7": make_sampler("elliptic", factor=0.7),
    "elliptic, sequential": make_sampler("sequential"),
    "Gaussian x 0.7": make_sampler("gaussian", scale=0.7),
    "Gaussian": make_sampler("gaussian"),
    "Gaussian in its 50 % ellipsoid": make_sampler("truncated", confidence=0.5),
    "empirical radius": make_sampler("radius"),
    "scale mixture": make_sampler("scale"),
    "Gaussian copula": make_sampler("copula"),
    "mixture of 10": make_sampler("mixture", n_gaussians=10, max_iter=40, random_state=0),
    "mixture of 40": make_sampler("mixture", n_gaussians=40, max_iter=20, random_state=0),
    "flow": make_sampler("flow"),
    "iterative Gaussianisation": make_sampler("gaussianization"),
    "two parents": make_sampler("blend"),
    "three parents": make_sampler("blend", n_parents=3),
    "kernel density, h = 1": make_sampler("kernel", bandwidth=1.0),
    "kernel density, h = 0.5": make_sampler("kernel", bandwidth=0.5),
}
FEW = ("elliptic, factor 0.7", "Gaussian", "scale mixture", "mixture of 10", "iterative Gaussianisation", "two parents")
SOURCELESS = ("elliptic, factor 0.7", "Gaussian", "mixture of 10", "mixture of 40")


class Bench:
    "A bundle, its images and z-points, and the measurements that are kept in a folder."

    def __init__(self, bundle, sources, folder, people=None, others=None):
        self.bundle, self.sources, self.folder, self.people, self.others = bundle, sources, folder, people, others
        folder.mkdir(parents=True, exist_ok=True)
        images, names = images_for(bundle, sources)
        self.features, self.by = Features(), {}
        place = {name: row for row, name in enumerate(names)}
        self.photographs = images[[place[name] for name in bundle.names]]
        self.strangers = images[[place[name] for name in strangers_among(sources, names, bundle)]]
        self.reference = build_reference(self.photographs, bundle.names, bundle, self.features, progress=False)

    def kept(self, name, found):
        "What the file says, or else what `found()` gives, which is written there."
        path = self.folder / f"{name}.json"
        if not path.exists():
            value = json.dumps(found(), default=float)
            replace_file(path, lambda file: file.write(value.encode()))
            print(name, flush=True)
        return json.loads(path.read_text())

    def eigenfaces(self):
        "The sampler that learns from images, of 8,500 of them."
        some = np.random.default_rng(0).permutation(len(self.photographs))[:8500]
        return EigenfaceSampler().fit(self.photographs[np.sort(some)])

    def fitted(self, name):
        "A sampler fitted to all z-points, once."
        path = self.folder / f"{name}.npz"
        if not path.exists():
            fitted_sampler(SAMPLERS[name], self.bundle.z, 0, False).save(path)
        return load_sampler(path)

    def measure(self, name, draw, n=EACH, seed=0):
        "All measures of one way to draw; `draw(n, seed)` gives z-vectors or images."
        return self.kept(f"{name}-{n}-{seed}", lambda: {"name": name} | self._measured(draw(n, seed), seed))

    def _measured(self, source, seed):
        if seed not in self.by:
            self.by[seed] = Yardstick(self.reference, self.bundle, self.features, seed, n_faces=FACES)
        return self.by[seed].measure(decoded(source, self.bundle))

    def controls(self, seed=0):
        "The rows that every table has: real images, reconstructions, mean face, N(0, I)."

        def rows():
            how = dict(n_samples=EACH, random_state=seed, progress=False, n_faces=FACES, n_seeds=1)
            table = evaluate(self.bundle, {}, self.reference, features=self.features, **how)
            return json.loads(table.reset_index().to_json(orient="records", double_precision=15))

        return self.kept(f"controls-{seed}", rows)


def strangers_among(sources, names, bundle):
    "Names of the images of CelebA's validation part, whose people are in no other part."
    parts, known = pd.concat([load_partition(source) for source in sources]), set(bundle.names)
    return [name for name in names if parts.get(name) == 1 and name not in known]


def drawing(sampler, z):
    "A function that fits a copy of a sampler at the first call, and draws."
    found = []

    def draw(n, seed):
        if not found:
            found.append(fitted_sampler(sampler, z, 0, False))
        return found[0].sample(n, random_state=seed)

    return draw


def panel(bench):
    "Every sampler before three judges."

    def judged():
        rows = SAMPLERS | {"eigenfaces": bench.eigenfaces()} | bench.others
        how = dict(n_samples=EACH, n_halves=30, n_seeds=len(SEEDS), folder=bench.folder / "answers")
        found = judge_samplers(bench.bundle, rows, bench.sources, ["own", "onet", "dlib"], **how)
        return {f"{judge} {measure}": values.to_dict("list") for (judge, measure), values in found.scattered.items()}

    return bench.kept("panel", judged)


def samplers(bench):
    "Every sampler by all measures of the own judge, three seeds."
    rows = [bench.controls(seed) for seed in SEEDS]
    table = {row["name"]: [seed[i] for seed in rows] for i, row in enumerate(rows[0])}
    quick = [name for name in SAMPLERS if name != "flow"]  # whose fit takes longer than all this
    draws = {name: lambda n, seed, name=name: bench.fitted(name).sample(n, random_state=seed) for name in quick}
    draws["eigenfaces"] = lambda n, seed: bench.eigenfaces().sample(n, random_state=seed)
    for name, draw in draws.items():
        table[name] = [bench.measure(name, draw, seed=seed) for seed in SEEDS]
    for found in table.values():
        for row, base in zip(found, table["reconstructions"]):
            row["frechet_ratio"] = row["frechet_extrapolated"] / base["frechet_extrapolated"]
    return table


def with_sources(sampler, n, seed=0):
    "Draws of a sampler and what they are made of, None where it does not say."
    if hasattr(sampler, "sample_with_sources"):
        return sampler.sample_with_sources(n, random_state=seed)
    return sampler.sample(n, random_state=seed), None


class People:
    "The gallery of all training images by dlib's embedding, and by pixels; strangers, also as the decoder paints them."

    def __init__(self, bench):
        self.bench, self.dlib = bench, load_features("dlib")
        self.gallery = build_gallery(self._kept("photographs"), self._kept("strangers"), self.dlib)
        self.pixels = build_gallery(pixels(bench.photographs), pixels(bench.strangers))
        self.rebuilt_strangers = self._kept("rebuilt strangers")
        # 1 in 100 strangers: at 1 in 1,000 not even faces with half the noise of the cloud are found
        self.paintings = build_gallery(self._kept("rebuilt photographs"), self.rebuilt_strangers, None, 0.01)

    def _kept(self, what):
        path = self.bench.folder / f"{what}.npy"
        if not path.exists():
            images = getattr(self.bench, what.removeprefix("rebuilt "))
            found = self.dlib(self.painted(self.bench.bundle.encode(images)) if what.startswith("rebuilt") else images)
            replace_file(path, lambda file: np.save(file, found))
        return np.load(path)

    def painted(self, z):
        "Pictures of z-vectors."
        return decoded(z, self.bench.bundle)

    def about(self, pictures, sources):
        "The leak of pictures, as numbers; nearest in pixels of the first 1,000 only."
        vectors = self.dlib(pictures)
        found = identity_leak(vectors, sources, self.gallery)
        painted = identity_leak(vectors, None, self.paintings)
        row = {"n": len(pictures), "as_anyone": found.as_anyone, "as_anyone_painted": painted.as_anyone}
        if sources is None:
            return row
        near = identity_leak(pixels(pictures[:1000]), sources[:1000], self.pixels)
        shares = {"as_source": found.as_source, "by_chance": found.by_chance, "first": found.first}
        shares |= {"first_pixels": near.first, "rank": float(np.median(found.rank))}
        return row | shares | self._rebuilt(vectors[:1000], sources[:1000])

    def _rebuilt(self, vectors, sources):
        "The same against the sources as the decoder paints them, instead of their photographs."
        rows, places = np.unique(sources, return_inverse=True)
        gallery = build_gallery(self.dlib(self.painted(self.bench.bundle.z[rows])), self.rebuilt_strangers)
        found = identity_leak(vectors, places.reshape(sources.shape), gallery)
        return {"as_rebuilt": found.as_source, "rebuilt_by_chance": found.by_chance}


def pixels(images):
    "Vectors of images of 16 x 16 pixels, means of squares: enough to find a photograph again."
    side = images.shape[1] // 16
    vectors = [x.reshape(16, side, 16, side, 3).mean(axis=(1, 3), dtype=np.float32).ravel() for x in images]
    return np.stack(vectors) / 255


def leak(bench):
    "Who is somebody: samplers, reconstructions, and real people."
    people, z = People(bench), bench.bundle.z
    rows = {
        "strangers": lambda: people.about(bench.strangers, None),
        "reconstructions of strangers": lambda: people.about(
            people.painted(bench.bundle.encode(bench.strangers)), None
        ),
        "reconstructions": lambda: people.about(decoded(z[:IDENTITIES], bench.bundle), np.arange(IDENTITIES)[:, None]),
    }
    if bench.people is not None:
        rows["two photographs of one person"] = lambda: same_person(people, bench)
    for name in SOURCELESS + tuple(name for name in SAMPLERS if hasattr(SAMPLERS[name], "sample_with_sources")):
        rows[name] = lambda name=name: drawn_people(people, bench, bench.fitted(name))
    about = {"pair_distance": people.gallery.pair_distance, "nearest_distance": people.gallery.nearest_distance}
    about |= {"n_gallery": len(z), "n_strangers": len(bench.strangers)}
    return about | {"rows": {name: bench.kept(f"leak of {name}", row) for name, row in rows.items()}}


def drawn_people(people, bench, sampler, n=IDENTITIES):
    "The leak of a sampler."
    vectors, sources = with_sources(fitted_sampler(sampler, bench.bundle.z, 0, False), n)
    return people.about(decoded(vectors, bench.bundle), sources)


def same_person(people, bench):
    "How often two photographs of one person are verified, and two of different people."
    with warnings.catch_warnings(action="ignore"):
        images, names = load_images(bench.people, align=True, return_names=True)
    who = pd.factorize(np.array([str(PurePosixPath(name).parent) for name in names]))[0]
    vectors, rng = people.dlib(images), np.random.default_rng(0)
    pairs = rng.integers(len(who), size=(2, 2_000_000))
    pairs = pairs[:, pairs[0] < pairs[1]]
    same = who[pairs[0]] == who[pairs[1]]
    near = np.linalg.norm(vectors[pairs[0]] - vectors[pairs[1]], axis=1) < people.gallery.pair_distance
    return {"n": int(same.sum()), "as_source": interval(near[same]), "by_chance": interval(near[~same])}


def interval(found):
    "A share and its interval of 95 % (Wilson)."
    ends = binomtest(int(found.sum()), len(found)).proportion_ci(method="wilson")
    return [float(found.mean()), float(ends.low), float(ends.high)]


def near(bench):
    "Between copies and the Gaussian: distances by all judges, and how often a face is one of its sources."
    ways = {("two parents", h): make_sampler("blend", noise=h) for h in (0, 0.3, 0.6, 0.8)}
    ways |= {("several parents", m): make_sampler("blend", n_parents=m) for m in (3, 5, 10)}
    ways |= {("kernel density", h): make_sampler("kernel", bandwidth=h) for h in (0.5, 1.0, 2.0)}

    def judged():
        rows = {f"{way} {value}": sampler for (way, value), sampler in ways.items()}
        how = dict(n_samples=EACH, n_halves=30, folder=bench.folder / "answers")
        found = judge_samplers(bench.bundle, rows, bench.sources, ["own", "onet", "dlib"], **how)
        return {f"{judge} {measure}": values.to_dict("list") for (judge, measure), values in found.scattered.items()}

    people = People(bench)
    leaks = {}
    for (way, value), sampler in ways.items():
        leaks[f"{way} {value}"] = bench.kept(
            f"leak of {way} {value}", lambda s=sampler: drawn_people(people, bench, s, 2000)
        )
    return {
        "ways": [{"way": way, "value": value} for way, value in ways],
        "leaks": leaks,
        "panel": bench.kept("near", judged),
    }


def shrunk(sampler, z, factor):
    "Draws of a sampler, drawn towards the mean of the z-points."
    draw, mean = drawing(sampler, z), z.mean(axis=0, dtype=np.float64)
    return lambda n, seed: mean + factor * (draw(n, seed) - mean)


def curve(bench):
    "Fidelity against diversity: the knobs of three samplers."
    z = bench.bundle.z
    ways = {("elliptic", f): make_sampler("elliptic", factor=f) for f in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)}
    ways |= {("components", k): make_sampler("elliptic", n_components=k) for k in (20, 80, 180, None)}
    ways |= {("Gaussian", t): make_sampler("gaussian", scale=t) for t in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)}
    narrow = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
    ways |= {("Gaussian, 90 %", t): make_sampler("gaussian", scale=t, n_components=0.9) for t in narrow}
    draws = {key: drawing(sampler, z) for key, sampler in ways.items()}
    draws |= {("two parents", t): shrunk(make_sampler("blend"), z, t) for t in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)}
    rows = [
        {"way": way, "value": value} | bench.measure(f"{way} {value}", draw) for (way, value), draw in draws.items()
    ]
    return [row | ratio(row, bench) for row in rows]


def ratio(row, bench):
    "A distance as a multiple of the reconstructions'."
    return {"frechet_ratio": row["frechet_extrapolated"] / bench.controls()[1]["frechet_extrapolated"]}


def points(bench):
    "The same samplers fitted to fewer z-points; one random subset within the next."
    z = bench.bundle.z
    order = np.random.default_rng(0).permutation(len(z))
    found = {}
    for n in (1000, 4000, len(z)):
        draws = {name: drawing(SAMPLERS[name], z[order[:n]]) for name in FEW}
        if n == len(z):
            draws = {name: drawing(bench.fitted(name), z) for name in FEW}
        rows = {name: bench.measure(f"{name} of {n}", draw) for name, draw in draws.items()}
        found[n] = {name: row | ratio(row, bench) for name, row in rows.items()}
    return found


def labels(bench):
    "By CelebA's own labels: errors, faces found in reconstructions, and shares in the data and among drawn faces."
    z, known = bench.bundle.z, bench.bundle.attributes
    some = np.random.default_rng(0).permutation(len(z))[:6000]
    real, rebuilt = bench.photographs[np.sort(some)], decoded(z[np.sort(some)], bench.bundle)
    errors = ((real.astype(np.float32) - rebuilt) ** 2).mean(axis=(1, 2, 3)) / 255**2
    drawn = {name: decoded(bench.fitted(name).sample(5000, random_state=0), bench.bundle) for name in FEW}
    said = {name: bench.features.attributes(pictures) > 0.5 for name, pictures in drawn.items()}
    said |= {
        "photographs": bench.features.attributes(real) > 0.5,
        "reconstructions": bench.features.attributes(rebuilt) > 0.5,
    }
    rows = {}
    for group, (label, value) in LABELS.items():
        of = known[label].to_numpy()[np.sort(some)] == value
        rows[group] = {
            "n": int(of.sum()),
            "share": float((known[label] == value).mean()),
            "error": float(errors[of].mean()),
        }
        rows[group]["found"] = {
            "photographs": face_rate(real[of][:500]),
            "reconstructions": face_rate(rebuilt[of][:500]),
        }
        rows[group]["drawn"] = {name: float((answers[label] == value).mean()) for name, answers in said.items()}
    return rows


PARTS = {
    "panel": panel,
    "samplers": samplers,
    "leak": leak,
    "near": near,
    "curve": curve,
    "points": points,
    "labels": labels,
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, nargs="+", help="zips or folders of CelebA")
    p.add_argument("--work", required=True, type=Path, help="folder for the measurements")
    p.add_argument("--photographs", help="zip or folder with a folder for every person")
    p.add_argument("--others", type=Path, help="an .npz file with z-vectors by name")
    p.add_argument("--part", nargs="*", default=[*PARTS], choices=PARTS, help="what to measure; all")
    a = p.parse_args()
    others = {} if a.others is None else dict(np.load(a.others))
    bench = Bench(load_bundle(), a.data, a.work, a.photographs, others)
    found = {part: bench.kept(f"part {part}", lambda part=part: PARTS[part](bench)) for part in a.part}
    known = json.loads(OUT.read_text())
    if "points" in found:
        found["controls"] = bench.controls()
    for part in a.part:
        seeds = SEEDS if part in ("panel", "samplers") else SEEDS[:1]
        n = IDENTITIES if part in ("leak", "labels") else EACH
        known["about"][part] = {"n_points": len(bench.bundle.z), "seeds": seeds, "n_samples": n}
    replace_file(OUT, lambda file: file.write((json.dumps(rounded(known | found)) + "\n").encode()))
    print(f"wrote {', '.join(found)} into {OUT.name}")


def rounded(tree):
    "Numbers with five digits, which is more than their spread allows."
    if isinstance(tree, dict):
        return {key: rounded(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [rounded(value) for value in tree]
    return float(f"{tree:.5g}") if isinstance(tree, float) else tree


if __name__ == "__main__":
    main()
