"""Training and samplers side by side with pythae, scikit-learn and NumPy: make bench-peers, or .venv-peers/bin/python benchmarks/peers.py

Training: the plain autoencoder of latentfaces and pythae's, with equal layers, images, batches and cores, each in a process of its own,
in turns. Each library trains the way it does by itself: ours with Muon, a schedule, mirrored and shifted images and a checkpoint after
every epoch; pythae with Adam at 1e-3 (its default is 1e-4, the value of its own CelebA configurations is 1e-3) on float images in memory.
Samplers: all fit the z-points of the pretrained bundle and draw n vectors, without decoding; then one decoder and one yardstick judge all.
The best of three counts, or the only one where it took long. Tables are Markdown, on the screen and in the file of --out.
"""
import argparse
import contextlib
import functools
import io
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

PACKAGES = ("latentfaces", "keras", "tensorflow", "tensorflow-cpu", "pythae", "torch", "scikit-learn", "scipy", "numpy")
# name: title, Keras' backend, precision of the layers, optimizer
SIDES = {"pythae": ("pythae AE, PyTorch, Adam", "torch", None, None), "latentfaces": ("latentfaces as it comes: TensorFlow, Muon", "tensorflow", "float32", "muon"),
         "latentfaces-bfloat16": ('the same, dtype="mixed_bfloat16"', "tensorflow", "mixed_bfloat16", "muon"),
         "latentfaces-adam": ('the same, optimizer="adam"', "tensorflow", "float32", "adam"),
         "latentfaces-adam-bfloat16": ('the same, optimizer="adam", dtype="mixed_bfloat16"', "tensorflow", "mixed_bfloat16", "adam"),
         "latentfaces-torch": ("latentfaces, KERAS_BACKEND=torch, Muon", "torch", "float32", "muon")}


def machine():
    "What the figures were measured with."
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError): found.append(f"{name} {version(name)}")
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}; {', '.join(found)}"


