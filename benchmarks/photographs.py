"""How good is an edit of a photograph? Errors, attributes, and whether the face stays the same person's.

    python benchmarks/photographs.py --photographs PEOPLE --data CELEBA [--n 600]

PEOPLE is a zip or folder with a folder for each person, CELEBA a folder with CelebA's zip and its list of attributes, of
which the images are taken that the pretrained bundle was not made from. `latentfaces[judges]` must be there, for dlib's
embedding. Prints tables, and writes numbers, no picture, into nbs/photographs.json. The photographs have no labels: theirs
are what the attribute network sees in them.

kinds    reconstruction, attributes and identity of CelebA in its own frame, of the same images as an unknown photograph, and
         of the photographs
edits    six wishes at five scores: is it seen, is the face lost, is it still the same person, what else changed?
groups   the same at one score, by sex, age and skin
"""

import argparse
import io
import json
import warnings
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image

from latentfaces import align_face, attribute_directions, load_bundle, load_features
from latentfaces.core import replace_file
from latentfaces.features import Features
from latentfaces.generation import reencoding_error
from latentfaces.images import decode_image, load_images
from latentfaces.labels import load_attributes

OUT = Path(__file__).resolve().parents[1] / "nbs" / "photographs.json"
WISHES = {  # what is asked for: the attribute, the sign of the score, and what is kept
    "Smiling": ("Smiling", 1, ("Male", "Young")),
    "not Smiling": ("Smiling", -1, ("Male", "Young")),
    "Eyeglasses": ("Eyeglasses", 1, ("Male", "Young")),
    "no Eyeglasses": ("Eyeglasses", -1, ("Male", "Young")),
    "not Young": ("Young", -1, ("Male",)),
    "Male": ("Male", 1, ("Young",)),
}
SCORES = (1, 2, 3, 4, 6)
SEEN = ("Smiling", "Eyeglasses", "Young", "Male", "Blond_Hair")
FALSE_MATCHES = 1e-3


class Look:
    "What is asked of pictures: the bundle, the attribute network, dlib's embedding, and the directions."

    def __init__(self):
        self.bundle, self.network, self.dlib = load_bundle(), Features(), load_features("dlib")
        self.directions = attribute_directions(self.bundle.z, self.bundle.attributes)
        some = np.random.default_rng(0).choice(len(self.bundle.z), 2000, replace=False)
        self.limit = float(np.quantile(reencoding_error(self.bundle, self.bundle.z[some]), 0.99))

    def attributes(self, images):
        "Which attributes the network sees, bool, a column for each."
        return (self.network.attributes(images) > 0.5)[list(SEEN)]

    def people(self, images):
        "Embeddings, float32 (n, 128)."
        return np.asarray(self.dlib.predict(images)[0], np.float32)


def threshold(vectors, folders, rng, n=200_000):
    "Distance within which one in a thousand pairs of different people lies."
    a, b = rng.integers(len(vectors), size=(2, n))
    other = folders[a] != folders[b]
    return float(np.quantile(np.linalg.norm(vectors[a[other]] - vectors[b[other]], axis=1), FALSE_MATCHES))


def balanced(seen, truth):
    "Balanced accuracy of each attribute that both kinds of images have, as a dict."
    return {
        name: round(float((seen[name][truth[name]].mean() + 1 - seen[name][~truth[name]].mean()) / 2), 4)
        for name in SEEN
        if 5 <= truth[name].sum() <= len(truth) - 5
    }


def skin(images):
    "Thirds by how light the middle of the face is: dark, middle, light."
    middle = images[:, 26:44, 20:44] @ np.array([0.2126, 0.7152, 0.0722])
    lightness = np.median(middle.reshape(len(middle), -1), axis=1)
    return np.digitize(lightness, np.quantile(lightness, [1 / 3, 2 / 3]))


