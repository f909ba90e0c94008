"Bundles: the way to disk and back, and every way in which one can be broken."
import json
import shutil

import numpy as np
import pytest

from latentfaces.bundle import FILES, Bundle, load_bundle, reconstruction_error, save_bundle, sha256, train_bundle
from latentfaces.core import in_batches
from latentfaces.data import synthetic_faces

from conftest import TINY


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    "A copy of the tiny bundle that a test may break."
    return shutil.copytree(tiny_bundle.path, tmp_path / "copy")


def test_saved_and_loaded_is_the_same(tiny_bundle, tmp_path):
    again = load_bundle(tiny_bundle.save(tmp_path / "again"))
    np.testing.assert_array_equal(again.z, tiny_bundle.z)
    np.testing.assert_array_equal(again.names, tiny_bundle.names)
    assert again.history == tiny_bundle.history and again.config["scores"] == tiny_bundle.config["scores"]
    images = synthetic_faces(9, size=16, random_state=9)[0]
    np.testing.assert_array_equal(again.encode(images), tiny_bundle.encode(images))
    np.testing.assert_array_equal(again.decode(again.z[:9]), tiny_bundle.decode(again.z[:9]))


def test_z_are_the_encoded_training_images(tiny_bundle, face_folder):
    from PIL import Image
    images = np.stack([np.asarray(Image.open(face_folder / name)) for name in tiny_bundle.names])
    np.testing.assert_allclose(tiny_bundle.encode(images), tiny_bundle.z, atol=1e-5)
    assert tiny_bundle.z.dtype == np.float32 and len(set(tiny_bundle.names)) == len(images) == 108


def test_uint8_and_float_images_give_the_same_z(tiny_bundle):
    images = synthetic_faces(5, size=16, random_state=4)[0]
    np.testing.assert_allclose(tiny_bundle.encode(images), tiny_bundle.encode(images / np.float32(255)), atol=1e-6)


@pytest.mark.parametrize("n, batch_size", [(1, 1), (5, 5), (5, 2), (2, 3), (7, 4)])
def test_batches_make_no_difference(tiny_bundle, n, batch_size):
    z = tiny_bundle.z[:n]
    np.testing.assert_allclose(tiny_bundle.decode(z, batch_size), tiny_bundle.decode(z), atol=1e-6)
    np.testing.assert_array_equal(in_batches(lambda rows: rows + 1, z, batch_size), z + 1)


def test_no_rows_give_no_rows(tiny_bundle):
    assert tiny_bundle.decode(np.zeros((0, 4))).shape == (0, 16, 16, 3)


def test_scores_are_true(tiny_bundle):
    scores = tiny_bundle.config["scores"]
    assert scores["ratio_to_pixel_pca"] == pytest.approx(scores["held_out_mse"] / scores["pixel_pca_mse"])
    images = synthetic_faces(6, size=16, random_state=5)[0]
    by_hand = np.mean((images / 255 - tiny_bundle.decode(tiny_bundle.encode(images))) ** 2)
    assert reconstruction_error(tiny_bundle, images) == pytest.approx(by_hand, rel=1e-5)


def test_config_names_what_was_done(tiny_bundle):
    config = json.loads((tiny_bundle.path / "config.json").read_text())
    assert {"size", "crop", "latent_dim", "data", "recipe", "training", "versions", "scores", "sha256"} <= set(config)
    assert config["sha256"] == {name: sha256(tiny_bundle.path / name) for name in FILES}
    assert config["data"] == {"source": config["data"]["source"], "n_train": 108, "n_held_out": 12, "split_seed": 0} and "/" not in config["data"]["source"]


@pytest.mark.parametrize("name", [*FILES, "config.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"without {name}"): load_bundle(copy)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: bytes([b[0] ^ 1]) + b[1:], lambda b: b + b"x"])
def test_a_damaged_file_is_named(copy, name, damage):
    (copy / name).write_bytes(damage((copy / name).read_bytes()))
    with pytest.raises(ValueError, match=f"damaged {name}"): load_bundle(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": 1}', '{"format": 1, "sha256": 3}'])
def test_a_damaged_config_is_refused(copy, text):
    (copy / "config.json").write_text(text)
    with pytest.raises(ValueError, match="damaged"): load_bundle(copy)


def rewritten(folder, **changes):
    "Change config.json and renew its checksums, as someone would who puts a bundle together by hand."
    config = json.loads((folder / "config.json").read_text()) | changes
    config["sha256"] = {name: sha256(folder / name) for name in FILES}
    (folder / "config.json").write_text(json.dumps(config))


def test_another_format_is_refused(copy):
    rewritten(copy, format=99)
    with pytest.raises(ValueError, match="format 99"): load_bundle(copy)


def test_other_sizes_are_refused(copy):
    rewritten(copy, size=32)
    with pytest.raises(ValueError, match=r"\(32, 32, 3\)"): load_bundle(copy).decoder
    rewritten(copy, latent_dim=5)
    with pytest.raises(ValueError, match=r"\(n, 5\)"): load_bundle(copy)


def test_points_without_names_are_refused(copy, tiny_bundle):
    np.savez(copy / "latents.npz", z=tiny_bundle.z, names=tiny_bundle.names[:-1])
    rewritten(copy)
    with pytest.raises(ValueError, match="n names"): load_bundle(copy)


def test_pickles_are_never_read(copy, tiny_bundle):
    np.savez(copy / "latents.npz", z=np.array([{"a": 1}], dtype=object), names=tiny_bundle.names)
    rewritten(copy)
    with pytest.raises(ValueError): load_bundle(copy)


def test_a_network_with_code_in_it_is_refused(copy):
    import keras
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs)).save(copy / "decoder.keras")
    rewritten(copy)
    with pytest.raises(ValueError, match="does not load"): load_bundle(copy).decoder


def test_a_folder_with_other_files_is_left_alone(tiny_bundle, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="choose another folder"): tiny_bundle.save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_failed_save_leaves_the_old_bundle_and_no_rest(copy, tiny_bundle, monkeypatch):
    def full(*args, **kwargs): raise OSError(28, "No space left on device")
    monkeypatch.setattr("latentfaces.bundle.np.savez_compressed", full)
    with pytest.raises(OSError, match="No space left"): save_bundle(tiny_bundle, copy)
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]
    assert len(load_bundle(copy).z) == len(tiny_bundle.z)


