"Training: the optimiser against linear algebra, replayable batches, and a training that survives kill -9."
import csv
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from latentfaces.bundle import train_bundle
from latentfaces.core import replace_file, to_float
from latentfaces.data import synthetic_faces
from latentfaces.training import (HISTORY_COLUMNS, Muon, Rows, StopOnNaN, face_batches, learning_rate_schedule, orthogonalize, pixel_pca_error,
                                  read_state, train_autoencoder)

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
    result = ops.convert_to_numpy(orthogonalize(matrix.astype(np.float32)))
    rotated = left[:, :rank].T @ result @ right[:rank].T
    assert np.abs(rotated - np.diag(np.diag(rotated))).max() < 1e-2
    assert 0.5 < np.diag(rotated).min() and np.diag(rotated).max() < 1.35


def test_orthogonalize_equals_the_direct_iteration():
    x = np.random.default_rng(0).normal(size=(20, 50))
    direct = x / np.linalg.norm(x)
    for _ in range(5):
        gram = direct @ direct.T
        direct = (3.4445 * np.eye(20) - 4.7750 * gram + 2.0315 * gram @ gram) @ direct
    np.testing.assert_allclose(ops.convert_to_numpy(orthogonalize(x.astype(np.float32))), direct, atol=1e-3)


def test_muon_moves_a_convolution_kernel_by_an_orthogonal_step():
    kernel = keras.Variable(np.zeros((4, 4, 8, 16), np.float32))
    bias = keras.Variable(np.zeros(16, np.float32))
    gradient = np.random.default_rng(0).normal(size=(4, 4, 8, 16)).astype(np.float32)
    Muon(0.01).apply([ops.convert_to_tensor(gradient), ops.ones(16)], [kernel, bias])
    step = -ops.convert_to_numpy(kernel.value).reshape(-1, 16)
    values = np.linalg.svd(step, compute_uv=False) / (0.01 * 0.2 * np.sqrt(128))
    assert 0.6 < values.min() and values.max() < 1.3
    np.testing.assert_allclose(ops.convert_to_numpy(bias.value), -0.01 * 0.3, rtol=1e-3)


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
    rows = Rows(faces, [5, 3, 60])
    assert np.array_equal(rows[:], faces[[5, 3, 60]]) and np.array_equal(rows[np.array([2, 0])], faces[[60, 5]])
    assert (len(rows), rows.shape, rows.ndim) == (3, (3, 16, 16, 3), 4)


def test_same_seed_same_weights_other_seed_other_weights(faces):
    runs = [train_autoencoder(faces[:64], faces[64:], random_state=seed, **SMALL)[0].get_weights() for seed in (1, 1, 2)]
    for a, b, c in zip(*runs):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert any(np.abs(a - c).max() > 1e-2 for a, _, c in zip(*runs))


def test_history_file_has_a_header_and_a_row_per_epoch(faces, tmp_path):
    *_, history = train_autoencoder(faces[:64], faces[64:], tmp_path, **SMALL)
    with (tmp_path / "history.csv").open() as file: rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(HISTORY_COLUMNS) and [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["held_out_mse"]) == history[1]["held_out_mse"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.npz", "history.csv"]
    assert len(read_state(tmp_path / "checkpoint.npz")["history"]) == 2


def test_an_absurd_learning_rate_stops_with_a_sentence_and_keeps_nothing_half_written(faces, tmp_path):
    with pytest.raises(FloatingPointError, match="lower learning rate"):
        train_autoencoder(faces[:64], faces[64:], tmp_path, **{**SMALL, "optimizer": "adam", "learning_rate": 1e30, "epochs": 30})
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_guard_stops_at_the_first_step_that_is_not_finite(bad):
    StopOnNaN().on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(FloatingPointError, match="step 1 "): StopOnNaN().on_train_batch_end(0, {"loss": bad})


@pytest.mark.parametrize("spoil, message", [
    (lambda x: x.astype(np.float32), r"\[0, 1\]"), (lambda x: x[..., 0], "shape"), (lambda x: x[:0], r"\(0, 16, 16, 3\)"),
    (lambda x: np.where(x > 100, np.nan, 0.5).astype(np.float32), "NaN|finite")])
def test_images_of_another_kind_are_refused_at_the_door(faces, spoil, message):
    with pytest.raises(ValueError, match=message): train_autoencoder(spoil(faces), faces[:9], **SMALL)


def test_damaged_checkpoint_is_refused(faces, tmp_path):
    (tmp_path / "checkpoint.npz").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="damaged"): train_autoencoder(faces[:64], faces[64:], tmp_path, resume=True, **SMALL)


def test_replace_file_leaves_the_old_content_when_writing_fails(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    def fail(file):
        file.write(b"half")
        raise OSError("disk full")
    with pytest.raises(OSError, match="disk full"): replace_file(path, fail)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_killed_and_resumed_ends_where_the_uninterrupted_training_does(face_folder, tmp_path):
    options = [f"--{k.replace('_', '-')}={v}" for k, v in {**TINY, "filters": "4-8", "epochs": 12}.items() if k != "progress"]
    command = [sys.executable, "-m", "latentfaces", "train", "--quiet", f"--data={face_folder}", *options]
    killed = subprocess.Popen([*command, f"--out={tmp_path / 'killed'}"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    history = tmp_path / "killed" / "history.csv"
    while not (history.exists() and len(history.read_text().splitlines()) > 3):
        assert killed.poll() is None and time.monotonic() < deadline, "the training should be under way"
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = len(read_state(tmp_path / "killed" / "checkpoint.npz")["history"])
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
    options = [f"--{k.replace('_', '-')}={v}" for k, v in {**TINY, "filters": "4-8"}.items() if k != "progress"]
    subprocess.run([sys.executable, "-m", "latentfaces", "train", "--quiet", f"--data={face_folder}", f"--out={tmp_path / 'bundle'}", *options],
                   env={**os.environ, "KERAS_BACKEND": backend}, check=True)
    ours = train_bundle(face_folder, tmp_path / "tensorflow", **TINY)
    rows = [np.genfromtxt(folder / "history.csv", delimiter=",", names=True) for folder in (tmp_path / "bundle", ours.path)]
    assert rows[0]["held_out_mse"][-1] < 1.5 * rows[1]["held_out_mse"][-1]
