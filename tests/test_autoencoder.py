"The networks: shapes for every size, what is refused, and the equations of a layer."
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfaces.autoencoder import build_autoencoder, build_decoder, build_encoder, check_size


@given(st.integers(1, 300), st.integers(1, 6))
def test_check_size_accepts_multiples_only_and_advises_sizes_that_work(size, n_layers):
    if size % 2 ** n_layers == 0: assert check_size(size, n_layers) * 2 ** n_layers == size
    else:
        with pytest.raises(ValueError, match="multiple of") as error: check_size(size, n_layers)
        for advised in str(error.value).rsplit("use ", 1)[1].split(" or "): check_size(int(advised), n_layers)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(2, 6), st.integers(1, 9), st.booleans())
def test_reconstruction_has_the_shape_of_the_image(n_layers, factor, kernel_size, latent_dim, batch_norm):
    size = factor * 2 ** n_layers
    sizes = dict(size=size, latent_dim=latent_dim, filters=(3, 4, 5)[:n_layers], kernel_size=kernel_size, batch_norm=batch_norm)
    encoder, decoder = build_encoder(**sizes), build_decoder(**sizes)
    images = np.random.default_rng(0).random((2, size, size, 3), np.float32)
    z = encoder.predict_on_batch(images)
    assert z.shape == (2, latent_dim)
    painted = build_autoencoder(encoder, decoder).predict_on_batch(images)
    assert painted.shape == images.shape
    np.testing.assert_allclose(painted, decoder.predict_on_batch(z), atol=1e-5)


def test_four_convolutions_each_way_and_nothing_else():
    kinds = [[type(layer).__name__ for layer in build().layers] for build in (build_encoder, build_decoder)]
    assert kinds[0].count("Conv2D") == 4 and kinds[1].count("Conv2DTranspose") == 4
    assert {*kinds[0], *kinds[1]} <= {"InputLayer", "Conv2D", "Conv2DTranspose", "LeakyReLU", "Flatten", "Dense", "Reshape", "Activation", "ReLU"}
    assert not build_autoencoder(build_encoder(), build_decoder()).losses


def test_decoder_paints_valid_pixels_for_any_vector():
    decoder = build_decoder(size=16, latent_dim=4, filters=(4, 8))
    z = np.random.default_rng(0).normal(size=(50, 4)) * np.logspace(-3, 4, 50)[:, None]
    painted = decoder.predict_on_batch(z.astype(np.float32))
    assert painted.min() >= 0 and painted.max() <= 1 and painted.std() > 0


def test_unclipped_decoder_is_the_same_inside_the_range():
    sizes = dict(size=16, latent_dim=4, filters=(4, 8))
    free, clipped = build_decoder(**sizes, clip=False), build_decoder(**sizes)
    clipped.set_weights(free.get_weights())
    z = 20 * np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    painted = free.predict_on_batch(z)
    assert painted.min() < 0 or painted.max() > 1
    np.testing.assert_allclose(np.clip(painted, 0, 1), clipped.predict_on_batch(z), atol=1e-6)


def test_batch_norm_adds_a_layer_per_hidden_convolution():
    count = lambda model: sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    assert (count(build_encoder(batch_norm=True)), count(build_decoder(batch_norm=True))) == (4, 3)


def test_networks_that_do_not_fit_are_refused():
    encoder = build_encoder(size=16, latent_dim=4, filters=(4, 8))
    with pytest.raises(ValueError, match="4 latent dimensions"): build_autoencoder(encoder, build_decoder(size=16, latent_dim=5, filters=(4, 8)))
    with pytest.raises(ValueError, match=r"\(16, 16, 3\)"): build_autoencoder(encoder, build_decoder(size=32, latent_dim=4, filters=(4, 8)))
    with pytest.raises(ValueError, match="use 48 or 64"): build_encoder(size=50)
