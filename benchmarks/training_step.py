"""What a step of `train_autoencoder` costs, as a multiple of a bare `keras.Model.fit` on the same arrays in memory.

Both train the default network with the same optimiser on the same 3,200 drawn faces. Ours reads uint8 images, shuffles and mirrors them,
guards against NaN, shows its bar and writes a checkpoint after each epoch; the bare fit gets float arrays and does nothing else.
The first epoch of each run, in which Keras compiles, does not count. Runs alternate; the ratio is that of the medians.
"""
import argparse
import os
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from latentfaces.autoencoder import build_autoencoder, build_decoder, build_encoder
from latentfaces.drawn import synthetic_faces
from latentfaces.training import make_optimizer, to_float, train_autoencoder


class Seconds(keras.callbacks.Callback):
    "Seconds of each epoch's steps."

    def __init__(self): super().__init__(); self.seconds = []
    def on_epoch_begin(self, epoch, logs=None): self.start = time.perf_counter()
    def on_epoch_end(self, epoch, logs=None): self.seconds.append(time.perf_counter() - self.start)


def bare(train, held, epochs, batch_size):
    "Seconds per epoch of keras.Model.fit on arrays."
    model, clock = build_autoencoder(build_encoder(), build_decoder(clip=False)), Seconds()
    model.compile(make_optimizer("muon", 0.003, epochs * (len(train) // batch_size)), "mse")
    model.fit(train, train, batch_size=batch_size, epochs=epochs, validation_data=(held, held), validation_batch_size=250, verbose=0, callbacks=[clock])
    return clock.seconds[1:]


def ours(train, held, epochs, batch_size):
    "Seconds per epoch of train_autoencoder, checkpoints included."
    with tempfile.TemporaryDirectory() as folder:
        *_, history = train_autoencoder(train, held, folder, epochs=epochs, batch_size=batch_size)
    return history.seconds.tolist()[1:]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--images", type=int, default=3200)
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--rounds", type=int, default=2)
    a = p.parse_args()
    images = synthetic_faces(a.images + 320, size=64, random_state=0)[0]
    train, held = images[:a.images], images[a.images:]
    times = {"ours": [], "bare": []}
    for _ in range(a.rounds):
        times["bare"] += bare(to_float(train), to_float(held), a.epochs, 64)
        times["ours"] += ours(train, held, a.epochs, 64)
    medians = {name: np.median(values) for name, values in times.items()}
    print(f"seconds per epoch of {a.images} images: bare fit {medians['bare']:.2f}, train_autoencoder {medians['ours']:.2f}, ratio {medians['ours'] / medians['bare']:.3f}")


if __name__ == "__main__": main()