def markdown(rows):
    "Dicts with equal keys as a Markdown table."
    lines = [list(rows[0]), ["---"] * len(rows[0]), *[[str(cell) for cell in row.values()] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---- training

def images_of(source, count):
    "Training and held-out images, split like those of the pretrained bundle; only the first `count` to train on, if given."
    from latentfaces.images import load_images
    from latentfaces.labels import split_indices
    images = load_images(source, size=64, crop=140, progress=False)
    train, held = split_indices(len(images), held_out=min(500, len(images) // 10), random_state=0)
    return images, train[:count], held


def train_ours(images, train, held, epochs, dtype, optimizer):
    "Train with the other defaults of `train_autoencoder`, as `latentfaces train` does, checkpoints included."
    from latentfaces.bundle import Bundle, reconstruction_error
    from latentfaces.images import ImageSubset
    from latentfaces.training import train_autoencoder
    train, held = ImageSubset(images, train), ImageSubset(images, held)
    with tempfile.TemporaryDirectory() as folder:
        encoder, decoder, history = train_autoencoder(train, held, folder, epochs=epochs, dtype=dtype, optimizer=optimizer, progress=False)
    error = reconstruction_error(Bundle(np.zeros((1, 256)), encoder=encoder, decoder=decoder), held)
    return {"parameters": encoder.count_params() + decoder.count_params(), "seconds": history.seconds.tolist(),
            "images": len(train) // 64 * 64, "error": error, "errors": history.held_out_mse.tolist()}


def worker(side, source, count, epochs):
    "One training, in this process; prints what it took as a line of JSON."
    data, start = images_of(source, count), time.perf_counter()
    if side == "pythae": from peers_pythae import train as run
    else: run = functools.partial(train_ours, dtype=SIDES[side][2], optimizer=SIDES[side][3])
    found = run(*data, epochs) | {"total": time.perf_counter() - start}
    print(json.dumps(found | {"gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))


def start_worker(side, args):
    "One training in a process of its own, with the same number of threads for every library."
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    env = os.environ | dict.fromkeys(threads, str(args.threads)) | {"KERAS_BACKEND": SIDES[side][1]}
    command = [sys.executable, __file__, "--worker", side, "--data", args.data, "--epochs", str(args.epochs)]
    if args.images: command += ["--images", str(args.images)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode: sys.exit(f"the training of {side} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def rate(runs):
    "Images a second, the look at the held-out ones included; the first epoch, in which Keras compiles, does not count."
    return runs[0]["images"] / np.median([seconds for run in runs for seconds in run["seconds"][1:] or run["seconds"]])


def training_row(name, runs, epochs):
    "The row of a table from all runs of one side."
    total, memory, error = (np.mean([run[key] for run in runs]) for key in ("total", "gigabytes", "error"))
    return {"training": name, "images a second": f"{rate(runs):.0f}", f"{epochs} epochs, start included, s": f"{total:.0f}", "peak memory, GB": f"{memory:.2f}", "held-out error": f"{error:.5f}"}


def compare_training(args):
    "The table of trainings; the sides take turns."
    runs = {side: [] for side in args.sides}
    for round_ in range(args.rounds):
        for side in runs:
            runs[side].append(start_worker(side, args))
            print(f"round {round_ + 1}: {side} {runs[side][-1]}", file=sys.stderr, flush=True)
    sizes = {run["parameters"] for found in runs.values() for run in found}
    assert len(sizes) == 1, f"networks of different size: {sizes}"
    rows = [training_row(SIDES[side][0], found, args.epochs) for side, found in runs.items()]
    about = f"{sizes.pop():,} parameters each, {args.threads} threads, {runs[args.sides[0]][0]['images']:,} images in batches of 64, {args.rounds} rounds in turns."
    ratios = [against_pythae(side, found, runs["pythae"]) for side, found in runs.items() if side != "pythae" and "pythae" in runs]
    return "\n\n".join([markdown(rows), about, "\n".join(ratios)]).strip()


def against_pythae(side, ours, theirs):
    "How many times as fast we are, and when we were as good."
    speed, error = rate(ours) / rate(theirs), np.mean([run["error"] for run in theirs])
    reached = [epoch for epoch, value in enumerate(ours[0]["errors"], 1) if value <= error]
    when = f"as good as pythae at the end after {reached[0]} of {len(ours[0]['errors'])} epochs" if reached else "never as good as pythae at the end"
    return f"- {SIDES[side][0]}: {speed:.2f} times pythae's images a second; {when}"


# ---- samplers: functions from z-points to `draw`, which takes a number and returns so many z-vectors

def numpy_normal(z, seed):
    mean, covariance, rng = z.mean(axis=0), np.cov(z, rowvar=False), np.random.default_rng(seed)
    return lambda n: rng.multivariate_normal(mean, covariance, n, method="cholesky")  # the fastest of NumPy's three methods


def estimator(make, seed):
    "A density of scikit-learn's."
    def fit(z):
        fitted = make().fit(z)
        return lambda n: fitted.sample(n)[0] if hasattr(fitted, "means_") else fitted.sample(n, random_state=seed)
    return fit


def their_samplers(seed, epochs):
    "(library, name): fit."
    from sklearn.mixture import GaussianMixture
    from sklearn.neighbors import KernelDensity

    import peers_pythae
    return {("pythae", name): fit for name, fit in peers_pythae.samplers(epochs, seed).items()} | {
        ("scikit-learn", "GaussianMixture(10)"): estimator(lambda: GaussianMixture(10, random_state=seed), seed),
        ("scikit-learn", 'KernelDensity("scott")'): estimator(lambda: KernelDensity(bandwidth="scott"), seed),
        ("scikit-learn", "KernelDensity(0.2)"): estimator(lambda: KernelDensity(bandwidth=0.2), seed),  # half a component's deviation
        ("NumPy", "multivariate_normal"): lambda z: numpy_normal(z, seed)}


def our_samplers(seed):
    "(library, name): fit."
    from latentfaces.sampling import make_sampler
    def ours(sampler): return lambda z: lambda n, fitted=sampler.fit(z): fitted.sample(n, random_state=seed)
    samplers = {"GaussianSampler()": make_sampler("gaussian"), "EllipticSampler()": make_sampler("elliptic"),
                "MixtureSampler(10)": make_sampler("mixture", n_gaussians=10, random_state=seed), "ScaleMixtureSampler()": make_sampler("scale"),
                "CopulaSampler()": make_sampler("copula"), "KernelSampler(0.5)": make_sampler("kernel", bandwidth=0.5),
                "GaussianizationSampler()": make_sampler("gaussianization", random_state=0), "BlendSampler()": make_sampler("blend"),
                "FlowSampler()": make_sampler("flow", random_state=0)}
    return {("latentfaces", name): ours(sampler) for name, sampler in samplers.items()}


def timed(fit, z, n, repeats=3, patience=20):
    "Least seconds to fit and to draw n vectors, and the vectors; no second time where the first took longer than `patience`."
    fits, draws = [], []
    while len(fits) < repeats and sum(fits) + sum(draws) < patience:
        start = time.perf_counter()
        draw = fit(z)
        fits.append(time.perf_counter() - start)
        start = time.perf_counter()
        vectors = draw(n)
        draws.append(time.perf_counter() - start)
    return min(fits), min(draws), np.asarray(vectors, np.float32)


def measure_samplers(bundle, args):
    "(library, name): seconds to fit, seconds to draw, vectors; what the libraries print is dropped."
    logging.disable(logging.WARNING)
    found = {}
    chosen = {key: fit for key, fit in (their_samplers(0, args.pythae_epochs) | our_samplers(0)).items() if args.only in " ".join(key)}
    for key, fit in chosen.items():
        with contextlib.redirect_stderr(io.StringIO()): found[key] = timed(fit, bundle.z, args.n)
        print(f"{key}: fitted in {found[key][0]:.3g} s, {args.n} vectors in {found[key][1]:.3g} s", file=sys.stderr, flush=True)
    return found


def sampler_row(library, name, times, row, n):
    "The row of a table."
    speed = {"fit, s": f"{times[0]:.3g}", "vectors a second": f"{n / times[1]:,.0f}"} if times else {"fit, s": "", "vectors a second": ""}
    return {"library": library, "sampler": name} | speed | {"Fréchet": f"{row['frechet']:.2f}", "x recon.": f"{row['frechet_ratio']:.2f}", "coverage": f"{row['coverage']:.3f}",
            "nearest": f"{row['nearest']:.3f}", "copies": f"{row['copies']:.3f}", "faces": f"{row['face_rate']:.3f}"}


def as_good(ours, theirs):
    "Is our Fréchet distance no larger, up to the noise of a draw, and do we copy no more than they, or than held-out images do?"
    return ours["frechet"] <= 1.05 * theirs["frechet"] and ours["copies"] <= max(theirs["copies"], 0.01)


def verdict(peer, times, quality):
    "The fastest of ours, fit and draw together, that is as good as a peer."
    seconds = {key: sum(found[:2]) for key, found in times.items()}
    rivals = [key for key in times if key[0] == "latentfaces" and as_good(quality[key], quality[peer])]
    if not rivals: return f"- {' '.join(peer)}: none of ours is as good"
    best = min(rivals, key=seconds.get)
    return f"- {' '.join(peer)}: {best[1]} is as good or better, and {seconds[peer] / seconds[best]:,.3g} times as fast"


def compare_samplers(args):
    "The table of samplers, with a verdict for every peer."
    from latentfaces.bundle import load_bundle
    bundle = load_bundle()
    times = measure_samplers(bundle, args)
    from latentfaces.evaluation import evaluate
    found = evaluate(bundle, {" ".join(key): found[2] for key, found in times.items()}, n_samples=args.n, n_faces=args.faces, n_seeds=1)
    rows = found.reset_index().to_dict("records")
    quality = dict(zip([("", row["name"]) for row in rows[:4]] + list(times), rows))
    controls = [sampler_row("", name, None, quality["", name], args.n) for name in ("real images", "reconstructions")]
    table = controls + [sampler_row(*key, found, quality[key], args.n) for key, found in times.items()]
    about = f"{len(bundle.z):,} z-points in {bundle.latent_dim} dimensions, {args.n:,} vectors each; Fréchet distance (x recon.: for endless pictures, as a multiple of the reconstructions'), coverage and copies in the shipped features. pythae's trained samplers: {args.pythae_epochs} epochs. Below, \"as good\" is a Fréchet distance of at most 1.05 times the peer's, as one draw of 4,000 deviates by 2.5 %, and no more copies."
    return "\n\n".join([markdown(table), about, "\n".join(verdict(key, times, quality) for key in times if key[0] != "latentfaces")])


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", default=os.environ.get("LATENTFACES_CELEBA", "synthetic:9000"), help="CelebA's zip or folder, or any source of images; default: $LATENTFACES_CELEBA, else drawn faces")
    p.add_argument("--epochs", type=int, default=3, help="of each training (3)")
    p.add_argument("--rounds", type=int, default=2, help="trainings of each side (2)")
    p.add_argument("--images", type=int, help="train on so many only")
    p.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="trainings to compare")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="of each training (all cores)")
    p.add_argument("--n", type=int, default=4000, help="vectors of each sampler (4000)")
    p.add_argument("--faces", type=int, default=400, help="pictures that the slow face detector sees (400)")
    p.add_argument("--pythae-epochs", type=int, default=100, help="of pythae's two-stage and flow samplers (100, its default)")
    p.add_argument("--only", default="", help="only samplers with this text in their name")
    p.add_argument("--skip-training", action="store_true")
    p.add_argument("--skip-samplers", action="store_true")
    p.add_argument("--out", type=Path, help="file for the tables, Markdown")
    p.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    return p.parse_args()


def main():
    args = parse()
    if args.worker: return worker(args.worker, args.data, args.images, args.epochs)
    parts = [machine()]
    if not args.skip_training: parts.append(compare_training(args))
    if not args.skip_samplers: parts.append(compare_samplers(args))
    text = "\n\n".join(parts) + "\n"
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__": main()