class Kind:
    "Photographs of one kind, what is known of them, and what becomes of them."

    def __init__(self, look, name, images, folders, truth=None):
        self.look, self.name, self.images, self.folders = look, name, np.asarray(images), np.asarray(folders)
        self.pixels = self.images.astype(np.float32) / 255
        self.z = look.bundle.encode(self.images)
        self.painted = look.bundle.decode(self.z)
        self.seen = look.attributes(self.images)
        self.truth = self.seen if truth is None else truth.reset_index(drop=True)
        self.person, self.painted_person = look.people(self.images), look.people(self.painted)
        rng = np.random.default_rng(0)
        self.near = threshold(self.person, self.folders, rng)
        self.painted_near = threshold(self.painted_person, self.folders, rng)

    def row(self):
        "Error, attributes and identity of what the decoder paints."
        own = np.linalg.norm(self.person - self.painted_person, axis=1)
        errors = ((self.painted - self.pixels) ** 2).mean(axis=(1, 2, 3))
        return {
            "kind": self.name,
            "n": len(self.z),
            "error": float(errors.mean()),
            "error_95": float(np.quantile(errors, 0.95)),
            "same_person": float((own < self.near).mean()),
            "threshold": self.near,
            "threshold_painted": self.painted_near,
            "labels_photograph": balanced(self.seen, self.truth),
            "labels_painted": balanced(self.look.attributes(self.painted), self.truth),
            "photograph_painted": balanced(self.look.attributes(self.painted), self.seen),
        }

    def edit(self, wish, score, rows):
        "What becomes of some photographs with one wish: a row for each, a column for each question."
        name, sign, keep = WISHES[wish]
        images, before = self.pixels[rows], self.painted[rows]
        z = self.look.directions.move_to(self.z[rows], {name: sign * score}, keep).astype(np.float32)
        edited = self.look.bundle.decode(z)
        mixed = (images + edited - before).clip(0, 1)
        painted_apart = np.linalg.norm(self.look.people(edited) - self.painted_person[rows], axis=1)
        mixed_apart = np.linalg.norm(self.look.people(mixed) - self.person[rows], axis=1)
        seen, seen_before = self.look.attributes(mixed), self.seen.iloc[rows].reset_index(drop=True)
        columns = {
            "seen_painted": (self.look.attributes(edited)[name] == (sign > 0)).to_numpy(),
            "seen_in_photograph": (seen[name] == (sign > 0)).to_numpy(),
            "lost": reencoding_error(self.look.bundle, z) > self.look.limit,
            "same_painted": painted_apart < self.painted_near,
            "same_in_photograph": mixed_apart < self.near,
        }
        others = {f"other {other}": (seen[other] != seen_before[other]).to_numpy() for other in SEEN if other != name}
        return pd.DataFrame(columns | others)

    def without(self, wish, most, rng):
        "Rows of photographs, in an order by chance, that do not show already what is asked for."
        name, sign, _ = WISHES[wish]
        return rng.permutation(np.flatnonzero((self.seen[name] != (sign > 0)).to_numpy()))[:most]

    def groups(self):
        "Which photographs belong to which group."
        who, light = self.truth, skin(self.pixels)
        groups = {"women": ~who["Male"], "men": who["Male"], "young": who["Young"], "not young": ~who["Young"]}
        groups |= {name: light == i for i, name in enumerate(("darker third", "middle third", "lighter third"))}
        return {name: np.asarray(rows, bool) for name, rows in groups.items()}


def edits_of(kind, most):
    "Rows of the tables of edits and of groups."
    edits, groups, rng = [], [], np.random.default_rng(0)
    for wish in WISHES:
        rows = kind.without(wish, most, rng)
        for score in SCORES:
            found = kind.edit(wish, score, rows)
            edits.append({"wish": wish, "score": score, "n": len(rows)} | dict(found.mean()))
            print(edits[-1], flush=True)
            if score == 3:
                groups += [{"wish": wish} | row for row in by_group(kind, rows, found)]
    return edits, groups


def by_group(kind, rows, found, least=20):
    "The columns of an edit for each group that has enough photographs."
    for name, members in kind.groups().items():
        mine = members[rows]
        if mine.sum() >= least:
            yield {"group": name, "n": int(mine.sum())} | dict(found[mine].mean())


def error_by_group(kind):
    "Reconstruction error of each group, and how often a painting is verified as the person in its photograph."
    errors = ((kind.painted - kind.pixels) ** 2).mean(axis=(1, 2, 3))
    same = np.linalg.norm(kind.person - kind.painted_person, axis=1) < kind.near
    return {
        name: {"n": int(rows.sum()), "error": float(errors[rows].mean()), "same_person": float(same[rows].mean())}
        for name, rows in kind.groups().items()
    }


