"""dlib's embedding of faces as `load_features("dlib")` computes it, against dlib's own function: same vectors, how much faster?

    OMP_NUM_THREADS=1 python benchmarks/embedding.py

Needs `latentfaces[judges]`. Both see the same faces, drawn by the pretrained bundle, in turns, each the best of three.
"""

import time

import dlib
import numpy as np

from latentfaces import generate_faces, load_bundle, load_features
from latentfaces.features import dlib_models

COUNT, ROUNDS = 64, 3


def own(embed, faces):
    "dlib's function, one face after the other: brought upright, then embedded."
    _, folder = dlib_models()
    landmarks = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    vectors = []
    for face in faces:
        picture = dlib.resize_image(face, 256, 256)
        shape = landmarks(picture, dlib.rectangle(26, 26, 230, 230))
        vectors.append(embed.compute_face_descriptor(dlib.get_face_chip(picture, shape, size=150)))
    return np.array(vectors, np.float32)


def main():
    faces, _ = generate_faces(load_bundle(), n=COUNT, random_state=0)
    faces = np.round(255 * faces).astype(np.uint8)
    _, folder = dlib_models()
    embed = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))
    features = load_features("dlib")
    times = {"dlib": [], "latentfaces": []}
    for _ in range(ROUNDS):
        for name, function in (("dlib", lambda: own(embed, faces)), ("latentfaces", lambda: features(faces))):
            start = time.perf_counter()
            vectors = function()
            times[name].append(time.perf_counter() - start)
            if name == "dlib":
                theirs = vectors
    ours, best = vectors, {name: min(found) for name, found in times.items()}
    print(f"dlib {1000 * best['dlib'] / COUNT:.1f} ms a face, latentfaces {1000 * best['latentfaces'] / COUNT:.1f} ms")
    print(
        f"{best['dlib'] / best['latentfaces']:.1f} times as fast; the vectors differ by at most {np.abs(ours - theirs).max():.1e}"
    )


if __name__ == "__main__":
    main()
