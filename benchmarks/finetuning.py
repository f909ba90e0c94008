"""What a few photographs of one's own are worth: training on from the pretrained bundle, against a start from nothing.

    python benchmarks/finetuning.py --photographs FOLDER_OR_ZIP --out finetuning.json

The faces are found and framed as `latentfaces train` does it. A fifth of the people (folders), and no picture of theirs, is
held out; of the others the first so many, in an order by chance, are trained on. The same with drawn faces. Every row is a
training of its own, because the learning rate falls to zero at the end of each. Prints a table and writes, after every row,
all rows so far; a row that is in the file already is not trained again.
"""

import argparse
import json
import time
import warnings
from pathlib import Path, PurePosixPath

import numpy as np

from latentfaces import load_bundle, synthetic_faces, train_autoencoder
from latentfaces.bundle import reconstruction_error
from latentfaces.core import expand_path, replace_file
from latentfaces.images import load_images
from latentfaces.training import pixel_pca_error

BATCH = 64
COLUMNS = ("source", "pictures", "start", "rate", "steps", "minutes", "train_mse", "held_out_mse", "pixel_pca_mse")


def photographs(path):
    "Photographs to train on, in an order by chance, and those of other people."
    with warnings.catch_warnings(action="ignore"):
        images, names = load_images(path, align=True, return_names=True)
    people = np.array([str(PurePosixPath(name).parent) for name in names])
    rng = np.random.default_rng(0)
    held_out = np.isin(people, rng.permutation(np.unique(people))[::5])
    return np.array(images[rng.permutation(np.flatnonzero(~held_out))]), np.array(images[np.flatnonzero(held_out)])


def drawn():
    "Drawn faces to train on, and others."
    images, _ = synthetic_faces(2400, size=64, random_state=0)
    return images[400:], images[:400]


def trained(train, held_out, steps, pair, filters, rate):
    "Minutes of a training of about so many steps, and what it came to."
    epochs = max(1, round(steps / max(1, len(train) // BATCH)))
    start = time.perf_counter()
    how = dict(epochs=epochs, batch_size=BATCH, learning_rate=rate, start_from=pair, progress=False)
    *_, history = train_autoencoder(train, held_out, filters=filters, **how)
    minutes = (time.perf_counter() - start) / 60
    last = history.iloc[-1]
    return {"minutes": round(minutes, 2), "train_mse": last.train_mse, "held_out_mse": last.held_out_mse}


class Table:
    "Rows that are printed, and kept in a file after each."

    def __init__(self, path):
        self.path = None if path is None else expand_path(path)
        known = self.path is not None and self.path.exists()
        self.rows = json.loads(self.path.read_text())["rows"] if known else []
        print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")

    def add(self, key, work):
        "Do the work of a row, unless it is there."
        if not any(all(row[name] == value for name, value in key.items()) for row in self.rows):
            self.rows.append(key | work())
            if self.path is not None:
                text = json.dumps({"rows": self.rows}, indent=1) + "\n"
                replace_file(self.path, lambda file: file.write(text.encode()))
        [row] = [row for row in self.rows if all(row[name] == value for name, value in key.items())]
        print("| " + " | ".join(f"{row[name]:.5f}" if name.endswith("mse") else f"{row[name]}" for name in COLUMNS) + " |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--photographs", type=Path, help="zip or folder with a folder for every person")
    p.add_argument("--pictures", type=int, nargs="+", default=[300, 600, 1600], help="how many photographs to train on")
    p.add_argument("--drawn", type=int, nargs="*", default=[600], help="how many drawn faces")
    p.add_argument("--steps", type=int, nargs="*", default=[25, 100, 200], help="of trainings from the pretrained weights")
    p.add_argument("--fresh-steps", type=int, nargs="*", default=[200], help="of trainings from nothing")
    p.add_argument("--rates", type=float, nargs="+", default=[0.001], help="learning rates from the pretrained weights")
    p.add_argument("--out", help="the JSON file to write, and to go on with")
    a = p.parse_args()
    bundle, table = load_bundle(), Table(a.out)
    pair, filters = bundle.keras_models(), tuple(bundle.config["recipe"]["filters"])
    sources = {} if a.photographs is None else {"photographs": (photographs(a.photographs), a.pictures)}
    for source, ((train, held_out), counts) in (sources | {"drawn faces": (drawn(), a.drawn)}).items():
        before = reconstruction_error(bundle, held_out)
        for n in counts:
            some, linear = train[:n], pixel_pca_error(train[:n], held_out)
            known = {"source": source, "pictures": len(some)}
            as_it_is = {"minutes": 0, "train_mse": reconstruction_error(bundle, some), "held_out_mse": before, "pixel_pca_mse": linear}
            table.add(known | {"start": "pretrained", "rate": 0, "steps": 0}, lambda: as_it_is)
            plans = [("pretrained", pair, rate, steps) for rate in a.rates for steps in a.steps]
            plans += [("nothing", None, 0.003, steps) for steps in a.fresh_steps]
            for name, start, rate, steps in plans:
                key = known | {"start": name, "rate": rate, "steps": steps}
                table.add(key, lambda: trained(some, held_out, steps, start, filters, rate) | {"pixel_pca_mse": linear})


if __name__ == "__main__":
    main()
