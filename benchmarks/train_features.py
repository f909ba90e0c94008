"""Train the attribute network anew and write what latentfaces/features/ holds: network, reference features, config.json.

    python benchmarks/train_features.py --data CELEBA --out FOLDER [--bundle DIR]

`--data` is CelebA's zip or folder with the attribute list beside it. The images that the bundle was trained on train the
network, and the others are held out. About a quarter of an hour on one core. Each file is written whole or not at all,
config.json last.
"""
import argparse
import json

import numpy as np

from latentfaces import build_reference, load_bundle
from latentfaces.bundle import sha256
from latentfaces.core import expand_path, replace_file
from latentfaces.features import Features, train_attribute_network
from latentfaces.networks import Network


LICENCE = (
    "CelebA is available for non-commercial research purposes only: use this network and these features, which are "
    "derived from it, for such purposes only"
)
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


def main():
    from latentfaces.images import load_images
    from latentfaces.labels import load_attributes

    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="CelebA's zip or folder, with its attribute list")
    p.add_argument("--out", required=True, help="folder to write into")
    p.add_argument("--bundle", help="whose training images to use; without it, the pretrained one")
    a = p.parse_args()
    bundle = load_bundle(a.bundle)
    images, names = load_images(a.data, size=64, crop=bundle.config["crop"], return_names=True)
    names = np.asarray(names)
    table = load_attributes(a.data).loc[names]
    truth, trained = table.to_numpy(), np.isin(names, bundle.names)
    network = Network.from_keras(train_attribute_network(images[trained], truth[trained]))
    features = Features(network, attribute_names=list(table))
    right = (features.attributes(images) > 0.5).to_numpy() == truth
    commoner = np.maximum(truth[~trained].mean(axis=0), 1 - truth[~trained].mean(axis=0)).mean()
    accuracy = {"held_out": right[~trained].mean(), "train": right[trained].mean(), "commoner": commoner}
    about = {
        "format": 1,
        "size": 64,
        "licence": LICENCE,
        "data": {"source": "celeba", "n_train": int(trained.sum()), "n_held_out": int((~trained).sum()), "citation": CITATION},
        "recipe": {"function": "latentfaces.features.train_attribute_network", "random_state": 0},
        "accuracy": {name: float(share) for name, share in accuracy.items()},
    }
    print(save_features(a.out, network, build_reference(images, names, bundle, features), about))


if __name__ == "__main__": main()
