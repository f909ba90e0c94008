"The networks that see: what ships, networks of your own, attributes by name, the same seed."
import shutil
import zipfile
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentfaces.bundle import load_bundle, sha256
from latentfaces.drawn import synthetic_faces
from latentfaces.evaluation import Reference, load_reference, reference_for
from latentfaces.features import FEATURES, Features, build_attribute_network, load_features, shipped_config, train_attribute_network
from latentfaces.metrics import frechet_distance
from latentfaces import features as features_module
from latentfaces.networks import Network


def script_of(name):
    "A script of benchmarks/ as a module."
    spec = spec_from_file_location(name, Path(__file__).parents[1] / "benchmarks" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_features_are_small_whole_and_of_the_pretrained_bundle():
    files = sorted(path.name for path in FEATURES.iterdir())
    assert files == ["attributes.onnx", "config.json", "model_card.md", "onet.json", "onet.onnx", "onet_reference.npz", "reference.npz"]
    assert all((FEATURES / name).stat().st_size < 5e6 for name in files)
    reference = load_reference()
    assert list(reference.names) == list(load_bundle().names[:8500]) and reference.images == ()
    assert reference.train.shape == (8500, 128) and reference.held_out.shape == (500, 128) and reference.attributes.shape == (8500, 40)


def test_the_shipped_reference_on_real_images(celeba):
    from latentfaces.images import load_images
    from latentfaces.labels import load_attributes
    images, names = load_images(celeba, limit=600, return_names=True, progress=False)
    reference, features = load_reference(), Features()
    kept = np.isin(names, reference.names)
    found, probabilities = features.predict(images[kept])
    row = {name: i for i, name in enumerate(reference.names)}
    rows = [row[name] for name in np.asarray(names)[kept]]
    assert np.abs(found - reference.train[rows]).max() < 0.02
    assert ((probabilities > 0.5).to_numpy() == reference.attributes.to_numpy()[rows]).mean() > 0.999
    truth = load_attributes(celeba).loc[np.asarray(names)[~kept]].values
    assert ((features.attributes(images[~kept]) > 0.5).to_numpy() == truth).mean() > 0.86


def test_features_do_not_depend_on_batches_type_or_company():
    faces, _ = synthetic_faces(258, size=64)
    features = Features()
    whole = features(faces)
    assert np.abs(features(faces[:3]) - whole[:3]).max() < 1e-4
    assert np.abs(features(faces / np.float32(255)) - whole).max() < 1e-4
    assert features(faces[:2, ::2, ::2]).shape == (2, 128)


def test_networks_of_your_own(tmp_path):
    import keras
    maps = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(5, 3)])
    maps.save(tmp_path / "maps.keras")
    faces, _ = synthetic_faces(4, size=16)
    zero_to_one, wide = load_features(tmp_path / "maps.keras"), load_features(tmp_path / "maps.keras", (-1, 1))
    kernel, bias = (np.asarray(w) for w in maps.get_weights())
    by_hand = sum((faces / 255.0)[:, i:14 + i, j:14 + j] @ kernel[i, j] for i in range(3) for j in range(3)).mean(axis=(1, 2)) + bias
    assert zero_to_one(faces) == pytest.approx(by_hand, abs=1e-5) and zero_to_one.predict(faces).attributes is None
    assert wide(faces) == pytest.approx(2 * by_hand - kernel.sum(axis=(0, 1, 2)) - bias, abs=1e-5)
    (tmp_path / "broken.keras").write_bytes(b"no model")
    with pytest.raises(ValueError, match="does not load"): Features(tmp_path / "broken.keras")
    with pytest.raises(ValueError, match="takes images"): Features(keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)]))


def test_an_onnx_file_of_your_own(tmp_path):
    import keras
    vectors = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dense(3)])
    path = Network.from_keras(vectors).save(tmp_path / "vectors.onnx")
    faces, _ = synthetic_faces(4, size=32)
    plain = Features(vectors)(faces)
    np.testing.assert_allclose(load_features(path)(faces), plain, atol=2e-2)
    wide = load_features(path, (-1, 1))(faces)
    assert np.abs(wide - plain).max() > 0.1
    np.testing.assert_allclose(wide, Features(vectors, (-1, 1))(faces), atol=2e-2)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match="^expected a network in the ONNX format in [^\n]+broken.onnx[^\n]+$"): Features(tmp_path / "broken.onnx")
    with pytest.raises(FileNotFoundError, match="not there"): Features(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match="takes images"): Features(Network.from_keras(keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)])))
    with pytest.raises(ValueError, match="takes images"): Features(lambda images: images)


