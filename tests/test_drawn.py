"Drawn faces: seeded, alike at every size, in CelebA's framing, and with attributes that can be seen in the pixels."
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from latentfaces.drawn import synthetic_faces, synthetic_portraits
from latentfaces.images import load_images
from latentfaces.labels import CELEBA_ATTRIBUTES


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch): monkeypatch.setenv("LATENTFACES_CACHE", str(tmp_path / "the cache"))


def test_drawn_faces_are_seeded_and_vary():
    images, attributes = synthetic_faces(70, size=32, random_state=5)
    assert images.shape == (70, 32, 32, 3) and images.dtype == np.uint8
    again, _ = synthetic_faces(70, size=32, random_state=5)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(images[:40], synthetic_faces(40, size=32, random_state=5)[0])
    assert (images != synthetic_faces(70, size=32, random_state=6)[0]).any()
    assert len(np.unique(images.reshape(70, -1), axis=0)) == 70 and images.std(axis=0).mean() > 30
    assert attributes.shape == (70, 40) and (attributes.dtypes == bool).all() and attributes.index[69] == "000070.jpg"
    assert tuple(attributes.columns) == CELEBA_ATTRIBUTES


def test_a_seed_gives_the_same_faces_everywhere():
    "Bundles, tests and figures rest on them; another machine may round a pixel otherwise."
    faces = synthetic_faces(4, 33, 5)[0]
    np.testing.assert_allclose(faces.reshape(4, -1).mean(axis=1), [137.45, 169.84, 74.9, 93.8], atol=0.1)
    np.testing.assert_allclose(faces[0, 16, ::8].astype(int), [[103, 159, 217], [136, 125, 119], [48, 39, 36], [126, 88, 65], [110, 169, 230]], atol=1)
    np.testing.assert_allclose(synthetic_portraits(2, 5).reshape(2, -1).mean(axis=1), [137.02, 173.73], atol=0.1)


def test_drawn_faces_look_alike_at_every_size():
    small, large = synthetic_faces(12, size=32)[0], synthetic_faces(12, size=96)[0]
    shrunk = large.reshape(12, 32, 3, 32, 3, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 6


def test_portraits_have_celebas_framing(tmp_path):
    portraits = synthetic_portraits(10, random_state=2)
    assert portraits.shape == (10, 218, 178, 3)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for i, image in enumerate(portraits):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            archive.writestr(f"img_align_celeba/{i:06d}.png", file.getvalue())
    cropped = load_images(tmp_path / "z.zip", size=70)
    assert np.abs(cropped.astype(int) - synthetic_faces(10, size=70, random_state=2)[0]).mean() < 2


def test_drawn_attributes_hold():
    "What the attributes say is to be seen in the pixels where it must be."
    images, attributes = synthetic_faces(1500, size=32, random_state=1)
    images = images / 255
    holds = {name: attributes[name].to_numpy() for name in CELEBA_ATTRIBUTES}
    hair = images[:, 1:5, 12:20].mean(axis=(1, 2))
    assert hair[holds["Black_Hair"]].mean() < 0.2 < hair[holds["Brown_Hair"]].mean() < hair[holds["Blond_Hair"]].mean()
    assert np.ptp(hair[holds["Gray_Hair"]].mean(axis=0)) < 0.1 < np.ptp(hair[holds["Blond_Hair"]].mean(axis=0))
    for name, (top, bottom) in {"Eyeglasses": (11, 21), "Smiling": (20, 29), "Mouth_Slightly_Open": (20, 29)}.items():
        difference = images[holds[name]].mean(axis=0) - images[~holds[name]].mean(axis=0)
        row = np.abs(difference / images.std(axis=0)).max(axis=(1, 2)).argmax()
        assert top <= row <= bottom, name
    assert not (holds["Bald"] & (holds["Black_Hair"] | holds["Blond_Hair"] | holds["Brown_Hair"] | holds["Gray_Hair"])).any()
    assert not (holds["Wearing_Lipstick"] & holds["Male"]).any() and (holds["No_Beard"] | holds["Male"]).all()


def test_drawn_faces_as_a_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, names = load_images("synthetic:30", size=32, return_names=True)
    np.testing.assert_array_equal(images, synthetic_faces(30, size=32)[0])
    assert len(load_images("synthetic:30", limit=4)) == 4 and names[-1] == "000030.jpg"
    assert not images.flags.writeable
    with pytest.raises(ValueError, match="framing of crop=140"): load_images("synthetic:5", crop=100)
    (tmp_path / "synthetic").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "synthetic" / "a.png")
    assert len(load_images("synthetic")) == 1  # a folder of that name goes first


@pytest.mark.parametrize("n", [0, -1, 2.0, None])
def test_numbers_of_faces_are_checked(n):
    with pytest.raises((ValueError, TypeError), match="n must be a whole number"): synthetic_faces(n)
