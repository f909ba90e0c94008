"Training: the optimiser against linear algebra, replayable batches, and a training that survives kill -9."
import gc
import json
import os
import signal
import subprocess
import sys
import time
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from PIL import Image

from latentfaces.autoencoder import build_autoencoder, build_decoder, build_encoder
from latentfaces.bundle import train_bundle
from latentfaces.core import replace_file, to_float
from latentfaces.drawn import synthetic_faces
from latentfaces.images import ImageSubset, data_fingerprint
from latentfaces.training import (Muon, _check_finite, _check_varied, _orthogonalize, _read_state, _save_checkpoint, check_recipe, face_batches,
                                  learning_rate_schedule, pixel_pca_error, train_autoencoder, without_layer_fusion)

from conftest import TINY

SMALL = dict(latent_dim=4, filters=(4, 8), batch_size=16, epochs=2, progress=False)


@pytest.fixture(scope="module")
def faces(): return synthetic_faces(80, size=16, random_state=3)[0]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_orthogonalize_keeps_the_singular_vectors_and_levels_the_values(rows, columns, seed):
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (rows, columns))
    rank = min(rows, columns)
    values = rng.uniform(0.1, 1, rank)
    matrix = (left[:, :rank] * values) @ right[:rank]
    result = ops.convert_to_numpy(_orthogonalize(matrix.astype(np.float32)))
    rotated = left[:, :rank].T @ result @ right[:rank].T
    assert np.abs(rotated - np.diag(np.diag(rotated))).max() < 1e-2
    assert 0.5 < np.diag(rotated).min() and np.diag(rotated).max() < 1.35


def test_orthogonalize_equals_the_direct_iteration():
    x = np.random.default_rng(0).normal(size=(20, 50))
    direct = x / np.linalg.norm(x)
    for _ in range(5):
        gram = direct @ direct.T
        direct = (3.4445 * np.eye(20) - 4.7750 * gram + 2.0315 * gram @ gram) @ direct
    np.testing.assert_allclose(ops.convert_to_numpy(_orthogonalize(x.astype(np.float32))), direct, atol=1e-3)


def test_muon_moves_a_convolution_kernel_by_an_orthogonal_step():
    kernel = keras.Variable(np.zeros((4, 4, 8, 16), np.float32))
    bias = keras.Variable(np.zeros(16, np.float32))
    gradient = np.random.default_rng(0).normal(size=(4, 4, 8, 16)).astype(np.float32)
    Muon(0.01).apply([ops.convert_to_tensor(gradient), ops.ones(16)], [kernel, bias])
    step = -ops.convert_to_numpy(kernel.value).reshape(-1, 16)
    values = np.linalg.svd(step, compute_uv=False) / (0.01 * 0.2 * np.sqrt(128))
    assert 0.6 < values.min() and values.max() < 1.3
    np.testing.assert_allclose(ops.convert_to_numpy(bias.value), -0.01 * 0.3, rtol=1e-3)


def newton_schulz(x):
    "The quintic iteration as it is written down, on the wide side."
    if x.shape[0] > x.shape[1]: return newton_schulz(x.T).T
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def muon_by_hand(value, gradients, rate, momentum, ratio, decay=0):
    "Muon for a kernel, Adam for what has one axis or touches three colours: in double precision, from the two papers."
    value, goes_by_adam = value.astype(float), value.ndim < 2 or min(value.shape[-2:]) <= 3
    mean, square = np.zeros_like(value), np.zeros_like(value)
    for step, gradient in enumerate(gradients, 1):
        gradient = gradient.astype(float)
        value = value - value * decay * rate
        if goes_by_adam:
            mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient ** 2
            value = value - rate * ratio * (mean / (1 - 0.9 ** step)) / (np.sqrt(square / (1 - 0.999 ** step)) + 1e-7 / np.sqrt(1 - 0.999 ** step))
        else:
            mean = momentum * mean + gradient
            ahead = (gradient + momentum * mean).reshape(-1, value.shape[-1])
            value = value - rate * 0.2 * max(ahead.shape) ** 0.5 * newton_schulz(ahead).reshape(value.shape)
    return value


