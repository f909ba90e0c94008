"""Train the pretrained networks further: the recipe behind latentfaces/pretrained, in plain PyTorch.

    python benchmarks/train_pretrained.py --data CELEBA --data MORE --work FOLDER --epochs 12 --falling 3 --out BUNDLE

Begins with the networks of a bundle (`--start`, or the pretrained ones), widened to FILTERS without a change of what
they answer (Net2Net, Chen et al. 2016). Then Muon for the kernels and Adam for the rest, as in chapter 03, at a
constant rate that falls to zero over the last `--falling` epochs, and the bundle is written. After each epoch a
checkpoint lies in FOLDER, from which the same command goes on; `--falling 0` leaves the rate as it is, to be prolonged.

Of the first source 500 images are held out, as `latentfaces train` does; of the others only CelebA's training part is
used. PyTorch, because it is quicker on a CPU than Keras is, on TensorFlow or on PyTorch.
"""

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from latentfaces import load_bundle
from latentfaces.autoencoder import build_decoder, build_encoder
from latentfaces.bundle import Bundle, reconstruction_error, reconstruction_scores
from latentfaces.images import ImageConcat, ImageSubset, load_images
from latentfaces.labels import load_attributes, load_partition, split_indices
from latentfaces.networks import Network
from latentfaces.training import face_batches

FILTERS, LATENT_DIM, SIZE, CROP = (48, 96, 192, 384), 256, 64, 140
BATCH, RATE, WARM_UP, SHIFT, SEED = 128, 0.001, 200, 2, 7


class Autoencoder(nn.Module):
    "The plain network of chapter 02: strided convolutions down, transposed ones up."

    def __init__(self):
        super().__init__()
        widths = (3, *FILTERS)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(widths, widths[1:]))
        self.to_z = nn.Linear(16 * FILTERS[-1], LATENT_DIM)
        self.from_z = nn.Linear(LATENT_DIM, 16 * FILTERS[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(widths[:0:-1], widths[-2::-1]))

    def forward(self, images):
        for layer in self.down:
            images = F.leaky_relu(layer(images), 0.2)
        z = self.to_z(images.permute(0, 2, 3, 1).flatten(1))  # in the order of Keras' Flatten
        images = F.leaky_relu(self.from_z(z), 0.2).view(-1, 4, 4, FILTERS[-1]).permute(0, 3, 1, 2)
        for layer in self.up[:-1]:
            images = F.leaky_relu(layer(images), 0.2)
        return self.up[-1](images)

    def layers(self):
        "All layers in the order of Keras' weights, with the order of axes that turns a kernel into Keras' and back."
        square, flat = (2, 3, 1, 0), (1, 0)
        return (
            [(x, square) for x in self.down] + [(self.to_z, flat), (self.from_z, flat)] + [(x, square) for x in self.up]
        )

    def read(self, weights):
        "Take over kernels and biases of the Keras models, encoder's before decoder's."
        for (layer, axes), kernel, bias in zip(self.layers(), weights[::2], weights[1::2]):
            layer.weight.data.copy_(torch.from_numpy(kernel.transpose(np.argsort(axes)).copy()))
            layer.bias.data.copy_(torch.from_numpy(bias))

    def weights(self):
        "Kernels and biases for the Keras models, encoder's before decoder's."
        pairs = [(layer.weight.detach().permute(axes), layer.bias.detach()) for layer, axes in self.layers()]
        return [array.numpy() for pair in pairs for array in pair]


def copies(n, m, rng):
    "For each of m channels which of n it copies, and its part of the effect: unequal, so that two copies part."
    source = np.concatenate([np.arange(n), rng.choice(n, m - n, replace=False)])
    share = np.ones(m, np.float32)
    for copy in range(n, m):
        share[copy] = rng.uniform(0.4, 0.6)
        share[source[copy]] = 1 - share[copy]
    return source, share


def widened(weights, rng):
    "The weights of the same function with FILTERS channels, from those of Keras models with fewer."
    kernels, biases = list(weights[::2]), list(weights[1::2])
    n_layers = len(FILTERS)
    for i, width in enumerate(FILTERS):
        source, share = copies(len(biases[i]), width, rng)
        kernels[i], biases[i] = kernels[i][..., source], biases[i][source]
        if i + 1 < n_layers:
            kernels[i + 1] = kernels[i + 1][:, :, source] * share[:, None]
        else:
            kernels[i + 1] = (kernels[i + 1].reshape(16, -1, LATENT_DIM)[:, source] * share[:, None]).reshape(
                -1, LATENT_DIM
            )
    first = n_layers + 1
    for i, width in zip(range(first, first + n_layers), FILTERS[::-1]):
        n = kernels[i + 1].shape[-1]
        source, share = copies(n, width, rng)
        if i == first:
            kernels[i] = kernels[i].reshape(LATENT_DIM, 16, n)[:, :, source].reshape(LATENT_DIM, -1)
            biases[i] = biases[i].reshape(16, n)[:, source].reshape(-1)
        else:
            kernels[i], biases[i] = kernels[i][:, :, source], biases[i][source]
        kernels[i + 1] = kernels[i + 1][..., source] * share
    return [array for pair in zip(kernels, biases) for array in pair]


def orthogonal(x):
    "About U V^T of the matrix x = U S V^T, as the training of chapter 03 has it."
    if x.shape[0] > x.shape[1]:
        return orthogonal(x.T).T
    x = x / (x.norm() + 1e-7)
    gram, product = x @ x.T, torch.eye(len(x))
    for _ in range(5):
        factor = 3.4445 * torch.eye(len(x)) - 4.775 * gram + 2.0315 * (gram @ gram)
        product, gram = factor @ product, factor @ gram @ factor
    return product @ x


class Optimizer:
    """Muon for all kernels but the first and the last, Adam at three tenths of the rate for those and the biases.

    As `latentfaces.training.Muon` does it for Keras; PyTorch's own Muon takes matrices only.
    """

    def __init__(self, network):
        ends = (network.down[0].weight, network.up[-1].weight)
        parameters = list(network.parameters())
        self.kernels = [p for p in parameters if p.ndim > 1 and all(p is not end for end in ends)]
        self.adam = torch.optim.Adam([p for p in parameters if all(p is not k for k in self.kernels)], eps=1e-7)
        self.momenta = [torch.zeros_like(p) for p in self.kernels]

    @torch.no_grad()
    def step(self, rate):
        for group in self.adam.param_groups:
            group["lr"] = 0.3 * rate
        self.adam.step()
        for kernel, momentum in zip(self.kernels, self.momenta):
            momentum.mul_(0.95).add_(kernel.grad)
            matrix = (kernel.grad + 0.95 * momentum).reshape(len(kernel), -1)
            step = 0.2 * max(matrix.shape) ** 0.5 * orthogonal(matrix)
            kernel.sub_(rate * step.view(kernel.shape))


def as_tensor(images):
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)


