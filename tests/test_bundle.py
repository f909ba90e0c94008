"Bundles: the way to disk and back, and every way in which one can be broken."
import base64
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from latentfaces.bundle import (Bundle, ReconstructionScores, decode_with, load_bundle, mismatched_images, reconstruction_error, reconstruction_scores,
                                sha256, train_bundle)
from latentfaces.core import in_batches
from latentfaces.drawn import synthetic_faces

from conftest import KEPT, TINY

FILES = ("encoder.onnx", "decoder.onnx", "latents.npz", "history.csv", "sampler.npz")


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    "A copy of the tiny bundle that a test may break."
    return shutil.copytree(tiny_bundle.path, tmp_path / "copy")


def test_saved_and_loaded_is_the_same(tiny_bundle, tmp_path):
    again = load_bundle(tiny_bundle.save(tmp_path / "again"))
    np.testing.assert_array_equal(again.z, tiny_bundle.z)
    np.testing.assert_array_equal(again.names, tiny_bundle.names)
    assert again.history.equals(tiny_bundle.history) and len(again.history) == 3 and again.config["scores"] == tiny_bundle.config["scores"]
    images = synthetic_faces(9, size=16, random_state=9)[0]
    np.testing.assert_array_equal(again.encode(images), tiny_bundle.encode(images))
    np.testing.assert_array_equal(again.decode(again.z[:9]), tiny_bundle.decode(again.z[:9]))