@pytest.mark.parametrize("shape", [(3, 3, 5, 8), (2, 2, 16, 4), (12, 7), (4, 4, 3, 8), (4, 4, 8, 3), (9, 2), (8,)])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.7, "adam_lr_ratio": 1.5}, {"weight_decay": 0.1}])
def test_muon_is_what_the_papers_say(shape, options):
    rng = np.random.default_rng(5)
    start, gradients = rng.normal(size=shape).astype(np.float32), rng.normal(size=(6, *shape)).astype(np.float32)
    variable, beside = keras.Variable(start), keras.Variable(np.zeros(5, np.float32))
    optimizer = Muon(0.02, **options)
    for gradient in gradients: optimizer.apply([ops.convert_to_tensor(gradient), ops.ones(5)], [variable, beside])
    settings = {"momentum": 0.95, "adam_lr_ratio": 0.3, "weight_decay": 0} | options
    expected = muon_by_hand(start, gradients, 0.02, settings["momentum"], settings["adam_lr_ratio"], settings["weight_decay"])
    np.testing.assert_allclose(ops.convert_to_numpy(variable.value), expected, atol=1e-4)
    assert np.abs(expected - start).max() > 0.02


def test_muon_steps_like_keras_own_on_a_matrix():
    if keras.__version__.startswith("3.10."): pytest.skip("its own does not run on TensorFlow")
    rng = np.random.default_rng(5)
    start, gradients = rng.normal(size=(12, 20)).astype(np.float32), rng.normal(size=(5, 12, 20)).astype(np.float32)
    variables = [keras.Variable(start) for _ in range(2)]
    for optimizer, variable in zip((Muon(0.02, momentum=0.9), keras.optimizers.Muon(0.02, momentum=0.9, weight_decay=None)), variables):
        for gradient in gradients: optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
    ours, theirs = (ops.convert_to_numpy(variable.value) for variable in variables)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.abs(ours - start).max() > 0.02


def test_muon_asks_nothing_of_keras_that_3_10_lacks():
    "The base class that every Keras from 3.10 on has, and nothing of its own Muon, which came later and changed since."
    assert Muon.__bases__ == (keras.optimizers.Optimizer,)
    assert {name for name in vars(Muon) if not name.startswith("__")} <= {"build", "update_step", "get_config", "_build_kwargs", "_auto_config"}


def test_muon_survives_keras_serialisation():
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Muon(0.01, momentum=0.9)))
    assert isinstance(copy, Muon) and copy.get_config()["momentum"] == 0.9


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 3), st.integers(0, 2 ** 32 - 1))
def test_batches_show_every_image_once_and_replay_from_any_epoch(n, batch_size, epoch, seed):
    images = (np.arange(n, dtype=np.float32)[:, None, None, None] / n * np.ones((1, 2, 2, 3), np.float32))
    steps = n // batch_size
    if not steps: return
    stream = face_batches(images, batch_size, seed)
    skipped = [next(stream)[0] for _ in range(steps * epoch)]
    now = [next(stream)[0] for _ in range(steps)]
    replay = face_batches(images, batch_size, seed, start_epoch=epoch)
    assert all(np.array_equal(next(replay)[0], batch) for batch in now)
    shown = np.concatenate(now)[:, 0, 0, 0]
    assert len(set(shown.tolist())) == steps * batch_size
    assert len(skipped) == steps * epoch


def test_half_of_the_images_are_mirrored():
    image = np.zeros((4000, 1, 2, 3), np.uint8)
    image[:, :, 0] = 255
    batch, target = next(face_batches(image, 4000, 0))
    assert batch is target and batch.dtype == np.float32 and set(np.unique(batch)) == {0, 1}
    assert 0.45 < batch[:, 0, 1, 0].mean() < 0.55
    assert next(face_batches(image, 4000, 0, mirror=False))[0][:, 0, 0].all()