def test_several_answers_of_an_onnx_file_are_the_model_s_own(tmp_path):
    network = build_attribute_network(16, 2, 3, (4, 8))
    path = Network.from_keras(network, float16=False).save(tmp_path / "own.onnx")
    faces, _ = synthetic_faces(5, size=16)
    ours, theirs = (Features(each, attribute_names=["hat", "nose"]).predict(faces) for each in (path, network))
    np.testing.assert_allclose(ours.features, theirs.features, atol=1e-5)
    np.testing.assert_allclose(ours.attributes, theirs.attributes, atol=1e-5)


def test_attributes_have_names_and_come_from_one_pass():
    faces, _ = synthetic_faces(5, size=64)
    features = Features()
    both = features.predict(faces)
    pd.testing.assert_frame_equal(both.attributes, features.attributes(faces))
    np.testing.assert_array_equal(both.features, features(faces))
    assert tuple(both.attributes) == features.attribute_names and "Smiling" in both.attributes
    assert both.attributes.shape == (5, 40) and both.attributes.to_numpy().min() >= 0 and both.attributes.to_numpy().max() <= 1


def test_a_network_of_your_own_may_answer_by_name_or_not():
    faces, _ = synthetic_faces(4, size=16)
    network = build_attribute_network(16, 2, 3, (4, 8))
    named = Features(network, attribute_names=["hat", "nose"])
    assert list(named.attributes(faces)) == ["hat", "nose"]
    with pytest.raises(ValueError, match="^expected [^\n]+ only gives vectors[^\n]+$"): Features(network).attributes(faces)
    for names in (["hat"], ["hat", "nose", "beard"]):
        with pytest.raises(ValueError, match="^expected [^\n]+ got [13] names and outputs of shapes [^\n]+$"): Features(network, attribute_names=names)(faces)
    import keras
    plain = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="got 1 names"): Features(plain, attribute_names=["hat"]).attributes(faces)
    answers_only = keras.Model(network.input, {"attributes": network.output["attributes"]})
    with pytest.raises(ValueError, match="^expected a network with the output .features."): Features(answers_only)(faces)


@pytest.mark.skipif(bool(find_spec("dlib")), reason="dlib is there")
def test_dlib_is_an_extra():
    with pytest.raises(ImportError, match="pip install 'latentfaces.judges.'"): load_features("dlib")


@pytest.mark.skipif(not (find_spec("dlib") and find_spec("face_recognition_models")), reason="dlib is not there")
def test_dlib_tells_a_face_from_others_as_far_as_a_mirror_image():
    faces, features = load_bundle().decode(load_bundle().z[:4]), load_features("dlib")
    found, mirrored = features(faces), features(faces[:, :, ::-1])
    assert found.shape == (4, 128) and not features.is_shipped
    assert (np.linalg.norm(found - mirrored, axis=1) < np.linalg.norm(found[:, None] - found, axis=2)[np.triu_indices(4, 1)].min()).all()


# ---------------------------------------------------------------- O-Net

def test_onet_sees_the_central_pixels_as_they_are():
    faces = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    features = load_features("onet")
    by_hand = Network(FEATURES / "onet.onnx")((faces[:, 8:56, 8:56].astype(np.float32) - 127.5) / 128)
    np.testing.assert_allclose(features(faces), by_hand, atol=1e-4)
    assert features.is_shipped and features.predict(faces).attributes is None
    assert features(faces[:, ::2, ::2]).shape == (3, 256)


def test_onet_does_not_care_for_the_border_but_for_the_face():
    faces = load_bundle().decode(load_bundle().z[:3])
    features, border, turned = load_features("onet"), faces.copy(), faces.copy()
    border[:, :8] = 0
    turned[:, 8:56] = turned[:, 8:56][:, ::-1]
    np.testing.assert_array_equal(features(border), features(faces))
    assert np.linalg.norm(features(turned) - features(faces), axis=1).min() > 0.1


def test_the_reference_of_onet_is_told_apart_by_names():
    bundle, features = load_bundle(), load_features("onet")
    reference, own = reference_for(bundle, None, features), reference_for(bundle)
    assert reference.train.shape[1] == 256 and reference.attributes is None and reference.crop == own.crop
    assert len(reference.names) == len(reference.train) and set(reference.names) <= set(bundle.names)
    assert len(reference.train) + len(reference.held_out) == 2500
    assert frechet_distance(reference.train[::2], reference.train[1::2]) < 0.05 * reference.train.var(axis=0).sum()
    with pytest.raises(ValueError, match="pass data"): reference_for(bundle, None, Features(build_attribute_network(16, 2, 3, (4, 8))))