def checkpoint_of(network, optimizer, history):
    states = {"network": network.state_dict(), "adam": optimizer.adam.state_dict(), "momenta": optimizer.momenta}
    return states | {"history": history}


def restore(network, optimizer, state):
    network.load_state_dict(state["network"])
    optimizer.adam.load_state_dict(state["adam"])
    for momentum, kept in zip(optimizer.momenta, state["momenta"]):
        momentum.copy_(kept)
    return state["history"]


@torch.no_grad()
def error(network, images):
    "Mean squared error of the reconstructions of uint8 images."
    rows = [as_tensor(images[i : i + 100]).float() / 255 for i in range(0, len(images), 100)]
    return float(np.mean([((network(x).clamp(0, 1) - x) ** 2).mean() for x in rows]))


def train(network, optimizer, images, held_out, history, epochs, falling, file):
    "Train for so many epochs in all, the rate falling over the last of them, with a checkpoint after each."
    batches = face_batches(images, BATCH, SEED, start_epoch=len(history), shift=SHIFT)
    steps = len(images) // BATCH
    for epoch in range(len(history), epochs):
        begin, losses = time.time(), []
        for step in range(steps):
            done = epoch * steps + step
            rate = RATE * min(1, (done + 1) / WARM_UP, (epochs * steps - done) / max(1, falling * steps))
            batch = as_tensor(next(batches)[0])
            loss = F.mse_loss(network(batch), batch)
            network.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step(rate)
            losses.append(loss.item())
        row = {"epoch": epoch + 1, "train_mse": np.mean(losses), "held_out_mse": error(network, held_out)}
        history.append(row | {"seconds": round(time.time() - begin, 1)})
        print(json.dumps(history[-1], default=float), flush=True)
        torch.save(checkpoint_of(network, optimizer, history), file.with_suffix(".part"))
        file.with_suffix(".part").replace(file)
    return history