def yardstick(kind):
    "How far two photographs of one person lie apart, and of two, and how often one is verified as the other."
    rows = pd.Series(range(len(kind.folders))).groupby(kind.folders)
    pairs = sorted(((own.iloc[0], other) for _, own in rows for other in own.iloc[1:]), key=lambda pair: pair[1])
    a, b = np.array(pairs).T
    one = np.linalg.norm(kind.person[a] - kind.person[b], axis=1)
    painted = np.linalg.norm(kind.painted_person[a] - kind.painted_person[b], axis=1)
    mixed = np.random.default_rng(1).permutation(b)
    two = np.linalg.norm(kind.person[a] - kind.person[mixed], axis=1)[kind.folders[a] != kind.folders[mixed]]
    return {
        "pairs": len(a),
        "one_person": float((one < kind.near).mean()),
        "one_person_painted": float((painted < kind.painted_near).mean()),
        "distance_one": float(np.median(one)),
        "distance_two": float(np.median(two)),
    }


def is_unknown(path, known):
    "Is an entry of a zip an image that the bundle was not made from?"
    return path.endswith(".jpg") and PurePosixPath(path).name not in known


def celeba_kinds(look, folder, n):
    "Images of CelebA that were held out, in its own frame, and the same ones found as those of a photograph are."
    known, framed, found, names = set(look.bundle.names), [], [], []
    with zipfile.ZipFile(Path(folder) / "img_align_celeba.zip") as images:
        chosen = [path for path in images.namelist() if is_unknown(path, known)][:n]
        for path in chosen:
            data = images.read(path)
            face = align_face(Image.open(io.BytesIO(data)), size=64, crop=140)
            if face is not None:
                framed.append(decode_image(data, size=64, crop=140))
                found.append(face.image)
                names.append(PurePosixPath(path).name)
    truth, nobody = load_attributes(folder).loc[names, list(SEEN)], np.arange(len(names))
    both = {"CelebA, its own frame": framed, "CelebA, found": found}
    return [Kind(look, name, np.stack(images), nobody, truth) for name, images in both.items()], len(chosen)


def n_images(path):
    "How many images a zip or folder holds."
    if Path(path).is_dir():
        return sum(1 for name in Path(path).rglob("*.jpg"))
    with zipfile.ZipFile(path) as images:
        return sum(name.endswith(".jpg") for name in images.namelist())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photographs", required=True, help="zip or folder with a folder for every person")
    p.add_argument("--data", required=True, help="folder with img_align_celeba.zip and list_attr_celeba.txt")
    p.add_argument(
        "--n", type=int, default=600, help="at most so many images of CelebA, and so many photographs for each wish"
    )
    args = p.parse_args()
    look = Look()
    with warnings.catch_warnings(action="ignore"):
        images, names = load_images(args.photographs, size=64, crop=140, align=True, return_names=True)
    folders = np.array([str(PurePosixPath(name).parent) for name in names])
    everyone = Kind(look, "photographs", images, folders)
    celeba, n_celeba = celeba_kinds(look, args.data, args.n)
    kinds = [*celeba, everyone]
    sought = {"CelebA": n_celeba, "photographs": n_images(args.photographs), "people": len(set(folders))}
    found = {"kinds": [kind.row() for kind in kinds], "yardstick": yardstick(everyone), "sought": sought}
    found["lost_unedited"] = float((reencoding_error(look.bundle, everyone.z) > look.limit).mean())
    found["errors"] = {kind.name: error_by_group(kind) for kind in kinds}
    print(json.dumps(found, indent=1), flush=True)
    found["edits"], found["groups"] = edits_of(everyone, args.n)
    rounded = json.loads(
        json.dumps(found, default=float, allow_nan=False), parse_float=lambda text: round(float(text), 5)
    )
    replace_file(OUT, lambda file: file.write((json.dumps(rounded, indent=1) + "\n").encode()))
    print(pd.DataFrame(found["edits"]).round(3).to_string())


if __name__ == "__main__":
    main()