def test_the_reference_of_onet_on_real_images(celeba):
    from latentfaces.images import load_images
    images, names = load_images(celeba, limit=300, return_names=True, progress=False)
    reference = reference_for(load_bundle(), None, load_features("onet"))
    there = {name: vector for name, vector in zip(reference.names, reference.train)}
    rows = [i for i, name in enumerate(names) if name in there]
    assert rows and np.abs(load_features("onet")(images[rows]) - [there[names[i]] for i in rows]).max() < 0.02


def test_a_changed_file_of_onet_is_noticed(monkeypatch, tmp_path):
    for path in FEATURES.iterdir(): shutil.copy(path, tmp_path)
    monkeypatch.setattr("latentfaces.features.FEATURES", tmp_path)
    monkeypatch.setattr("latentfaces.features.shipped_config", shipped_config.__wrapped__)
    load_features("onet")
    (tmp_path / "onet.onnx").write_bytes(b"other")
    with pytest.raises(ValueError, match="a changed or missing onet.onnx: install latentfaces again"): load_features("onet")


def onet_weights():
    "Random weights in the shapes and the order of the package mtcnn."
    rng = np.random.default_rng(0)
    shapes = []
    for size, before, after in ((3, 3, 32), (3, 32, 64), (3, 64, 64), (2, 64, 128)): shapes += [(size, size, before, after), (after,), (1, 1, after)]
    shapes += [(1152, 256), (256,), (256,), (256, 4), (4,), (256, 10), (10,), (256, 2), (2,)]
    return [(rng.standard_normal(shape) / 8).astype(np.float32) for shape in shapes]


def test_onet_is_converted_in_its_own_order_of_axes(can_train, monkeypatch):
    script = script_of("convert_onet")
    weights = onet_weights()
    content = script.converted(weights)
    assert Network(content).input_shape == (None, 48, 48, 3) and len(content) < 8e5
    named = script.named_layers
    def without(weights):
        nodes, arrays = named(weights)
        next(node for node in nodes if node.output[0] == "flat").input[0] = "prelu4"
        return [node for node in nodes if node.output[0] != "by_columns"], arrays
    monkeypatch.setattr(script, "named_layers", without)
    with pytest.raises(ValueError, match="was the order changed"): script.converted(weights)


def test_onet_is_read_from_a_wheel_and_from_a_folder(can_train, tmp_path, monkeypatch):
    import joblib
    script, path = script_of("convert_onet"), tmp_path / "mtcnn/assets/weights/onet.lz4"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file: joblib.dump(onet_weights(), file)
    with zipfile.ZipFile(tmp_path / "mtcnn.whl", "w") as wheel: wheel.write(path, script.WEIGHTS)
    with pytest.raises(ValueError, match="which is not unpacked"): script.read_weights(tmp_path)
    monkeypatch.setattr(script, "SUM", sha256(path))
    for source in (tmp_path, tmp_path / "mtcnn.whl"):
        for a, b in zip(script.read_weights(source), onet_weights(), strict=True): np.testing.assert_array_equal(a, b)


def test_a_changed_file_is_noticed(monkeypatch, tmp_path):
    for path in FEATURES.iterdir(): shutil.copy(path, tmp_path)
    monkeypatch.setattr("latentfaces.features.FEATURES", tmp_path)
    assert shipped_config.__wrapped__()["crop"] == 140
    (tmp_path / "reference.npz").write_bytes(b"other")
    with pytest.raises(ValueError, match="a changed or missing reference.npz: install latentfaces again"): shipped_config.__wrapped__()


@pytest.mark.parametrize("values", [np.zeros((5, 3)), np.zeros(96), np.zeros((96, 3))])
def test_unequal_lengths_and_too_few_images(values):
    with pytest.raises(ValueError, match="a row of attributes for each"): train_attribute_network(synthetic_faces(96, size=16)[0], values, batch_size=97)