def test_the_old_bundle_comes_back_when_the_new_one_cannot_take_its_place(copy, tiny_bundle, monkeypatch):
    rename = type(copy).rename
    def refuse(self, target):
        if self.name.endswith(".part"): raise OSError("no")
        return rename(self, target)
    monkeypatch.setattr(type(copy), "rename", refuse)
    with pytest.raises(OSError, match="no"): save_bundle(tiny_bundle, copy)
    assert [p.name for p in copy.parent.iterdir()] == ["copy"] and len(load_bundle(copy).z) == len(tiny_bundle.z)


def test_rows_of_a_large_array_are_encoded_batch_by_batch(tiny_bundle):
    from latentfaces.training import Rows
    class Counting(Rows):
        most = 0
        def __getitem__(self, key):
            part = super().__getitem__(key)
            Counting.most = max(Counting.most, len(part))
            return part
    images = synthetic_faces(60, size=16, random_state=1)[0]
    index = np.arange(59, -1, -1)
    np.testing.assert_allclose(tiny_bundle.encode(Counting(images, index), batch_size=7), tiny_bundle.encode(images[::-1]), atol=1e-5)
    assert Counting.most == 7


def test_an_older_bundle_is_replaced(copy, tiny_bundle):
    changed = Bundle(tiny_bundle.z[:50], tiny_bundle.names[:50], tiny_bundle.config, tiny_bundle.encoder, tiny_bundle.decoder, tiny_bundle.history)
    changed.save(copy)
    assert len(load_bundle(copy).z) == 50 and [p.name for p in copy.parent.iterdir()] == ["copy"]


def test_wrong_arrays_are_refused_with_a_sentence(tiny_bundle):
    with pytest.raises(ValueError, match=r"\(n, 4\)"): tiny_bundle.decode(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"\(n, 4\)"): tiny_bundle.decode(np.zeros(4))
    with pytest.raises(ValueError, match="NaN"): tiny_bundle.decode(np.full((3, 4), np.nan))
    with pytest.raises(ValueError, match=r"\(n, 16, 16, 3\)"): tiny_bundle.encode(np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="z-points alone"): Bundle(np.zeros((3, 4))).decode(np.zeros((3, 4)))


def test_training_into_a_finished_bundle_is_refused(tiny_bundle, face_folder):
    with pytest.raises(FileExistsError, match="finished one"): train_bundle(face_folder, tiny_bundle.path, **TINY)


def test_the_pretrained_bundle_is_whole_and_small_enough():
    bundle = load_bundle()
    assert bundle.z.shape == (8500, 256) and np.isfinite(bundle.z).all() and bundle.config["crop"] == 140
    assert sum(p.stat().st_size for p in bundle.path.iterdir()) < 30e6
    assert (bundle.path / "model_card.md").is_file()
    assert bundle.config["scores"]["ratio_to_pixel_pca"] <= 0.90


def test_the_pretrained_bundle_on_real_images(celeba):
    from latentfaces.data import load_images, split_indices
    from latentfaces.training import Rows, pixel_pca_error
    bundle = load_bundle()
    images, names = load_images(celeba, size=64, crop=140, return_names=True)
    train, held = split_indices(len(images), held_out=500, random_state=bundle.config["data"]["split_seed"])
    np.testing.assert_array_equal(np.asarray(names)[train], bundle.names)
    np.testing.assert_allclose(bundle.encode(images[train[:300]]), bundle.z[:300], atol=2e-2)
    error = reconstruction_error(bundle, images[held])
    assert error == pytest.approx(bundle.config["scores"]["held_out_mse"], rel=1e-2)
    assert error <= 0.90 * pixel_pca_error(Rows(images, train), images[held])