def test_targets_follow_their_images():
    images = (np.arange(30, dtype=np.float32)[:, None, None, None] / 30 * np.ones((1, 4, 4, 3), np.float32))
    labelled, plain = face_batches(images, 7, 5, shift=2, targets=np.arange(30)[:, None]), face_batches(images, 7, 5, shift=2)
    for _ in range(8):
        batch, labels = next(labelled)
        np.testing.assert_array_equal(batch, next(plain)[0])
        np.testing.assert_array_equal(labels[:, 0], np.rint(30 * batch[:, 0, 0, 0]))


def test_schedule_warms_up_and_ends_at_zero():
    rate = learning_rate_schedule(0.01, 400)
    values = np.array([float(rate(step)) for step in range(401)])
    assert values.argmax() == 20 and np.isclose(values.max(), 0.01) and values[0] > 0 and values[-1] < 1e-8
    assert (np.diff(values[:21]) > 0).all() and (np.diff(values[20:]) <= 0).all()


def test_pixel_pca_error_against_the_discarded_eigenvalues(faces):
    flat = to_float(faces).reshape(len(faces), -1).astype(np.float64)
    discarded = np.linalg.svd(flat - flat.mean(0), compute_uv=False)[10:]
    assert np.isclose(pixel_pca_error(faces, faces, 10), (discarded ** 2).sum() / flat.size, rtol=1e-2)
    assert pixel_pca_error(faces[:5], faces, 256) > 0


def test_rows_are_a_view_by_number(faces):
    rows = ImageSubset(faces, [5, 3, 60])
    assert np.array_equal(rows[:], faces[[5, 3, 60]]) and np.array_equal(rows[np.array([2, 0])], faces[[60, 5]])
    assert (len(rows), rows.shape, rows.ndim) == (3, (3, 16, 16, 3), 4)


def test_same_seed_same_weights_other_seed_other_weights(faces):
    runs = [train_autoencoder(faces[:64], faces[64:], random_state=seed, **SMALL)[0].get_weights() for seed in (1, 1, 2)]
    for a, b, c in zip(*runs):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert any(np.abs(a - c).max() > 1e-2 for a, _, c in zip(*runs))


def test_history_file_has_a_header_and_a_row_per_epoch(faces, tmp_path):
    *_, history = train_autoencoder(faces[:64], faces[64:], tmp_path, **SMALL)
    assert list(history) == ["epoch", "train_mse", "held_out_mse", "seconds"] and list(history.epoch) == [1, 2]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "history.csv", engine="python"), history)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.npz", "history.csv"]
    assert len(_read_state(tmp_path / "checkpoint.npz")["history"]) == 2


def test_an_absurd_learning_rate_stops_with_a_sentence_and_keeps_nothing_half_written(faces, tmp_path):
    with pytest.raises(FloatingPointError, match="lower learning rate"):
        train_autoencoder(faces[:64], faces[64:], tmp_path, **{**SMALL, "optimizer": "adam", "learning_rate": 1e30, "epochs": 30})
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_guard_stops_at_the_first_step_that_is_not_finite(bad):
    _check_finite(1.0, step=1)
    with pytest.raises(FloatingPointError, match="step 1 "): _check_finite(bad, step=1)


@pytest.mark.parametrize("spoil, message", [
    (lambda x: x.astype(np.float32), r"\[0, 1\]"), (lambda x: x[..., 0], "shape"), (lambda x: x[:0], r"\(0, 16, 16, 3\)"),
    (lambda x: np.where(x > 100, np.nan, 0.5).astype(np.float32), "NaN|finite")])
def test_images_of_another_kind_are_refused_at_the_door(faces, spoil, message):
    with pytest.raises(ValueError, match=message): train_autoencoder(spoil(faces), faces[:9], **SMALL)


