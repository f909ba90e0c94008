"""What a few photographs of one's own are worth: training on from the pretrained bundle, against a start from nothing.

    python benchmarks/finetuning.py --photographs FOLDER_OR_ZIP [--sizes 300 600 1600] [--epochs 5 20 60]

The faces are found and framed as `latentfaces train` does it. A fifth of the people (folders), and no picture of theirs, is
held out; of the others the first so many pictures are trained on. Prints, for every number of pictures and of epochs, the
minutes of training and the error on the people held out, one process, all of its threads; below, the pretrained networks as
they are, and PCA of the pixels. Every table row is a training of its own, because the learning rate falls to zero at the end of each.
"""

import argparse
import time
import warnings
from pathlib import PurePosixPath

import numpy as np

from latentfaces import load_bundle, train_autoencoder
from latentfaces.bundle import reconstruction_error
from latentfaces.images import load_images
from latentfaces.training import pixel_pca_error


def split_by_person(images, names, seed=0):
    "Images to train on, in an order by chance, and those of a fifth of the people."
    people = np.array([str(PurePosixPath(name).parent) for name in names])
    rng = np.random.default_rng(seed)
    held_out = np.isin(people, rng.permutation(np.unique(people))[::5])
    return np.array(images[rng.permutation(np.flatnonzero(~held_out))]), np.array(images[np.flatnonzero(held_out)])


def row(train, held_out, epochs, start_from, rate):
    "Minutes of a training and its errors."
    start = time.perf_counter()
    sizes = dict(filters=(32, 64, 128, 256)) if start_from is None else sizes_of(start_from)
    *_, history = train_autoencoder(
        train, held_out, epochs=epochs, start_from=start_from, learning_rate=rate, progress=False, **sizes
    )
    return (time.perf_counter() - start) / 60, history.train_mse.iloc[-1], history.held_out_mse.iloc[-1]


def sizes_of(pair):
    "Filters of a pair of networks."
    return {"filters": tuple(layer.filters for layer in pair[0].layers if hasattr(layer, "kernel_size"))}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photographs", required=True, help="zip or folder with a folder for every person")
    p.add_argument("--sizes", type=int, nargs="+", default=[300, 600, 1600], help="how many pictures to train on")
    p.add_argument("--epochs", type=int, nargs="+", default=[5, 20, 60], help="epochs from the pretrained weights")
    p.add_argument("--fresh-epochs", type=int, nargs="*", default=[60], help="epochs from nothing")
    p.add_argument("--rates", type=float, nargs="+", default=[0.003], help="learning rates")
    a = p.parse_args()
    with warnings.catch_warnings(action="ignore"):
        images, names = load_images(a.photographs, align=True, return_names=True)
    train, held_out = split_by_person(images, names)
    bundle = load_bundle()
    pair = bundle.keras_models()
    print(f"{len(train):,} pictures of people to train on, {len(held_out)} of others; as they are: {reconstruction_error(bundle, held_out):.5f}")
    print("| pictures | start | rate | epochs | minutes | training error | held-out error | PCA of the pixels |\n|---|---|---|---|---|---|---|---|")
    for n in a.sizes:
        linear = pixel_pca_error(train[:n], held_out)
        for rate in a.rates:
            for name, start, counts in (("pretrained", pair, a.epochs), ("nothing", None, a.fresh_epochs)):
                for epochs in counts:
                    minutes, fitted, error = row(train[:n], held_out, epochs, start, rate)
                    print(f"| {len(train[:n])} | {name} | {rate:g} | {epochs} | {minutes:.1f} | {fitted:.5f} | **{error:.5f}** | {linear:.5f} |", flush=True)


if __name__ == "__main__":
    main()
