"Fixtures: a folder of drawn faces, a tiny bundle trained on them, and the real images where LATENTFACES_CELEBA names them."
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image

settings.register_profile("same every time", derandomize=True)
settings.load_profile("same every time")

KEPT = Path(__file__).parent / "tiny"  # the tiny bundle for where Keras is not installed; `python tests/conftest.py` makes it again
TINY = dict(size=16, held_out=12, epochs=3, latent_dim=4, filters=(4, 8), batch_size=16, progress=False, align=False)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    "Keep the image cache of the tests away from the user's."
    os.environ["LATENTFACES_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def draw_faces(folder):
    from latentfaces.drawn import synthetic_faces
    for i, face in enumerate(synthetic_faces(120, size=16, random_state=0)[0]): Image.fromarray(face).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="session")
def face_folder(tmp_path_factory) -> Path:
    "120 drawn faces as PNG files."
    return draw_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="session")
def tiny_bundle(face_folder, tmp_path_factory):
    "A bundle of a tiny network, trained for three epochs."
    from latentfaces.bundle import load_bundle, train_bundle
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    if find_spec("keras") and find_spec("onnx"): return train_bundle(face_folder, folder, **TINY)
    return load_bundle(shutil.copytree(KEPT, folder))


@pytest.fixture(scope="session")
def celeba() -> Path:
    "The folder of real CelebA images, or a skip that says how to run the test."
    if "LATENTFACES_CELEBA" not in os.environ: pytest.skip("LATENTFACES_CELEBA does not name a CelebA folder")
    return Path(os.environ["LATENTFACES_CELEBA"])


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    from latentfaces.bundle import train_bundle
    shutil.rmtree(KEPT, ignore_errors=True)
    with TemporaryDirectory() as place:
        faces = Path(place) / "faces0"
        faces.mkdir()
        train_bundle(draw_faces(faces), KEPT, **TINY)