@pytest.fixture(scope="module")
def unreadable(tmp_path_factory):
    "A folder of images that no decoder can read: whatever is refused there with another sentence was refused before."
    folder = tmp_path_factory.mktemp("unreadable")
    for i in range(30): (folder / f"{i:02d}.png").write_bytes(b"no picture")
    return folder


BAD = [("size", 10), ("size", "16"), ("size", 0), ("latent_dim", 0), ("latent_dim", 4.0), ("filters", ()), ("filters", (4, -8)), ("filters", "48"),
       ("kernel_size", 0), ("batch_size", 0), ("batch_size", True), ("epochs", 0), ("epochs", "3"), ("shift", -1), ("shift", 16), ("shift", 0.5),
       ("learning_rate", 0), ("learning_rate", np.nan), ("learning_rate", "fast"), ("optimizer", "sgd"), ("optimizer", None), ("dtype", "float8"),
       ("held_out", 0), ("held_out", 0.1), ("crop", 0), ("crop", "face"), ("limit", 1), ("limit", "all"), ("random_state", -1), ("random_state", None),
       ("random_state", 2**32), ("batch_norm", "no"), ("epoch", 3)]


@pytest.mark.parametrize("name, value", BAD)
def test_a_bad_option_is_refused_before_any_image_is_decoded(unreadable, tmp_path, name, value):
    with pytest.raises((TypeError, ValueError), match=name) as error:
        train_bundle(unreadable, tmp_path / "bundle", **{**TINY, name: value})
    assert "\n" not in str(error.value) and not (tmp_path / "bundle").exists()


def test_good_options_come_as_far_as_the_images(unreadable, tmp_path):
    with pytest.raises(ValueError, match="none of the"): train_bundle(unreadable, tmp_path / "bundle", **TINY)


def test_a_recipe_is_complete_and_survives_json():
    recipe = check_recipe(np.int64(16), filters=np.array([4, 8]), epochs=np.int32(3), random_state=np.uint8(7), learning_rate=np.float32(0.5))
    assert json.loads(json.dumps(recipe)) == recipe
    assert (recipe["size"], recipe["filters"], recipe["epochs"], recipe["random_state"], recipe["batch_size"]) == (16, [4, 8], 3, 7, 64)


def test_a_place_that_cannot_be_written_is_refused_before_any_image_is_decoded(unreadable, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="which is none"): train_bundle(unreadable, tmp_path / "file" / "bundle", **TINY)
    with pytest.raises(TypeError, match="expected a path"): train_bundle(unreadable, None, **TINY)


@pytest.mark.parametrize("resume, changes, message", [(False, {}, "resume it"), (True, {"epochs": 9}, "epochs 3"), (True, {"shift": 1}, "shift 2")])
def test_a_checkpoint_that_does_not_fit_is_seen_before_any_image_is_decoded(unreadable, faces, tmp_path, resume, changes, message):
    options = {name: value for name, value in TINY.items() if name not in ("size", "held_out", "align")}
    train_autoencoder(faces[:64], faces[64:], tmp_path, **options)
    with pytest.raises((FileExistsError, ValueError), match=message): train_bundle(unreadable, tmp_path, resume=resume, **{**TINY, **changes})


@pytest.mark.parametrize("change", ["train", "held_out", "order", "number"])
def test_other_images_are_not_resumed_with(faces, tmp_path, change):
    train_autoencoder(faces[:64], faces[64:], tmp_path, **SMALL)
    train, held = faces[:64].copy(), faces[64:].copy()
    if change == "train": train[40, 2, 3, 1] ^= 1
    if change == "held_out": held[3, 0, 0, 0] ^= 1
    if change == "order": train = train[::-1]
    if change == "number": train = train[:-1]
    with pytest.raises(ValueError, match="got other ones: resume with the same files"): train_autoencoder(train, held, tmp_path, resume=True, **SMALL)
    *_, history = train_autoencoder(ImageSubset(faces, np.arange(64)), faces[64:], tmp_path, resume=True, **SMALL)
    assert len(history) == 2


