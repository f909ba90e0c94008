"""Does the normal core of the latent space depend on batch normalisation? Two short trainings that differ in nothing else.

    python benchmarks/batch_norm.py --data CELEBA --work FOLDER

trains both (about ten minutes each on one core; finished ones in FOLDER are kept) and writes the numbers that the
chapter on the series' claims reads, nbs/batch_norm.json. The networks stay in FOLDER.
"""
import argparse
import json
from pathlib import Path

import numpy as np

from latentfaces import generate_faces, load_bundle
from latentfaces.bundle import train_bundle
from latentfaces.correlations import correlation_matrix
from latentfaces.core import replace_file
from latentfaces.distributions import component_statistics, matching_bound, origin_position
from latentfaces.metrics import face_rate, pixel_spread
from latentfaces.gaussian import normality
from latentfaces.pca import LatentPCA
from latentfaces.sampling import make_sampler

OUT = Path(__file__).resolve().parents[1] / "nbs" / "batch_norm.json"
FACES = 300


def describe(bundle) -> dict:
    "The numbers of one bundle."
    z, normal, origin = bundle.z, normality(bundle.z), origin_position(bundle.z)
    off = np.abs(correlation_matrix(z)[np.triu_indices(z.shape[1], 1)])
    table, rng = component_statistics(z), np.random.default_rng(0)
    faces = {"reconstructions": bundle.decode(z[rng.choice(len(z), FACES, replace=False)])}
    samplers = {"elliptic": "elliptic", "Gaussian": "gaussian", "cube": make_sampler("uniform", bound=matching_bound(z))}
    for name, sampler in samplers.items():
        faces[name] = generate_faces(bundle, sampler, FACES, random_state=0)[0]
    return {
        "n_points": len(z), "epochs": bundle.config["training"]["epochs"],
        "held_out_mse": bundle.config["scores"]["held_out_mse"], "ratio_to_pixel_pca": bundle.config["scores"]["ratio_to_pixel_pca"],
        "origin_distance": origin.distance, "origin_sigmas": origin.sigmas, "spread": origin.spread,
        "median_ks": float(np.nanmedian(table["ks"])), "largest_ks": float(np.nanmax(table["ks"])),
        "axes_90": LatentPCA(0.9).fit(z).n_components_, "largest_r": float(off.max()), "mean_r": float(off.mean()),
        **{key: getattr(normal, key) for key in ("radius_ks", "radius_variance", "max_skewness", "max_kurtosis")},
        "face_rate": {name: face_rate(images) for name, images in faces.items()},
        "pixel_spread": {name: pixel_spread(images) for name, images in faces.items()},
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="the CelebA zip or folder")
    p.add_argument("--work", required=True, type=Path, help="folder for the two bundles")
    p.add_argument("--epochs", type=int, default=12)
    a = p.parse_args()
    found = {}
    for name, batch_norm in {"without": False, "with": True}.items():
        folder = a.work / name
        if not (folder / "config.json").exists(): train_bundle(a.data, folder, epochs=a.epochs, batch_norm=batch_norm, resume=folder.exists())
        found[name] = describe(load_bundle(folder))
        print(name, json.dumps(found[name], indent=1))
    replace_file(OUT, lambda file: file.write((json.dumps(found, indent=1) + "\n").encode()))
    print(f"wrote {OUT.name}")


if __name__ == "__main__": main()