def read_source(source, training_part):
    "Images of a source and their names: all, or those of CelebA's training part; and the images left out."
    images, names = load_images(source, size=SIZE, crop=CROP, return_names=True)
    names = np.asarray(names)
    chosen = load_partition(source).loc[names].to_numpy() == 0 if training_part else np.ones(len(names), bool)
    return ImageSubset(images, np.flatnonzero(chosen)), names[chosen], ImageSubset(images, np.flatnonzero(~chosen))


def read_sources(sources):
    "Images to train on with their names, the 500 held out of the first source, and those outside the training part."
    (first, first_names, _), *others = [read_source(source, i > 0) for i, source in enumerate(sources)]
    chosen, held = split_indices(len(first), held_out=500, random_state=0)
    images = ImageConcat([ImageSubset(first, chosen), *(images for images, _, _ in others)])
    names = np.concatenate([first_names[chosen], *(names for _, names, _ in others)])
    return images, names, ImageSubset(first, held), [rest for _, _, rest in others if len(rest)]


def as_networks(network):
    "Encoder and decoder as a bundle has them."
    size = dict(size=SIZE, latent_dim=LATENT_DIM, filters=FILTERS)
    models = build_encoder(**size), build_decoder(**size)
    weights = network.weights()
    half = len(models[0].get_weights())
    models[0].set_weights(weights[:half])
    models[1].set_weights(weights[half:])
    return [Network.from_keras(model) for model in models]


def bundle_of(network, images, names, sources, config, history):
    "The bundle of a trained network; its z-points are rounded to float16, which is how they are stored."
    encoder, decoder = as_networks(network)
    z = Bundle(np.zeros((1, LATENT_DIM)), encoder=encoder, decoder=decoder).encode(images)
    table = pd.concat([load_attributes(source) for source in sources])
    attributes = table[~table.index.duplicated()].loc[names] > 0  # each source may come with the whole list
    z = z.astype(np.float16).astype(np.float32)
    return Bundle(z, names, config, encoder, decoder, pd.DataFrame(history), attributes=attributes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, help="CelebA's zip or folder; several times")
    parser.add_argument("--start", help="bundle to begin with; without it, the pretrained one")
    parser.add_argument("--work", required=True, type=Path, help="folder of the checkpoint")
    parser.add_argument("--epochs", type=int, required=True, help="passes over the images, in all")
    parser.add_argument("--falling", type=int, default=3, help="epochs at the end over which the rate falls to zero")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", help="folder of the new bundle; without it, only train")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    images, names, held_out, others = read_sources(a.data)
    network = Autoencoder()
    start = load_bundle(a.start)
    network.read(widened([w for m in start.keras_models() for w in m.get_weights()], np.random.default_rng(SEED)))
    network.to(memory_format=torch.channels_last)
    print(f"{len(images):,} images; held-out error of the start {error(network, held_out):.6f}", flush=True)
    optimizer = Optimizer(network)
    file, history = a.work / "checkpoint.pt", []
    a.work.mkdir(parents=True, exist_ok=True)
    if file.exists():
        history = restore(network, optimizer, torch.load(file, weights_only=False))
    history = train(network, optimizer, images, held_out, history, a.epochs, a.falling, file)
    if a.out:
        finish(network, images, names, held_out, others, history, a)


def finish(network, images, names, held_out, others, history, a):
    "Write the bundle with its scores."
    recipe = {
        "function": "benchmarks/train_pretrained.py",
        "start": a.start or "pretrained",
        "epochs": len(history),
        "falling": a.falling,
        "batch_size": BATCH,
        "shift": SHIFT,
        "latent_dim": LATENT_DIM,
        "filters": FILTERS,
        "kernel_size": 4,
        "batch_norm": False,
        "optimizer": "muon",
        "learning_rate": RATE,
        "dtype": "float32",
        "random_state": SEED,
    }
    data = {"source": [Path(source).name for source in a.data], "n_train": len(images), "n_held_out": len(held_out)}
    config = {
        "crop": CROP,
        "data": data | {"split_seed": 0},
        "recipe": recipe | {"loss": "mean squared error", "mirrored": True},
        "training": {
            "epochs": len(history),
            "seconds": round(sum(row["seconds"] for row in history)),
            "backend": "torch",
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        },
        "versions": {name: version(name) for name in ("latentfaces", "keras", "numpy", "onnx", "onnxruntime", "torch")},
    }
    bundle = bundle_of(network, images, names, a.data, config, history)
    scores = reconstruction_scores(bundle, images, held_out, progress=True)._asdict()
    if others:
        scores["validation_mse"] = reconstruction_error(bundle, others[0][:1000])
    bundle.config["scores"] = scores
    bundle.save(a.out)
    print(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