def test_fingerprint_is_of_content_and_names(faces):
    names = [f"{i}.png" for i in range(80)]
    same = data_fingerprint(faces, names)
    assert data_fingerprint(ImageSubset(faces[::-1], np.arange(79, -1, -1)), np.array(names)) == same and len(same) == 32
    others = [data_fingerprint(faces), data_fingerprint(faces, names[::-1]), data_fingerprint(faces[::-1], names), data_fingerprint(faces[:79], names[:79]),
              data_fingerprint(faces.astype(np.float32), names), data_fingerprint(faces.reshape(40, 32, 16, 3), names)]
    assert len({same, *others}) == 7


@pytest.mark.parametrize("n", [1, 9])
def test_one_picture_only_is_refused_before_the_training(faces, tmp_path, n):
    with pytest.raises(ValueError, match=f"the same picture {n} times"): train_autoencoder(faces[[3] * n], faces[:5], tmp_path / "new", **SMALL)
    assert not (tmp_path / "new").exists()
    _check_varied(np.concatenate([faces[[3] * 1500], faces[4:5]]))


def test_nearly_blank_images_have_finite_scores(tmp_path):
    images = np.zeros((40, 16, 16, 3), np.uint8)
    images[::2] = 255
    for i, image in enumerate(images): Image.fromarray(image).save(tmp_path / f"{i:02d}.png")
    scores = train_bundle(tmp_path, tmp_path / "bundle", **TINY).config["scores"]
    assert scores["pixel_pca_mse"] < 1e-10 and 0 < scores["ratio_to_pixel_pca"] < np.inf


def test_the_remapper_is_off_meanwhile_and_as_before_afterwards():
    if keras.backend.backend() != "tensorflow": pytest.skip("TensorFlow's own")
    from tensorflow import config
    before = config.optimizer.get_experimental_options().get("remapping", True)
    with pytest.raises(KeyError), without_layer_fusion():
        assert config.optimizer.get_experimental_options()["remapping"] is False
        raise KeyError
    assert config.optimizer.get_experimental_options()["remapping"] == before


@pytest.mark.parametrize("command", [["-c", "from latentfaces.bundle import train_bundle\ntrain_bundle('synthetic:60', OUT, 32, latent_dim=8, filters=(4, 8), "
                                            "epochs=1, progress=False).decode"],
                                     ["-m", "latentfaces", "train", "--quiet", "--data=synthetic:60", "--size=32", "--latent-dim=8", "--filters=4-8",
                                      "--epochs=1", "--out=OUT"]])