def test_rounded_points_are_stored_in_half_the_bytes(tiny_bundle, tmp_path):
    def stored(z):
        bundle = Bundle(z, encoder=tiny_bundle.encoder, decoder=tiny_bundle.decoder)
        folder = bundle.save(tmp_path / "points")
        again = load_bundle(folder)
        np.testing.assert_array_equal(again.z, bundle.z)
        assert again.z.dtype == np.float32
        return np.load(folder / "latents.npz")["z"].dtype
    rounded = tiny_bundle.z.astype(np.float16).astype(np.float32)
    assert stored(tiny_bundle.z) == np.float32 and stored(rounded) == np.float16
    assert stored(rounded * 1e6) == np.float32, "float16 ends at 65,504"


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
    assert tiny_bundle.encode(np.zeros((0, 16, 16, 3), np.uint8)).shape == (0, 4)
    with pytest.raises(ValueError, match=r"\(n, 16, 16, 3\)"): tiny_bundle.encode(np.zeros((0, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(0, 5\)"): tiny_bundle.decode(np.zeros((0, 5)))


Z = np.random.default_rng(0).standard_normal((50, 6))


def test_any_table_of_numbers_is_kept_as_float32():
    pd = pytest.importorskip("pandas")
    for z in (Z, Z.tolist(), pd.DataFrame(Z), pd.DataFrame(Z).astype("Float64")):
        bundle = Bundle(z, names=pd.Series([f"{i}.png" for i in range(50)]))
        np.testing.assert_array_equal(bundle.z, Z.astype(np.float32))
        assert bundle.z.dtype == np.float32 and bundle.names[3] == "3.png"


@pytest.mark.parametrize("z, message", [
    (np.ma.masked_greater(Z, 1), "masked"), (Z[0], "one row per z-point"), (Z[:0], "0 sample"), (np.where(Z > 2, np.nan, Z), "NaN"), (1e60 * Z, "float32"),
    ([[1, 2], [3]], "different lengths"), ("z.npy", "array of numbers"), (None, "array of numbers")])
def test_what_is_no_table_of_numbers_is_refused_at_construction(z, message):
    with pytest.raises((TypeError, ValueError), match=message): Bundle(z)


def test_a_gap_in_a_table_is_refused():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(Z).astype("Float64")
    table.iloc[3, 2] = pd.NA
    with pytest.raises(ValueError, match="row 3"): Bundle(table)


@pytest.mark.parametrize("names", [["a"], ["a"] * 51, "a", np.full((50, 2), "a")])
def test_names_that_do_not_fit_are_refused_at_construction(names):
    with pytest.raises(ValueError, match="one name for each of the 50 z-points"): Bundle(Z, names)


@pytest.mark.parametrize("names", [None, [], np.array([], str)])
def test_without_names_there_and_back(tiny_bundle, tmp_path, names):
    bundle = load_bundle(Bundle(tiny_bundle.z, names, encoder=tiny_bundle.encoder, decoder=tiny_bundle.decoder).save(tmp_path / "nameless"))
    assert bundle.names.shape == (0,) and bundle.names.dtype.kind == "U"
    np.testing.assert_array_equal(bundle.z, tiny_bundle.z)


def test_a_home_folder_is_found(tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tiny_bundle.save("~/bundle") == tmp_path / "bundle" and len(load_bundle("~/bundle").z) == 108
    for use in (tiny_bundle.save, load_bundle):
        with pytest.raises(FileNotFoundError, match="write the path out"): use("~nosuchuser/bundle")


@pytest.mark.parametrize("name, message", [("z.npy", "`latentfaces report` takes"), ("z.npz", "`latentfaces report` takes"), ("z.txt", "give the folder")])
def test_a_file_is_no_bundle(tmp_path, name, message):
    (tmp_path / name).write_text("")
    with pytest.raises(NotADirectoryError, match=f"got the file .*{name}: {message}"): load_bundle(tmp_path / name)


def pixels(z): return np.repeat(np.tanh(z[:, :1]), 192, axis=1).reshape(-1, 8, 8, 3)


def right(z): return (pixels(z) + 1) / 2


class Lent:
    "A stand-in for tensors that are arrays only after .numpy()."
    def __init__(self, array): self.array = array
    def detach(self): return self
    def numpy(self): return self.array


class Tensor:
    "A stand-in for PyTorch's tensors, which must be detached before they become arrays."
    def __init__(self, array): self.array = array
    def detach(self): return self
    def cpu(self): return self.array


@pytest.mark.parametrize("decoder", [right, lambda z: right(z).astype(np.float16), lambda z: right(z).tolist(), lambda z: Tensor(right(z)), lambda z: Lent(right(z)),
                                     lambda z: np.rint(255 * right(z)).astype(np.uint8), lambda z: right(z) * 1.0005 - 0.0001, lambda z: right(z) * (1 + 1e-7)])
def test_any_function_from_z_to_images_is_a_decoder(decoder):
    faces = Bundle(Z, decoder=decoder).decode(Z, batch_size=7)
    assert faces.dtype == np.float32 and faces.min() >= 0 and faces.max() <= 1
    np.testing.assert_allclose(faces, right(Z.astype(np.float32)), atol=3e-3)
    np.testing.assert_array_equal(decode_with(decoder, Z, batch_size=7), faces)


def keras_decoders():
    keras = pytest.importorskip("keras")
    class Subclassed(keras.Model):
        def __init__(self, dropout=False):
            super().__init__()
            self.dense, self.dropout = keras.layers.Dense(192, activation="sigmoid"), keras.layers.Dropout(0.5) if dropout else None
        def call(self, z): return keras.ops.reshape(self.dense(self.dropout(z) if self.dropout else z), (-1, 8, 8, 3))
    inputs = keras.Input((6,))
    built = keras.layers.Reshape((8, 8, 3))(keras.layers.Dense(192, "sigmoid")(inputs))
    sequential = keras.Sequential([keras.layers.Dense(192, "sigmoid"), keras.layers.Reshape((8, 8, 3))])
    return [Subclassed(), Subclassed(dropout=True), sequential, keras.Model([inputs], [built]), lambda z: sequential(z)]


@pytest.mark.parametrize("which", range(5))
def test_keras_models_that_do_not_know_their_sizes_decode(which):
    bundle = Bundle(Z, decoder=keras_decoders()[which])
    faces = bundle.decode(Z)
    assert faces.shape == (50, 8, 8, 3)
    np.testing.assert_array_equal(faces, bundle.decode(Z))


@pytest.mark.parametrize("decoder, message", [
    (pixels, r"got \[-0.9.*wrap it, lambda z: \(decoder\(z\) \+ 1\) / 2"), (lambda z: 255 * right(z), r"lambda z: decoder\(z\) / 255"),
    (lambda z: np.rint(255 * right(z)).astype(int), r"decoder\(z\) / 255"), (lambda z: 1.2 * right(z) - 0.1, r"np\.clip\(decoder\(z\), 0, 1\)"),
    (lambda z: right(z) * np.nan, "NaN"), (lambda z: right(z) + np.inf, "NaN or infinity"), (lambda z: right(z)[..., 0], r"\(50, height, width, 3\)"),
    (lambda z: np.moveaxis(right(z), -1, 1), r"got \(50, 3, 8, 8\): wrap it, lambda z: np.moveaxis\(decoder\(z\), 1, -1\)"),
    (lambda z: right(z)[:1], r"got \(1, 8, 8, 3\)"), (lambda z: {"faces": right(z)}, r"got \(\)"), (lambda z: None, r"got \(\)"),
    (lambda z: [right(z)[0], right(z)[0, 0]], "different lengths")])
def test_what_a_decoder_paints_is_looked_at(decoder, message):
    for decode in (Bundle(Z, decoder=decoder).decode, lambda z: decode_with(decoder, z)):
        with pytest.raises(ValueError, match=message) as error: decode(Z)
        assert "\n" not in str(error.value)


def test_an_encoder_of_another_shape_is_refused():
    images = np.zeros((5, 8, 8, 3), np.uint8)
    assert Bundle(Z, encoder=lambda x: np.ones((len(x), 6))).encode(images).dtype == np.float32
    with pytest.raises(ValueError, match=r"\(5, 6\), got \(5, 7\)"): Bundle(Z, encoder=lambda x: np.ones((len(x), 7))).encode(images)
    with pytest.raises(ValueError, match="NaN"): Bundle(Z, encoder=lambda x: np.full((len(x), 6), np.nan)).encode(images)


def test_networks_of_other_sizes_are_refused_at_construction(tiny_bundle):
    for name in ("encoder", "decoder"):
        with pytest.raises(ValueError, match="6 dimensions"): Bundle(Z, **{name: getattr(tiny_bundle, name)})
        with pytest.raises(TypeError, match="can be called"): Bundle(Z, **{name: 7})
        with pytest.raises(FileNotFoundError, match="not there"): Bundle(Z, **{name: "network.onnx"})


def test_networks_that_could_not_be_read_again_are_not_saved(tiny_bundle, tmp_path):
    keras = pytest.importorskip("keras")
    inputs = keras.Input((4,))
    code = keras.Model(inputs, keras.layers.Reshape((16, 16, 3))(keras.layers.Dense(768, "sigmoid")(keras.layers.Lambda(lambda x: x)(inputs))))
    small = keras.Model(inputs, keras.layers.Reshape((8, 8, 3))(keras.layers.Dense(192, "sigmoid")(inputs)))
    unknown = [(lambda z: tiny_bundle.decode(z), "only such"), (keras_decoders()[0], "only such"), (keras_decoders()[2], "only such")]
    for decoder, message in [*unknown, (code, "a layer of the kind Lambda"), (small, "images of one size"), (None, "without one")]:
        with pytest.raises(ValueError, match=message): Bundle(tiny_bundle.z, encoder=tiny_bundle.encoder, decoder=decoder).save(tmp_path / "new" / "bundle")
        assert not [p for p in (tmp_path / "new").glob("*")]


def test_other_images_under_the_same_names_are_found(tiny_bundle, face_folder):
    from latentfaces.images import load_images
    images, names = load_images(face_folder, size=16, progress=False, return_names=True)
    assert len(mismatched_images(tiny_bundle, images, names)) == 0 and len(mismatched_images(tiny_bundle, images[:7], names[:7])) == 0
    rounded = np.clip(images.astype(int) + np.random.default_rng(0).integers(-1, 2, images.shape), 0, 255).astype(np.uint8)
    assert len(mismatched_images(tiny_bundle, rounded, names)) == 0
    others = images.copy()
    swapped = np.flatnonzero(np.isin(names, tiny_bundle.names))[:2]
    others[swapped] = others[swapped[::-1]]
    assert list(mismatched_images(tiny_bundle, others, names)) == list(names[swapped])
    assert len(mismatched_images(tiny_bundle, images[::-1], names)) > 100 and len(mismatched_images(tiny_bundle, images[::-1], names, max_images=20)) == 20
    assert len(mismatched_images(tiny_bundle, images, [f"other{i}" for i in range(120)])) == 0
    assert mismatched_images(Bundle(tiny_bundle.z, tiny_bundle.names), images, names) is None


def test_a_notebook_shows_faces_and_sizes(tiny_bundle):
    page = load_bundle(tiny_bundle.path)._repr_html_()
    assert "108 z-points in 4 dimensions, 16 pixels" in page and page.count("<img") == 1 and page == tiny_bundle._repr_html_()
    picture = Image.open(io.BytesIO(base64.b64decode(page.partition("base64,")[2].partition('"')[0])))
    assert picture.size == (160, 16) and np.asarray(picture).std() > 1


def test_what_cannot_show_faces_shows_its_sizes(tiny_bundle, copy):
    def slow(z): raise AssertionError("called")
    (copy / "decoder.onnx").write_bytes(b"")
    broken = Bundle(tiny_bundle.z, path=copy / "<b>", decoder=None)
    for bundle in (Bundle(np.ones((200, 4))), Bundle(np.ones((200, 4)), decoder=slow), Bundle(tiny_bundle.z[:9], decoder=tiny_bundle.decoder), broken):
        assert "<img" not in bundle._repr_html_() and f"{len(bundle.z)} z-points" in bundle._repr_html_()
    assert "&lt;b&gt;" in broken._repr_html_()


def test_scores_are_true(tiny_bundle):
    scores = tiny_bundle.config["scores"]
    assert scores["ratio_to_pixel_pca"] == pytest.approx(scores["held_out_mse"] / scores["pixel_pca_mse"])
    images = synthetic_faces(6, size=16, random_state=5)[0]
    by_hand = np.mean((images / 255 - tiny_bundle.decode(tiny_bundle.encode(images))) ** 2)
    assert reconstruction_error(tiny_bundle, images) == pytest.approx(by_hand, rel=1e-5)


def test_scores_are_named(tiny_bundle, can_train):
    "What stands in config.json are the fields of the named tuple, in this order."
    images = synthetic_faces(40, size=16, random_state=1)[0]
    scores = reconstruction_scores(tiny_bundle, images[:30], images[30:])
    assert isinstance(scores, ReconstructionScores) and list(scores._asdict()) == list(tiny_bundle.config["scores"])
    assert scores.train_mse == reconstruction_error(tiny_bundle, images[:10]) and scores.held_out_mse == reconstruction_error(tiny_bundle, images[30:])
    assert scores.ratio_to_pixel_pca == pytest.approx(scores.held_out_mse / scores.pixel_pca_mse)


def test_the_history_is_a_table(tiny_bundle, tmp_path):
    history = load_bundle(tiny_bundle.path).history
    assert list(history) == ["epoch", "train_mse", "held_out_mse", "seconds"] and list(history.epoch) == [1, 2, 3]
    assert (history.train_mse > 0).all() and history.held_out_mse.iloc[-1] < history.held_out_mse.iloc[0]
    without = Bundle(tiny_bundle.z, encoder=tiny_bundle.encoder, decoder=tiny_bundle.decoder)
    assert without.history is None and load_bundle(without.save(tmp_path / "without")).history is None


def test_names_of_other_images_come_in_the_order_of_the_images(tiny_bundle, face_folder):
    from latentfaces.images import load_images
    images, names = load_images(face_folder, size=16, progress=False, return_names=True)
    names, backwards = np.asarray(names)[::-1], images[::-1]
    known = [name for name in names if name in set(tiny_bundle.names)]
    assert list(mismatched_images(tiny_bundle, np.roll(backwards, 1, axis=0), names)) == known
    assert len(mismatched_images(tiny_bundle, backwards, names)) == 0


def test_config_names_what_was_done(tiny_bundle, face_folder):
    from latentfaces.images import load_images
    from latentfaces.images import data_fingerprint
    config = json.loads((tiny_bundle.path / "config.json").read_text())
    assert {"size", "crop", "latent_dim", "data", "recipe", "training", "versions", "scores", "sha256"} <= set(config)
    assert config["sha256"] == {name: sha256(tiny_bundle.path / name) for name in FILES}
    source, fingerprint = config["data"].pop("source"), config["data"].pop("fingerprint")
    assert config["data"] == {"n_train": 108, "n_held_out": 12, "split_seed": 0} and "/" not in source
    assert fingerprint == data_fingerprint(*load_images(face_folder, size=16, progress=False, return_names=True))
    assert config["recipe"] == {"epochs": 3, "latent_dim": 4, "filters": [4, 8], "kernel_size": 4, "batch_norm": False, "batch_size": 16, "shift": 2,
                                "optimizer": "muon", "learning_rate": 0.003, "dtype": "float32", "random_state": 0,
                                "loss": "mean squared error", "mirrored": True}


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


def test_a_folder_with_other_files_is_left_alone(tiny_bundle, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="choose another folder"): tiny_bundle.save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_failed_save_leaves_the_old_bundle_and_no_rest(copy, tiny_bundle, monkeypatch):
    def full(*args, **kwargs): raise OSError(28, "No space left on device")
    monkeypatch.setattr("latentfaces.bundle.np.savez_compressed", full)
    with pytest.raises(OSError, match="No space left"): tiny_bundle.save(copy)
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]
    assert len(load_bundle(copy).z) == len(tiny_bundle.z)


def test_the_old_bundle_comes_back_when_the_new_one_cannot_take_its_place(copy, tiny_bundle, monkeypatch):
    rename = type(copy).rename
    def refuse(self, target):
        if self.name.endswith(".part"): raise OSError("no")
        return rename(self, target)
    monkeypatch.setattr(type(copy), "rename", refuse)
    with pytest.raises(OSError, match="no"): tiny_bundle.save(copy)
    assert [p.name for p in copy.parent.iterdir()] == ["copy"] and len(load_bundle(copy).z) == len(tiny_bundle.z)


def test_rows_of_a_large_array_are_encoded_batch_by_batch(tiny_bundle):
    from latentfaces.images import ImageSubset
    class Counting(ImageSubset):
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


def linked(tmp_path, folder):
    "A link on one disk to a folder on another."
    for name in ("here", "there"): (tmp_path / name).mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "there" / folder)
    return tmp_path / "here" / "link"


@pytest.mark.parametrize("before", ["empty", "bundle", "nothing"])
def test_a_bundle_is_saved_behind_a_link(before, tiny_bundle, tmp_path):
    link = linked(tmp_path, "real")
    if before == "empty": (tmp_path / "there" / "real").mkdir()
    if before == "bundle": shutil.copytree(tiny_bundle.path, tmp_path / "there" / "real")
    assert tiny_bundle.save(link) == tmp_path / "there" / "real" and len(load_bundle(link).z) == 108
    assert link.is_symlink() and [p.name for folder in ("here", "there") for p in (tmp_path / folder).iterdir()] == ["link", "real"]


@pytest.mark.parametrize("there", [True, False])
def test_a_training_behind_a_link(there, face_folder, tmp_path, can_train):
    link = linked(tmp_path, "real")
    if there: (tmp_path / "there" / "real").mkdir()
    train_bundle(face_folder, link, **TINY | {"epochs": 1})
    assert sorted(p.name for p in (tmp_path / "there" / "real").iterdir()) == sorted(["config.json", *FILES])
    assert link.is_symlink() and [p.name for folder in ("here", "there") for p in (tmp_path / folder).iterdir()] == ["link", "real"]
    with pytest.raises(FileExistsError, match="finished one"): train_bundle(face_folder, link, **TINY)


def test_a_folder_with_a_name_as_long_as_a_folder_may_have(tiny_bundle, tmp_path):
    assert len(load_bundle(tiny_bundle.save(tmp_path / ("\u6f22" * 85))).z) == 108


def test_measuring_shows_that_it_goes_on(tiny_bundle, capsys, can_train):
    images = synthetic_faces(40, size=16, random_state=1)[0]
    scores = [reconstruction_scores(tiny_bundle, images[:30], images[30:], progress) for progress in (True, False)]
    assert scores[0] == scores[1] and capsys.readouterr().err.count("measuring") > 0
    reconstruction_scores(tiny_bundle, images[:30], images[30:])
    assert capsys.readouterr().err == ""


def test_wrong_arrays_are_refused_with_a_sentence(tiny_bundle):
    with pytest.raises(ValueError, match=r"\(n, 4\)"): tiny_bundle.decode(np.zeros((3, 5)))
    with pytest.raises(ValueError, match="one row per z-point"): tiny_bundle.decode(np.zeros(4))
    with pytest.raises(ValueError, match="NaN"): tiny_bundle.decode(np.full((3, 4), np.nan))
    with pytest.raises(ValueError, match=r"\(n, 16, 16, 3\)"): tiny_bundle.encode(np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="z-points without one"): Bundle(np.zeros((3, 4))).decode(np.zeros((3, 4)))


def test_training_into_a_finished_bundle_is_refused(tiny_bundle, face_folder, can_train):
    with pytest.raises(FileExistsError, match="finished one"): train_bundle(face_folder, tiny_bundle.path, **TINY)


def test_the_pretrained_bundle_needs_nothing_to_be_used(tmp_path):
    "Also where only the base is installed."
    bundle = load_bundle()
    faces = bundle.decode(bundle.z[:3])
    assert faces.shape == (3, 64, 64, 3) and bundle.encode(faces).shape == (3, 256)
    again = load_bundle(bundle.save(tmp_path / "again"))
    for name in ("encoder", "decoder"): assert getattr(again, name).content == getattr(bundle, name).content
    np.testing.assert_array_equal(again.sampler.sample(5, random_state=0), bundle.sampler.sample(5, random_state=0))
    assert "<img" in again._repr_html_()


def test_the_tiny_bundle_that_is_kept_is_what_training_writes(tiny_bundle):
    "It stands in for it where Keras is not installed; `python tests/conftest.py` makes it again."
    kept = load_bundle(KEPT)
    assert kept.config.keys() == tiny_bundle.config.keys() and set(kept.config["sha256"]) == set(FILES)
    assert all(kept.config[key] == tiny_bundle.config[key] for key in ("format", "data", "recipe", "size", "latent_dim", "n_points"))


def test_the_pretrained_bundle_is_whole_and_small_enough():
    bundle = load_bundle()
    assert bundle.z.shape == (31111, 256) and len(set(bundle.names)) == 31111 and np.isfinite(bundle.z).all() and bundle.config["crop"] == 140
    assert sum(p.stat().st_size for p in bundle.path.iterdir()) < 30e6
    assert (bundle.path / "model_card.md").is_file()
    assert bundle.config["scores"]["held_out_mse"] <= 0.0026 and bundle.config["scores"]["ratio_to_pixel_pca"] <= 0.75
    assert bundle.attributes.shape == (31111, 40) and bundle.config["data"]["n_train"] == 31111


def test_the_pretrained_bundle_on_real_images(celeba):
    from latentfaces.images import load_images
    from latentfaces.labels import split_indices
    from latentfaces.images import ImageSubset
    from latentfaces.training import pixel_pca_error
    bundle = load_bundle()
    images, names = load_images(celeba, size=64, crop=140, return_names=True)
    train, held = split_indices(len(images), held_out=500, random_state=bundle.config["data"]["split_seed"])
    np.testing.assert_array_equal(np.asarray(names)[train], bundle.names[:8500])
    np.testing.assert_allclose(bundle.encode(images[train[:300]]), bundle.z[:300], atol=2e-2)
    assert len(mismatched_images(bundle, images, names)) == 0
    some = train[:300]
    rounded = np.clip(images[some].astype(int) + np.random.default_rng(0).integers(-2, 3, images[some].shape), 0, 255).astype(np.uint8)
    for changed, images_now in [(0, rounded), (300, np.roll(images[some], 1, axis=2)), (300, images[some, :, ::-1]), (300, images[some[::-1]])]:
        assert len(mismatched_images(bundle, images_now, np.asarray(names)[some])) == changed
    error = reconstruction_error(bundle, images[held])
    assert error == pytest.approx(bundle.config["scores"]["held_out_mse"], rel=1e-2)
    assert error <= 0.90 * pixel_pca_error(ImageSubset(images, train), images[held])


def test_a_training_may_start_from_a_bundle(keras, tiny_bundle, face_folder, tmp_path):
    "With one epoch at a step size of next to nothing the networks are those that it began with."
    recipe = dict(size=16, held_out=12, epochs=1, batch_size=16, learning_rate=1e-12, progress=False, align=False)
    again = train_bundle(face_folder, tmp_path / "again", start_from=tiny_bundle.path, **recipe)
    np.testing.assert_allclose(again.z, tiny_bundle.z, atol=1e-4)
    assert again.config["recipe"]["filters"] == [4, 8] and again.config["recipe"]["latent_dim"] == 4
    anew = train_bundle(face_folder, tmp_path / "anew", latent_dim=4, filters=(4, 8), **recipe)
    assert np.abs(anew.z - tiny_bundle.z).max() > 0.01


@pytest.mark.parametrize("other, said", [({"latent_dim": 5}, "latent_dim 5"), ({"filters": (4, 16)}, "filters"), ({"size": 32}, "size 32"),
                                         ({"kernel_size": 3}, "kernel_size 3"), ({"batch_norm": True}, "batch_norm True")])
def test_other_sizes_than_those_of_the_start_are_refused(keras, other, said, tiny_bundle, tmp_path):
    with pytest.raises(ValueError, match=said): train_bundle("nowhere", tmp_path / "new", start_from=tiny_bundle, **{"size": 16} | other)
    assert not (tmp_path / "new").exists()


def test_few_photographs_are_told_that_there_is_a_start(tmp_path):
    from latentfaces.bundle import _propose_start
    with pytest.warns(UserWarning, match="600 images are few .* --start-from pretrained"): _propose_start(64, 600, [tmp_path])
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size, n, source in [(32, 600, tmp_path), (64, 10_000, tmp_path), (64, 600, "synthetic:600")]:
            _propose_start(size, n, [source])


# ---------------------------------------------------------------- what a bundle of format 2 has beside its networks

def table(n=108):
    import pandas as pd
    return pd.DataFrame(np.random.default_rng(1).random((n, 11)) < 0.3, columns=list("abcdefghijk"))


def with_attributes(bundle, attributes, **changes):
    given = dict(z=bundle.z, names=bundle.names, encoder=bundle.encoder, decoder=bundle.decoder) | changes
    return Bundle(**given, attributes=attributes)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("n_columns", [0, 1, 8, 9, 11])
def test_attributes_there_and_back(tiny_bundle, tmp_path, names, n_columns):
    import pandas as pd
    bundle = with_attributes(tiny_bundle, table().iloc[:, :n_columns], **({} if names else {"names": None}))
    again = load_bundle(bundle.save(tmp_path / "a")).attributes
    pd.testing.assert_frame_equal(again, bundle.attributes)
    assert again.shape == (108, n_columns) and (again.to_numpy() == table().iloc[:, :n_columns].to_numpy()).all()
    assert list(again.index) == (list(tiny_bundle.names) if names else list(range(108))) and (again.dtypes == bool).all()
    assert load_bundle(tiny_bundle.path).attributes is None and Bundle(Z).attributes is None


def test_attributes_by_name_must_be_in_the_order_of_the_points(tiny_bundle):
    named = table().set_axis(tiny_bundle.names)
    assert with_attributes(tiny_bundle, named).attributes.equals(named)
    for wrong in (named[::-1], named.rename(index={tiny_bundle.names[5]: "other"})):
        with pytest.raises(ValueError, match="^expected attributes in the order of the images' names, [^\n]+loc.names.$"): with_attributes(tiny_bundle, wrong)


@pytest.mark.parametrize("wrong, error, message", [
    (lambda t: t[:50], ValueError, "50 rows"), (lambda t: t.astype(int), TypeError, "a table of true and false"), (lambda t: t.to_numpy(), TypeError, "got ndarray"),
    (lambda t: t["a"], TypeError, "got Series"), (lambda t: t.astype("boolean"), TypeError, "a table"), (lambda t: t.set_axis(list("aacdefghijk"), axis=1), ValueError, "a twice")])
def test_attributes_that_do_not_belong_are_refused(tiny_bundle, wrong, error, message):
    with pytest.raises(error, match=f"^expected [^\n]*{message}[^\n]*$"): with_attributes(tiny_bundle, wrong(table()))


def test_a_training_keeps_what_is_known_of_the_images(tmp_path, can_train):
    from latentfaces.drawn import synthetic_faces as draw
    trained = train_bundle("synthetic:120", tmp_path / "drawn", **TINY | {"epochs": 1})
    known = draw(120, size=16, random_state=0)[1]
    assert trained.attributes is not None and list(trained.attributes.index) == list(trained.names) and set(trained.attributes) == set(known)


@pytest.mark.parametrize("change", [dict(attributes=np.zeros((108, 1), np.uint8)), dict(attributes=np.zeros((107, 2), np.uint8)), dict(attributes=np.zeros((108, 2), bool)),
                                    dict(attributes=np.zeros(108, np.uint8)), dict(attribute_names=None)])
def test_damaged_attributes_are_refused(copy, tiny_bundle, change):
    arrays = dict(z=tiny_bundle.z, names=tiny_bundle.names, attributes=np.zeros((108, 2), np.uint8), attribute_names=np.array(list("abcdefghijk"))) | change
    np.savez(copy / "latents.npz", **{name: array for name, array in arrays.items() if array is not None})
    rewritten(copy)
    bundle = load_bundle(copy)
    with pytest.raises(ValueError, match="^expected [^\n]+get the bundle again$"): bundle.attributes


@pytest.mark.parametrize("missing", ["z", "names"])
def test_missing_arrays_are_named(copy, tiny_bundle, missing):
    np.savez(copy / "latents.npz", **{name: getattr(tiny_bundle, name) for name in ("z", "names") if name != missing})
    rewritten(copy)
    with pytest.raises(ValueError, match=f"^expected z, names in [^\n]+ got [^\n]*: get the bundle again$"): load_bundle(copy)


def test_sampler_and_moments_are_stored_as_they_would_be_fitted(tiny_bundle):
    from latentfaces.moments import Moments
    from latentfaces.sampling import EllipticSampler
    bundle, fitted = load_bundle(tiny_bundle.path), EllipticSampler().fit(tiny_bundle.z)
    assert "sampler.npz" in bundle.config["sha256"] and bundle.sampler.get_params() == fitted.get_params()
    np.testing.assert_array_equal(bundle.sampler.sample(50, random_state=3), fitted.sample(50, random_state=3))
    by_hand = Moments().partial_fit(tiny_bundle.z)
    for name in ("mean", "covariance"): np.testing.assert_allclose(getattr(bundle.moments, name), getattr(by_hand, name), rtol=1e-12, atol=1e-12)
    assert bundle.moments.count == 108


def test_the_stored_sampler_draws_the_faces_of_a_fitted_one(tiny_bundle, monkeypatch):
    from latentfaces.generation import generate_faces
    from latentfaces.sampling import EllipticSampler
    bundle, bare = load_bundle(tiny_bundle.path), Bundle(tiny_bundle.z, decoder=tiny_bundle.decoder)
    for sampler in (None, "elliptic", EllipticSampler(factor=0.3), "sequential"):
        for stored, fitted in zip(generate_faces(bundle, sampler, 5, 4), generate_faces(bare, sampler, 5, 4)): np.testing.assert_array_equal(stored, fitted)
    monkeypatch.setattr(EllipticSampler, "fit", lambda self, z: pytest.fail("fitted anew"))
    assert len(generate_faces(load_bundle(tiny_bundle.path), n=3, random_state=0)[0]) == 3
    with pytest.raises(pytest.fail.Exception): generate_faces(Bundle(tiny_bundle.z, decoder=tiny_bundle.decoder), n=3)


def test_a_sampler_whose_sum_was_not_looked_at_is_not_read(copy, tiny_bundle):
    config = json.loads((copy / "config.json").read_text())
    del config["sha256"]["sampler.npz"]
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "sampler.npz").write_bytes(b"from somewhere")
    np.testing.assert_array_equal(load_bundle(copy).sampler.sample(5, random_state=0), tiny_bundle.sampler.sample(5, random_state=0))


@pytest.mark.parametrize("options, n", [({"factor": 9.0}, 108), ({"n_components": 1}, 108), ({}, 100)])
def test_another_sampler_than_the_default_one_of_these_points_is_refused(copy, tiny_bundle, options, n):
    from latentfaces.sampling import EllipticSampler
    EllipticSampler(**options).fit(tiny_bundle.z[:n]).save(copy / "sampler.npz")
    rewritten(copy)
    with pytest.raises(ValueError, match="^expected the default sampler, [^\n]+get the bundle again$"): load_bundle(copy).sampler


def test_a_sampler_that_was_changed_in_memory_is_not_what_is_saved(tiny_bundle, tmp_path):
    bundle = load_bundle(tiny_bundle.path)
    bundle.sampler.set_params(factor=5.0)
    np.testing.assert_array_equal(load_bundle(bundle.save(tmp_path / "a")).sampler.sample(9, 0), tiny_bundle.sampler.sample(9, 0))


@pytest.mark.parametrize("z", [np.ones((1, 4)), np.ones((2, 4)), np.zeros((9, 4))])
def test_points_that_nothing_can_be_drawn_from_are_saved_without_a_sampler(tiny_bundle, tmp_path, z):
    bundle = load_bundle(Bundle(z, encoder=tiny_bundle.encoder, decoder=tiny_bundle.decoder).save(tmp_path / "few"))
    assert sorted(p.name for p in bundle.path.iterdir()) == sorted({*FILES, "config.json"} - {"sampler.npz"})
    np.testing.assert_allclose(bundle.moments.mean, z[0])
    assert bundle.decode(bundle.z).shape == (len(z), 16, 16, 3) and "<img" not in bundle._repr_html_()
    with pytest.raises(ValueError): bundle.sampler


# ---------------------------------------------------------------- one source of weights

@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("onnx")
    return pytest.importorskip("keras")


def keras_answers(model, given):
    import keras
    return keras.ops.convert_to_numpy(model(given, training=False))


def test_keras_models_are_the_networks(keras, tiny_bundle, tmp_path):
    encoder, decoder = load_bundle(tiny_bundle.path).keras_models()
    images = synthetic_faces(9, size=16, random_state=9)[0] / np.float32(255)
    np.testing.assert_allclose(keras_answers(encoder, images), tiny_bundle.encode(images), atol=1e-6)
    np.testing.assert_allclose(keras_answers(decoder, tiny_bundle.z[:9]), tiny_bundle.decode(tiny_bundle.z[:9]), atol=1e-6)
    again = load_bundle(Bundle(tiny_bundle.z, encoder=encoder, decoder=decoder).save(tmp_path / "again"))
    for name in ("encoder", "decoder"):
        models = [dict(zip(("encoder", "decoder"), bundle.keras_models()))[name] for bundle in (tiny_bundle, again)]
        for ours, theirs in zip(*(model.get_weights() for model in models), strict=True): np.testing.assert_array_equal(ours, theirs)


def test_keras_models_go_on_learning(keras, tiny_bundle):
    encoder, _ = tiny_bundle.keras_models()
    images, z = synthetic_faces(20, size=16, random_state=9)[0] / np.float32(255), np.zeros((20, 4), np.float32)
    encoder.compile("adam", "mse")
    before = keras_answers(encoder, images)
    encoder.fit(images, z, epochs=2, verbose=0)
    assert (keras_answers(encoder, images) ** 2).mean() < (before ** 2).mean()
    np.testing.assert_allclose(tiny_bundle.encode(images), before, atol=1e-5)


def test_functions_do_not_become_keras_models(tiny_bundle):
    with pytest.raises(TypeError, match="^expected as encoder a network that can become a Keras model, got function[^\n]+$"):
        Bundle(tiny_bundle.z, encoder=lambda x: x, decoder=tiny_bundle.decoder).keras_models()


# ---------------------------------------------------------------- format 1

@pytest.fixture
def old(keras, tiny_bundle, tmp_path):
    "The tiny bundle as the first format had it, and its two Keras models."
    folder = tmp_path / "old"
    folder.mkdir()
    models = tiny_bundle.keras_models()
    for name, model in zip(("encoder", "decoder"), models): model.save(folder / f"{name}.keras")
    np.savez_compressed(folder / "latents.npz", z=tiny_bundle.z, names=tiny_bundle.names)
    shutil.copy(tiny_bundle.path / "history.csv", folder)
    config = {name: value for name, value in tiny_bundle.config.items() if name != "sha256"}
    config |= {"format": 1, "sha256": {p.name: sha256(p) for p in folder.iterdir()}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder, models


def test_the_first_format_is_read_and_rewritten(old, tiny_bundle):
    folder, (encoder, decoder) = old
    bundle = load_bundle(folder)
    images, z = synthetic_faces(9, size=16, random_state=9)[0] / np.float32(255), tiny_bundle.z[:9]
    np.testing.assert_allclose(bundle.decode(z), keras_answers(decoder, z), atol=1e-6)
    np.testing.assert_allclose(bundle.encode(images), keras_answers(encoder, images), atol=1e-6)
    assert bundle.attributes is None and bundle.sampler.n_features_in_ == 4 and len(bundle.history) == 3
    assert bundle.save(folder) == folder and sorted(p.name for p in folder.iterdir()) == sorted([*FILES, "config.json"])
    new = load_bundle(folder)
    assert new.config["format"] == 2 and new.config["scores"] == tiny_bundle.config["scores"]
    np.testing.assert_array_equal(new.z, tiny_bundle.z)
    np.testing.assert_allclose(new.decode(z), bundle.decode(z), atol=1e-6)  # the weights had been rounded before
    np.testing.assert_allclose(new.encode(images), bundle.encode(images), atol=1e-5)
    assert new.history.equals(bundle.history) and [p.name for p in folder.parent.iterdir()] == ["old"]


def test_a_damaged_network_of_the_first_format_is_refused(old):
    folder, _ = old
    (folder / "decoder.keras").write_bytes(b"no model")
    with pytest.raises(ValueError, match="damaged decoder.keras"): load_bundle(folder)
    config = json.loads((folder / "config.json").read_text())
    config["sha256"]["decoder.keras"] = sha256(folder / "decoder.keras")
    (folder / "config.json").write_text(json.dumps(config))
    bundle = load_bundle(folder)
    with pytest.raises(ValueError, match="^expected a Keras model in [^\n]+$"): bundle.decode(bundle.z)


@pytest.mark.parametrize("value", [[2], {"a": 2}, None, "two"])
@pytest.mark.parametrize("name", ["format", "size", "latent_dim"])
def test_what_is_no_number_in_the_config_is_refused(copy, name, value):
    rewritten(copy, **{name: value})
    with pytest.raises(ValueError, match="^expected the settings of a bundle in [^\n]+ got a damaged file"): load_bundle(copy)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_a_network_of_a_stranger_is_refused_when_it_is_used(copy, name):
    "With checksums that are right: whoever puts a bundle together can count as well."
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Relu", ["x"], ["y"], domain="evil")
    ends = [[onnx.helper.make_tensor_value_info(end, 1, ["n", 4])] for end in "xy"]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", *ends)), copy / f"{name}.onnx")
    rewritten(copy)
    bundle = load_bundle(copy)
    with pytest.raises(ValueError, match="^expected an ONNX network of standard operators [^\n]+ evil[^\n]+$"): getattr(bundle, name)
    assert len(bundle.z) == 108


def test_a_folder_that_cannot_be_written_is_read(copy):
    for path in (*copy.iterdir(), copy): path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        bundle = load_bundle(copy)
        assert bundle.decode(bundle.z[:2]).shape == (2, 16, 16, 3) and bundle.sampler and bundle.attributes is None and len(bundle.history) == 3
    finally: copy.chmod(0o755)


# ---------------------------------------------------------------- several sources

QUICK = dict(size=16, held_out=4, epochs=1, batch_size=16, latent_dim=4, filters=(4, 8), progress=False, align=False)


def pictures(folder, n, seed, names="{:03d}.png"):
    "A folder of noisy pictures."
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(n): Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / names.format(i))
    return folder


def test_several_sources_follow_one_another_and_the_first_is_held_out(keras, tmp_path):
    first, second = pictures(tmp_path / "a", 40, 0, "a{:03d}.png"), pictures(tmp_path / "b", 30, 1, "b{:03d}.png")
    alone, both = (train_bundle(source, tmp_path / out, **QUICK) for source, out in [(first, "one"), ([first, second], "two")])
    assert list(both.names[:36]) == list(alone.names) and list(both.names[36:]) == [f"b{i:03d}.png" for i in range(30)]
    data = both.config["data"]
    assert (data["source"], data["n_train"], data["n_held_out"]) == (["a", "b"], 66, 4) and alone.config["data"]["source"] == "a"
    again = train_bundle([first], tmp_path / "list", **QUICK)
    assert again.config["data"] == alone.config["data"]
    np.testing.assert_array_equal(again.z, alone.z)


def test_names_that_two_sources_share_get_their_sources_in_front(keras, tmp_path):
    sources = [pictures(tmp_path / name, 20, seed) for seed, name in enumerate("ab")]
    bundle = train_bundle(sources, tmp_path / "out", **QUICK)
    assert {name.split("/")[0] for name in bundle.names} == {"a", "b"} and len(set(bundle.names)) == 38
    with pytest.raises(ValueError, match="different names"): train_bundle([sources[0], sources[0]], tmp_path / "other", **QUICK)
    assert not (tmp_path / "other").exists()


def test_attributes_of_several_sources(keras, tmp_path):
    sources = [pictures(tmp_path / name, 20, seed, name + "{:03d}.png") for seed, name in enumerate("ab")]
    columns = {"a": "Male Smiling", "b": "Smiling Young"}
    for folder in sources:
        rows = "\n".join(f"{path.name} {1 if i % 3 else -1} -1" for i, path in enumerate(sorted(folder.glob("*.png"))))
        (folder / "list_attr_celeba.txt").write_text(f"20\n{columns[folder.name]}\n{rows}\n")
    bundle = train_bundle(sources, tmp_path / "out", **QUICK)
    assert list(bundle.attributes) == ["Smiling"] and not bundle.attributes.Smiling[:18].any()
    assert list(bundle.attributes.Smiling[18:]) == [i % 3 > 0 for i in range(20)]
    (sources[1] / "list_attr_celeba.txt").unlink()
    assert train_bundle(sources, tmp_path / "without", **QUICK).attributes is None


def test_a_partition_of_celeba(keras, tmp_path):
    folder = pictures(tmp_path / "a", 40, 0)
    rows = [f"{i:03d}.png {2 if i % 4 == 3 else i % 2}" for i in range(40)]
    (folder / "list_eval_partition.txt").write_text("\n".join(rows))
    bundle = train_bundle(folder, tmp_path / "out", partition="train", **QUICK | {"held_out": 2})
    assert len(bundle.names) == 18 and all(int(name[:3]) % 2 == 0 for name in bundle.names)
    assert bundle.config["data"]["partition"] == "train" and bundle.config["data"]["n_held_out"] == 2
    (folder / "list_eval_partition.txt").write_text("\n".join(row[:-1] + "0" for row in rows))
    with pytest.raises(ValueError, match="expected images of the partition valid"): train_bundle(folder, tmp_path / "none", partition="valid", **QUICK)
    with pytest.raises(ValueError, match='"train", "valid" or "test"'): train_bundle(folder, tmp_path / "none", partition="all", **QUICK)
    (folder / "list_eval_partition.txt").unlink()
    with pytest.raises(FileNotFoundError, match="list_eval_partition"): train_bundle(folder, tmp_path / "none", partition="train", **QUICK)
    assert not (tmp_path / "none").exists()


def test_sources_of_one_frame_only(keras, tmp_path):
    folder = pictures(tmp_path / "a", 20, 0)
    with pytest.raises(ValueError, match="140 for synthetic:100, 178 for a: name one crop"):
        train_bundle(["synthetic:100", folder], tmp_path / "out", **QUICK)
    with pytest.raises(ValueError, match="empty list"): train_bundle([], tmp_path / "out", **QUICK)
    bundle = train_bundle(["synthetic:100", folder], tmp_path / "out", crop=140, **QUICK)
    assert bundle.config["crop"] == 140 and len(bundle.z) == 116


@pytest.mark.parametrize("config, needs", [({"align": None, "crop": 140}, True), ({"align": None, "crop": 178}, True), ({"crop": 178}, False), ({"crop": 140}, True),
                                           ({"align": False, "crop": 140}, False), ({"align": "cascade", "crop": 178}, "cascade")])
def test_who_is_aligned_for_a_bundle(config, needs, tmp_path):
    from latentfaces.bundle import _alignment_for
    bundle = Bundle(np.zeros((3, 2)), config=config)
    assert _alignment_for(bundle, pictures(tmp_path / "a", 3, 0)) == needs
    assert _alignment_for(bundle, "synthetic:3") == (config.get("align") or False)


def test_sources_that_nothing_tells_apart_are_refused_before_anything_is_decoded(can_train, tmp_path, monkeypatch):
    from latentfaces.bundle import images_for
    first, second = (pictures(tmp_path / place / "same", 4, seed) for seed, place in enumerate("ab"))
    bundle = Bundle(np.zeros((3, 2)), encoder=lambda x: np.zeros((len(x), 2)), config={"size": 16, "crop": 178, "align": False})
    def decoded(*args, **kwargs): raise AssertionError("an image was decoded")
    monkeypatch.setattr("latentfaces.bundle.load_images", decoded)
    for call in (lambda: train_bundle([first, second], tmp_path / "out", **QUICK), lambda: images_for(bundle, [first, second])):
        with pytest.raises(ValueError, match="expected sources with images or folders of different names"): call()
    with pytest.raises(AssertionError, match="an image was decoded"): images_for(bundle, [first, first.rename(tmp_path / "other")][1:])


def test_images_of_several_sources_are_named_as_in_the_training(keras, tmp_path):
    from latentfaces.bundle import images_for
    sources = [pictures(tmp_path / name, 20, seed) for seed, name in enumerate("ab")]
    bundle = train_bundle(sources, tmp_path / "out", **QUICK)
    images, names = images_for(bundle, sources, progress=False)
    assert set(bundle.names) < set(names) and not len(mismatched_images(bundle, images, names))


def test_what_is_framed_already_is_encoded_as_it_is(tmp_path):
    "For a bundle of CelebA's frame: not cut again, where nobody shall look for faces."
    from latentfaces.bundle import images_for
    bundle, folder = Bundle(np.zeros((3, 2)), config={"align": None, "crop": 140, "size": 20}), pictures(tmp_path / "a", 3, 0)
    images, names = images_for(bundle, folder, align=False, progress=False)
    np.testing.assert_array_equal(images[0], np.asarray(Image.open(folder / names[0])))
    own = Bundle(np.zeros((3, 2)), config={"align": False, "crop": 89, "size": 10})
    np.testing.assert_array_equal(images_for(own, folder, align=False, progress=False)[0], images_for(own, folder, progress=False)[0])


def test_the_first_of_a_partition(keras, tmp_path):
    folder = pictures(tmp_path / "a", 40, 0)
    (folder / "list_eval_partition.txt").write_text("\n".join(f"{i:03d}.png {i // 20}" for i in range(40)))
    bundle = train_bundle(folder, tmp_path / "out", partition="valid", limit=15, **QUICK | {"held_out": 1})
    assert len(bundle.names) == 14 and min(bundle.names) >= "020"


def test_an_image_without_attributes_is_named(keras, tmp_path):
    folder = pictures(tmp_path / "a", 20, 0)
    (folder / "list_attr_celeba.txt").write_text("19\nSmiling Young\n" + "\n".join(f"{i:03d}.png 1 -1" for i in range(19)))
    with pytest.warns(UserWarning, match="attributes are left out: 1 of 20 images"): bundle = train_bundle(folder, tmp_path / "out", **QUICK)
    assert bundle.attributes is None


def test_a_start_brings_its_sizes_and_a_list_is_as_good_as_a_tuple(keras, tiny_bundle, face_folder, tmp_path):
    recipe = dict(held_out=12, epochs=1, batch_size=16, progress=False, align=False)
    bundle = train_bundle(face_folder, tmp_path / "out", start_from=tiny_bundle, filters=[4, 8], **recipe)
    assert bundle.config["size"] == 16 and bundle.config["recipe"]["learning_rate"] == 0.001
    again = train_bundle(face_folder, tmp_path / "fast", start_from=tiny_bundle, learning_rate=0.01, crop=[178, 0, 0], **recipe)
    assert again.config["recipe"]["learning_rate"] == 0.01 and again.config["crop"] == [178, 0, 0]


def test_a_place_that_cannot_be_taken_is_refused_before_the_training(keras, tiny_bundle, tmp_path, monkeypatch):
    place = tmp_path / "mounted"
    place.mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: str(path) == str(place))
    for work in (lambda: tiny_bundle.save(place), lambda: train_bundle("nowhere", place)):
        with pytest.raises(PermissionError, match="which cannot be moved: choose one inside it"): work()
    assert not list(place.iterdir())


@pytest.mark.parametrize("names", [["history.csv"], ["history.csv", "film.mkv.part"], ["config.json", "film.mkv.part"]])
def test_files_of_others_stay(tiny_bundle, tmp_path, names):
    for name in names: (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="other files"): tiny_bundle.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_model_card_goes_with_its_bundle(copy):
    (copy / "model_card.md").write_text("who, and from what")
    load_bundle(load_bundle(copy).save(copy))
    assert (copy / "model_card.md").read_text() == "who, and from what"


@pytest.mark.parametrize("content", [b"PK", b"", b"PK\x03\x04 and so on"])
def test_damaged_points_with_the_right_sum_are_one_sentence(copy, content):
    (copy / "latents.npz").write_bytes(content)
    rewritten(copy)
    with pytest.raises(ValueError, match="^expected [^\n]+get the bundle again$"): load_bundle(copy)


def test_a_list_of_images_is_encoded(tiny_bundle, face_folder):
    from latentfaces.images import load_images
    images = load_images(face_folder, size=16, progress=False)
    np.testing.assert_array_equal(tiny_bundle.encode([images[0], images[1]]), tiny_bundle.encode(images[:2]))
