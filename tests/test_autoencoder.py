"The networks: shapes for every size, what is refused, and the equations of a layer."
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfaces.autoencoder import build_autoencoder, build_decoder, build_encoder, smallest_side
from latentfaces.core import silenced


@given(st.integers(1, 300), st.integers(1, 6))
def test_smallest_side_accepts_multiples_only_and_advises_sizes_that_work(size, n_layers):
    if size % 2 ** n_layers == 0: assert smallest_side(size, n_layers) * 2 ** n_layers == size
    else:
        with pytest.raises(ValueError, match="multiple of") as error: smallest_side(size, n_layers)
        for advised in str(error.value).rsplit("use ", 1)[1].split(" or "): smallest_side(int(advised), n_layers)


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


@pytest.mark.parametrize("name, value", [("size", "64"), ("size", 64.0), ("latent_dim", 0), ("latent_dim", "8"), ("filters", ()), ("filters", 8),
                                         ("filters", "48"), ("filters", (4, 0)), ("filters", (4, True)), ("kernel_size", 0), ("kernel_size", 2.5)])
def test_sizes_that_no_network_can_have_are_refused_by_both_builders(name, value):
    sizes = dict(size=16, latent_dim=4, filters=(4, 8), kernel_size=4) | {name: value}
    for build in (build_encoder, build_decoder):
        with pytest.raises((TypeError, ValueError), match=name): build(**sizes)


def test_channels_come_last_whatever_keras_json_says(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    code = ("from latentfaces.autoencoder import *; import keras; assert keras.config.image_data_format() == 'channels_first'\n"
            "sizes = dict(size=16, latent_dim=4, filters=(4, 8), batch_norm=True)\n"
            "print(build_autoencoder(build_encoder(**sizes), build_decoder(**sizes)).output_shape)")
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ, "KERAS_HOME": str(tmp_path)}, capture_output=True, text=True)
    assert run.stdout == "(None, 16, 16, 3)\n", run.stderr


def test_the_module_alone_loads_no_keras():
    code = "import sys, latentfaces.autoencoder; print({'keras', 'tensorflow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("before", ["", "import os; os.close(2)\n", "import sys; sys.stderr = None\n"])
def test_keras_is_loaded_without_a_word(before):
    code = f"{before}from latentfaces.core import load_keras\nload_keras().ops.ones(2) + 1\nprint('done')"
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (run.stdout, run.stderr, run.returncode) == ("done\n", "", 0)


def test_a_backend_that_is_not_there_is_still_said():
    code = "from latentfaces.core import load_keras; load_keras()"
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ, "KERAS_BACKEND": "nothing"}, capture_output=True, text=True)
    assert run.returncode == 1 and "ValueError" in run.stderr.splitlines()[-1] and "nothing" in run.stderr


def test_silence_ends_with_the_block_and_hides_no_exception(capfd):
    with pytest.raises(ValueError, match="an error"):
        with silenced():
            os.write(2, b"inside")
            raise ValueError("an error")
    os.write(2, b"outside")
    assert capfd.readouterr().err == "outside"


def test_threads_give_standard_error_back(capfd):
    def work(_):
        for _ in range(50):
            with silenced(): os.write(2, b"inside")
    with ThreadPoolExecutor(4) as threads: list(threads.map(work, range(4)))
    os.write(2, b"outside")
    assert capfd.readouterr().err == "outside"
