"""Train the attribute network anew and write what latentfaces/features/ holds: network, reference features, config.json.

    python benchmarks/train_features.py --data CELEBA --data MORE_CELEBA --out FOLDER [--bundle DIR]

`--data` is CelebA's zip or folder with the attribute list beside it. The images that the bundle was trained on train the
network; held out are the others of the first source, whose features are the reference. About twenty minutes on one core
with KERAS_BACKEND=torch, twice as long with TensorFlow. Each file is written whole or not at all, config.json last.
"""
import argparse
import json

import numpy as np
import pandas as pd

from latentfaces import build_reference, load_bundle
from latentfaces.bundle import sha256
from latentfaces.core import expand_path, replace_file
from latentfaces.features import Features, train_attribute_network
from latentfaces.images import ImageConcat, ImageSubset, load_images
from latentfaces.labels import load_attributes
from latentfaces.networks import Network


LICENCE = (
    "CelebA is available for non-commercial research purposes only: use this network and these features, which are "
    "derived from it, for such purposes only"
)
EPOCHS = 10
CITATION = "Z. Liu, P. Luo, X. Wang, X. Tang, Deep Learning Face Attributes in the Wild, ICCV 2015"


def save_features(folder, network, reference, about):
    "Write attributes.onnx, reference.npz and, last, config.json with their SHA-256 sums, each whole or not at all."
    folder = expand_path(folder)
    arrays = {
        "train": reference.train.astype(np.float16),
        "held_out": reference.held_out.astype(np.float16),
        "seen": np.packbits(reference.attributes, axis=1),
        "names": reference.names,
    }
    replace_file(folder / "attributes.onnx", lambda file: file.write(network.content))
    replace_file(folder / "reference.npz", lambda file: np.savez_compressed(file, **arrays))
    sums = {name: sha256(folder / name) for name in ("attributes.onnx", "reference.npz")}
    known = {name: getattr(reference, name) for name in ("crop", "face_rate", "sharpness")}
    config = about | known | {"attributes": list(reference.attributes), "sha256": sums}
    replace_file(folder / "config.json", lambda file: file.write((json.dumps(config, indent=1) + "\n").encode()))
    return folder


def read(sources, crop):
    "Images of all sources, their names and attributes, and how many are of the first."
    parts = [load_images(source, size=64, crop=crop, return_names=True) for source in sources]
    names = np.concatenate([names for _, names in parts])
    table = pd.concat([load_attributes(source) for source in sources])
    table = table[~table.index.duplicated()].loc[names]  # each source may come with the whole list
    return ImageConcat([images for images, _ in parts]), names, table, len(parts[0][1])


def accuracies(features, images, truth, trained):
    "Share of right answers on images held out and trained on, and that of always giving the commoner answer."
    right = (features.attributes(images) > 0.5).to_numpy() == truth
    share = truth[~trained].mean(axis=0)
    found = {"held_out": right[~trained], "train": right[trained], "commoner": np.maximum(share, 1 - share)}
    return {name: float(values.mean()) for name, values in found.items()}


def finish(network, images, names, table, n_first, bundle, out):
    "Measure a network on the first source, and write everything."
    first, truth = ImageSubset(images, np.arange(n_first)), table.to_numpy()[:n_first] > 0
    trained = np.isin(names, bundle.names)
    features = Features(network, attribute_names=list(table))
    about = {
        "format": 1,
        "size": 64,
        "licence": LICENCE,
        "data": {
            "source": "celeba",
            "n_train": int(trained.sum()),
            "n_held_out": int((~trained[:n_first]).sum()),
            "citation": CITATION,
        },
        "recipe": {"function": "latentfaces.features.train_attribute_network", "epochs": EPOCHS, "random_state": 0},
        "accuracy": accuracies(features, first, truth, trained[:n_first]),
    }
    return save_features(out, network, build_reference(first, names[:n_first], bundle, features), about)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", action="append", required=True, help="CelebA's zip or folder; several times")
    p.add_argument("--out", required=True, help="folder to write into")
    p.add_argument("--bundle", help="whose training images to use; without it, the pretrained one")
    a = p.parse_args()
    bundle = load_bundle(a.bundle)
    images, names, table, n_first = read(a.data, bundle.config["crop"])
    chosen = np.flatnonzero(np.isin(names, bundle.names))
    model = train_attribute_network(ImageSubset(images, chosen), table.to_numpy()[chosen], epochs=EPOCHS)
    print(finish(Network.from_keras(model), images, names, table, n_first, bundle, a.out))


if __name__ == "__main__": main()