def test_a_training_writes_nothing_in_red(command, tmp_path):
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [part.replace("OUT", "'OUT'" if part.startswith("from") else str(tmp_path / "OUT")) for part in command]
    run = subprocess.run([sys.executable, *command], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert (run.stderr, run.returncode) == ("", 0) and (tmp_path / "OUT" / "config.json").exists()


def test_the_bar_leaves_a_line_for_every_epoch_and_is_gone_when_the_training_fails(faces, capfd):
    train_autoencoder(faces[:64], faces[64:], **{**SMALL, "progress": True})
    assert [line[:16].strip() for line in capfd.readouterr().out.splitlines()] == ["epoch   1 of 2:", "epoch   2 of 2:"]
    with pytest.raises(FloatingPointError):
        train_autoencoder(faces[:64], faces[64:], **{**SMALL, "progress": True, "optimizer": "adam", "learning_rate": 1e30, "epochs": 30})
    from tqdm.auto import tqdm
    assert not tqdm._instances


@pytest.mark.parametrize("damage", [lambda b: b"not a checkpoint", lambda b: b"", lambda b: b[:-30], lambda b: b[:len(b) // 2] + bytes(99) + b[len(b) // 2 + 99:]])
def test_damaged_checkpoint_is_refused_and_closed(damage, faces, tmp_path):
    path = tmp_path / "checkpoint.npz"
    model = build_autoencoder(build_encoder(16, 4, (4, 8)), build_decoder(16, 4, (4, 8)))
    model.compile("adam", "mse")
    _save_checkpoint(path, model, {}, [])
    path.write_bytes(damage(path.read_bytes()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(ValueError, match="damaged"): train_autoencoder(faces[:64], faces[64:], tmp_path, resume=True, **SMALL)
        gc.collect()
    assert str(path) not in " ".join(str(warning.message) for warning in caught)


def test_replace_file_leaves_the_old_content_when_writing_fails(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    def fail(file):
        file.write(b"half")
        raise OSError("disk full")
    with pytest.raises(OSError, match="disk full"): replace_file(path, fail)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_killed_and_resumed_ends_where_the_uninterrupted_training_does(face_folder, tmp_path):
    options = [f"--{k.replace('_', '-')}={v}" for k, v in {**TINY, "filters": "4-8", "epochs": 12}.items() if k not in ("progress", "align")] + ["--no-align"]
    command = [sys.executable, "-m", "latentfaces", "train", "--quiet", f"--data={face_folder}", *options]
    killed = subprocess.Popen([*command, f"--out={tmp_path / 'killed'}"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    history = tmp_path / "killed" / "history.csv"
    while not (history.exists() and len(history.read_text().splitlines()) > 3):
        assert killed.poll() is None and time.monotonic() < deadline, "the training should be under way"
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = len(_read_state(tmp_path / "killed" / "checkpoint.npz")["history"])
    assert not (tmp_path / "killed" / "config.json").exists() and 3 <= done
    if done == 12: pytest.fail("the training was over before it could be killed: give it more epochs")
    refused = subprocess.run([*command, f"--out={tmp_path / 'killed'}"], capture_output=True, text=True)
    assert refused.returncode == 2 and "resume it, or choose another folder" in refused.stderr
    resumed = train_bundle(face_folder, tmp_path / "killed", resume=True, **{**TINY, "epochs": 12})
    straight = train_bundle(face_folder, tmp_path / "straight", **{**TINY, "epochs": 12})
    np.testing.assert_allclose(resumed.z, straight.z, atol=1e-4)
    rows = [np.genfromtxt(b.path / "history.csv", delimiter=",", names=True) for b in (resumed, straight)]
    assert len(rows[0]) == 12
    np.testing.assert_allclose(rows[0]["held_out_mse"], rows[1]["held_out_mse"], rtol=1e-4)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends_train_the_same_network(backend, face_folder, tmp_path):
    pytest.importorskip(backend)
    options = [f"--{k.replace('_', '-')}={v}" for k, v in {**TINY, "filters": "4-8"}.items() if k not in ("progress", "align")] + ["--no-align"]
    subprocess.run([sys.executable, "-m", "latentfaces", "train", "--quiet", f"--data={face_folder}", f"--out={tmp_path / 'bundle'}", *options],
                   env={**os.environ, "KERAS_BACKEND": backend}, check=True)
    ours = train_bundle(face_folder, tmp_path / "tensorflow", **TINY)
    rows = [np.genfromtxt(folder / "history.csv", delimiter=",", names=True) for folder in (tmp_path / "bundle", ours.path)]
    assert rows[0]["held_out_mse"][-1] < 1.5 * rows[1]["held_out_mse"][-1]


def test_other_first_weights_are_another_training(tmp_path):
    "An interrupted training is not gone on with from other weights than it began with."
    faces = synthetic_faces(80, size=16, random_state=0)[0]
    pairs = [train_autoencoder(faces[:64], faces[64:], None, **SMALL | {"random_state": seed})[:2] for seed in (0, 1)]
    train_autoencoder(faces[:64], faces[64:], tmp_path, start_from=pairs[0], **SMALL)
    with pytest.raises(ValueError, match="start_from"): train_autoencoder(faces[:64], faces[64:], tmp_path, start_from=pairs[1], resume=True, **SMALL)
    with pytest.raises(ValueError, match="sizes asked for to start from"):
        train_autoencoder(faces[:64], faces[64:], None, start_from=pairs[0], **SMALL | {"filters": (5, 7)})