def test_the_same_seed_trains_the_same_network():
    faces, known = synthetic_faces(96, size=16)
    first, again, other = (train_attribute_network(faces, known.values, epochs=1, batch_size=32, random_state=seed, n_features=4, filters=(4, 8)) for seed in (0, 0, 1))
    outputs = [np.asarray(network(faces / np.float32(255))["features"]) for network in (first, again, other)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.allclose(outputs[0], outputs[2])


@pytest.fixture(scope="module")
def script():
    "The script that writes what ships."
    return script_of("train_features")


@pytest.fixture(scope="module")
def small():
    "A tiny network, and a reference of as tiny features."
    rng, names = np.random.default_rng(0), np.array([f"{i}.jpg" for i in range(30)])
    answers = pd.DataFrame(rng.random((30, 11)) < 0.3, columns=list("abcdefghijk"))
    network = Network.from_keras(build_attribute_network(16, 11, 6, (4, 8)))
    return network, Reference(rng.random((30, 6)), rng.random((5, 6)), names, answers, 0.9, 0.02, (), 140)


def test_saved_features_are_read_again(tmp_path, script, small, monkeypatch):
    network, reference = small
    script.save_features(tmp_path, network, reference, {"recipe": {}})
    monkeypatch.setattr("latentfaces.features.FEATURES", tmp_path)
    monkeypatch.setattr("latentfaces.evaluation.FEATURES", tmp_path)
    monkeypatch.setattr("latentfaces.features.shipped_config", shipped_config.__wrapped__)
    monkeypatch.setattr("latentfaces.evaluation.shipped_config", shipped_config.__wrapped__)
    again = load_reference.__wrapped__()
    assert np.abs(again.train - reference.train).max() < 1e-3 and list(again.names) == list(reference.names)
    pd.testing.assert_frame_equal(again.attributes, reference.attributes)
    assert (again.face_rate, again.sharpness, again.crop, again.images) == (0.9, 0.02, 140, ())
    assert list(Features().attributes(synthetic_faces(2, size=16)[0])) == list("abcdefghijk")


def test_features_are_saved_whole_or_not_at_all(tmp_path, script, small):
    network, reference = small
    script.save_features(tmp_path, network, reference, {})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    class Full:
        @property
        def content(self): raise OSError("No space left on device")
    with pytest.raises(OSError, match="No space left"): script.save_features(tmp_path, Full(), reference, {})
    with pytest.raises(TypeError): script.save_features(tmp_path, network, reference._replace(attributes=None), {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# ---------------------------------------------------------------- dlib's network, from its file

def dlib_file(path, rng):
    "A file as dlib writes it, with random weights: arrays behind their sizes, other bytes between them."
    shapes = [(32 * (3 * 49 + 1),), (64,)]
    taken = 32
    for given, strides in {32: 3, 64: 4, 128: 3, 256: 4}.items():
        for _ in range(strides):
            for before in (taken, given): shapes += [(given * (9 * before + 1),), (2 * given,)]
            taken = given
    content = b"\x01\x05dlib"
    for shape in [*shapes, (256, 128)]:
        sizes = (2, *shape, *(1,) * (4 - len(shape)))
        head = b"".join(bytes([(n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "little") for n in sizes)
        values = rng.normal(0, 0.05, shape).astype("<f4")
        if len(shape) == 1 and shape[0] in (64, 128, 256, 512): values = values + np.repeat(np.float32([1, 0]), shape[0] // 2)
        content += head + values.astype("<f4").tobytes() + bytes(rng.integers(0, 256, 40, np.uint8))
    path.write_bytes(content)
    return path


def test_the_network_in_dlibs_file_is_read_and_run(tmp_path):
    "The numbers are those of the graph whose vectors, with dlib's own weights, are dlib's to the seventh digit."
    rng = np.random.default_rng(0)
    network = Network(features_module._dlib_network(dlib_file(tmp_path / "network.dat", rng)))
    assert network.input_shape == (None, 150, 150, 3) and network.output_shape == (None, 128)
    found = network(rng.integers(0, 256, (3, 150, 150, 3)).astype(np.float32))
    assert found.shape == (3, 128) and np.isfinite(found).all() and np.ptp(found, axis=0).max() > 0
    np.testing.assert_allclose(found[0, :4], GOLDEN, rtol=1e-3)


GOLDEN = [26.114351, -58.590137, 8.201788, -18.603428]


def test_another_file_than_dlibs_is_refused(tmp_path):
    (tmp_path / "other.dat").write_bytes(bytes(5000))
    with pytest.raises(ValueError, match="^expected the face network of dlib in [^\n]+ --force-reinstall face_recognition_models$"):
        features_module._dlib_network(tmp_path / "other.dat")
    whole = dlib_file(tmp_path / "cut.dat", np.random.default_rng(0))
    whole.write_bytes(whole.read_bytes()[:9000])
    with pytest.raises(ValueError, match="expected the face network of dlib"): features_module._dlib_network(whole)


@pytest.mark.skipif(not (find_spec("dlib") and find_spec("face_recognition_models")), reason="dlib is not there")
def test_the_vectors_are_dlibs_own():
    dlib, folder = features_module.dlib_models()
    faces, features = load_bundle().decode(load_bundle().z[:3]), load_features("dlib")
    embed = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))
    own = [embed.compute_face_descriptor(features._upright(face)) for face in np.round(255 * faces).astype(np.uint8)]
    np.testing.assert_allclose(features(faces), np.array(own), atol=1e-5)
