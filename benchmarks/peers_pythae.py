"""The side of `peers.py` that needs pythae and PyTorch: the same network and training there, and pythae's samplers on given z-points."""
import tempfile
import time

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import AE, VAE, AEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.samplers import GaussianMixtureSampler, MAFSampler, NormalSampler, TwoStageVAESampler
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn


class Encoder(BaseEncoder):
    "The layers of `latentfaces.autoencoder.build_encoder`; padding 1 is Keras' same padding for kernels of 4 and strides of 2."

    def __init__(self, latent_dim=256, filters=(32, 64, 128, 256), side=4):
        super().__init__()
        layers = []
        for before, after in zip((3, *filters), filters): layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(side * side * filters[-1], latent_dim))

    def forward(self, x): return ModelOutput(embedding=self.layers(x))


class Decoder(BaseDecoder):
    "The layers of `latentfaces.autoencoder.build_decoder`, unclipped, as in training."

    def __init__(self, latent_dim=256, filters=(256, 128, 64, 32), side=4):
        super().__init__()
        layers = [nn.Linear(latent_dim, side * side * filters[0]), nn.LeakyReLU(0.2), nn.Unflatten(1, (filters[0], side, side))]
        for before, after in zip(filters, filters[1:]): layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        layers.append(nn.ConvTranspose2d(filters[-1], 3, 4, stride=2, padding=1))
        nn.init.constant_(layers[-1].bias, 0.5)
        self.layers = nn.Sequential(*layers)

    def forward(self, z): return ModelOutput(reconstruction=self.layers(z))


class Clock(TrainingCallback):
    "Seconds of each epoch, its look at the held-out images included."

    def __init__(self): self.seconds = []
    def on_epoch_begin(self, training_config, **kwargs): self.start = time.perf_counter()
    def on_epoch_end(self, training_config, **kwargs): self.seconds.append(time.perf_counter() - self.start)


def dataset(images):
    "Images uint8 (n, size, size, 3) as pythae takes them: float tensors with the channels first."
    tensor = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float().div_(255)
    return BaseDataset(tensor, torch.ones(len(tensor)))


def train(images, train_rows, held_rows, epochs):
    "Train pythae's plain autoencoder; what it took, and the held-out error after the last epoch."
    train_set, held_set, clock = dataset(images[train_rows]), dataset(images[held_rows]), Clock()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(output_dir=folder, num_epochs=epochs, per_device_train_batch_size=64, learning_rate=1e-3, no_cuda=True)
        model = AE(AEConfig(input_dim=(3, 64, 64), latent_dim=256), Encoder(), Decoder())
        trainer = BaseTrainer(model, train_set, held_set, settings, callbacks=[clock])
        trainer.train()
    model.eval()
    with torch.no_grad(): errors = [((model.predict(x).recon_x.clamp(0, 1) - x).double() ** 2).mean((1, 2, 3)) for x in held_set.data.split(250)]
    return {"parameters": sum(p.numel() for p in model.parameters()), "seconds": clock.seconds, "images": len(train_set), "error": float(torch.cat(errors).mean())}


class Stored(VAE):
    "A model whose images are the numbers of given z-points, so that pythae's samplers fit these points; its decoder leaves z as it is."

    def __init__(self, z):
        super().__init__(VAEConfig(input_dim=(1,), latent_dim=z.shape[1]), BaseEncoder(), Unchanged())
        self.points = torch.from_numpy(np.asarray(z, np.float32))

    def forward(self, inputs, **kwargs): return ModelOutput(z=self.points[inputs["data"][:, 0].long()])


class Unchanged(BaseDecoder):
    def forward(self, z): return ModelOutput(reconstruction=z)


def fitted(kind, z, epochs, seed):
    "A pythae sampler with its default settings, fitted to z-points; `draw(n)` gives z-vectors."
    np.random.seed(seed)  # scikit-learn's mixture inside
    torch.manual_seed(seed)
    sampler, numbers = kind(Stored(z)), torch.arange(len(z), dtype=torch.float)[:, None]
    with tempfile.TemporaryDirectory() as folder:
        trained = {} if epochs is None else {"training_config": BaseTrainerConfig(output_dir=folder, num_epochs=epochs, no_cuda=True)}
        sampler.fit(numbers, **trained)
    return lambda n: sampler.sample(n, batch_size=n).detach().numpy()


def samplers(epochs, seed):
    "Name: function from z-points to a draw, for each sampler of pythae's that suits a plain autoencoder."
    kinds = {"NormalSampler": (NormalSampler, None), "GaussianMixtureSampler": (GaussianMixtureSampler, None),
             "TwoStageVAESampler": (TwoStageVAESampler, epochs), "MAFSampler": (MAFSampler, epochs)}
    return {name: lambda z, kind=kind, epochs=epochs: fitted(kind, z, epochs, seed) for name, (kind, epochs) in kinds.items()}
