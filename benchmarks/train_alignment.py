"""Fit the linear maps that bring a face into CelebA's frame, and write latentfaces/frame/maps.npz (no benchmark of speed).

`LATENTFACES_CELEBA=... python benchmarks/train_alignment.py` takes 4,500 of the first 8,500 images, each pasted into a
larger picture at another place and size and turned by up to 20 degrees, and three wrong frames of each. A map is fitted by
ridge regression from what is seen in the wrong frames to the step to the right one, mirrored too; the next one is fitted
to where it leads. Of every eighth image the remaining error is printed. A last map, from the same to 1 or 0, says whether
there is a face at all: fitted to faces after the steps, and after the steps to what the cascade sees in the same pictures
upside down, many of them blurred, and to chance. About ten minutes on one core.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from alignment import celeba_images, distance, scene
from PIL import Image, ImageFilter

import latentfaces
from latentfaces.alignment import Frame, candidates, seen_in

STAGES, DIRECTIONS, CELLS = 4, 8, 8


def wrong(truth, rng):
    "A frame near the right one, as far as what a detector says."
    step = rng.normal(size=4).clip(-2.5, 2.5) * [0.07, 0.07, 0.16, 0]
    return truth.moved(step + [0, 0, 0, np.deg2rad(rng.uniform(-20, 20))])


def missing(frame, truth):
    "The step from a frame to the right one."
    cos, sin, half = np.cos(frame.turn), np.sin(frame.turn), frame.side / 2
    x, y = (truth.x - frame.x) / half, (truth.y - frame.y) / half
    return cos * x + sin * y, cos * y - sin * x, np.log(truth.side / frame.side), truth.turn - frame.turn


def mirrored():
    "Where each number of what is seen goes when the picture is mirrored."
    cells = np.arange(DIRECTIONS * CELLS**2).reshape(DIRECTIONS, CELLS, CELLS)
    flipped = [cells[(DIRECTIONS // 2 - i) % DIRECTIONS][:, ::-1] for i in range(DIRECTIONS)]
    return np.append(np.ravel(flipped), cells.size)


def fit(seen, steps):
    "The ridge regression with the least error on every eighth image, and that error."
    test = np.arange(len(seen)) // 3 % 8 == 0
    x = np.vstack([seen[~test], seen[~test][:, mirrored()]])
    y = np.vstack([steps[~test], steps[~test] * [-1, 1, 1, -1]])
    square, product, found = x.T @ x, x.T @ y, []
    for ridge in (3, 10, 30, 100, 300):
        each = np.linalg.solve(square + ridge * np.eye(len(square)), product)
        found.append((((steps[test] - seen[test] @ each) ** 2).sum(), ridge, each))
    return min(found, key=lambda one: one[0])[1:], test


def after(maps, grey, frame):
    "What is seen in a frame after the steps, and the frame."
    for each in maps:
        frame = frame.moved(seen_in(grey, frame) @ each)
    return seen_in(grey, frame), frame


def evidence(maps, scenes, rng):
    "What is seen where a face is, and where none is; and which is which."
    seen, face = [], []
    for picture, truth in scenes:
        grey = picture.convert("L")
        here, frame = after(maps, grey, wrong(truth, rng))
        upside_down = grey.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        chance = Frame(*rng.uniform(20, 140, 2), truth.side * np.exp(rng.uniform(-0.7, 0.5)), rng.uniform(-0.35, 0.35))
        blurred = upside_down.filter(ImageFilter.GaussianBlur(rng.uniform(4, 24))) if rng.random() < 0.6 else upside_down
        found = [frame for side in (96, 192) for frame in candidates(blurred, side, (0,))[:3]]
        none = [after(maps, upside_down, chance)[0], *(after(maps, blurred, frame)[0] for frame in found)]
        near = [here] if distance(frame, truth) < 15 else []
        seen += near + none
        face += [1] * len(near) + [0] * len(none)
    return np.array(seen), np.array(face)


def fit_judge(seen, face):
    "The map to 1 for a face and 0 for none, both of equal weight; prints how well it tells them on every fifth."
    test = np.arange(len(seen)) % 5 == 0
    seen, face = np.vstack([seen, seen[:, mirrored()]]), np.tile(face, 2)
    train = ~np.tile(test, 2)
    weighted = seen * np.where(face, 1 / face.mean(), 1 / (1 - face.mean()))[:, None]
    square = seen[train].T @ weighted[train]
    judge = np.linalg.solve(square + 30 * np.eye(len(square)), weighted[train].T @ face[train])
    answers, true = (seen @ judge)[: len(test)][test], face[: len(test)][test] == 1
    print(f"judge, at 0.4: {(answers[true] > 0.4).mean():.3f} of the faces, {(answers[~true] > 0.4).mean():.3f} of the others")
    return judge


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", default=os.environ.get("LATENTFACES_CELEBA"), help="CelebA's folder or zip")
    p.add_argument("--images", type=int, default=4500)
    p.add_argument("--judged", type=int, default=2000, help="images that the last map is fitted to")
    p.add_argument("--out", type=Path, default=Path(latentfaces.__file__).parent / "frame" / "maps.npz")
    a = p.parse_args()
    rng, maps = np.random.default_rng(0), []
    chosen = np.sort(rng.permutation(8500)[: a.images])
    scenes = [scene(picture, frame, rng, canvas=160, scale=(0.7, 1.3)) for picture, frame in celeba_images(a.data, chosen)]
    cases = [(picture.convert("L"), truth, wrong(truth, rng)) for picture, truth in scenes for _ in range(3)]
    for stage in range(STAGES):
        seen = np.array([seen_in(picture, frame) for picture, _, frame in cases], np.float32)
        steps = np.array([missing(frame, truth) for _, truth, frame in cases])
        (ridge, each), test = fit(seen, steps)
        rest = (steps[test] - seen[test] @ each).std(axis=0)
        print(f"map {stage + 1}, ridge {ridge}: {steps[test].std(axis=0).round(4)} -> {rest.round(4)}", flush=True)
        maps.append(each)
        cases = [(picture, truth, frame.moved(x @ each)) for (picture, truth, frame), x in zip(cases, seen)]
    judge = fit_judge(*evidence(maps, scenes[: a.judged], rng))
    a.out.parent.mkdir(exist_ok=True)
    np.savez_compressed(a.out, maps=np.array(maps, np.float16), judge=judge.astype(np.float16))


if __name__ == "__main__":
    main()
