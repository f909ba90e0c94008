"""Fit the linear maps that bring a face into CelebA's frame, and write latentfaces/frame/maps.npz (no benchmark of speed).

`LATENTFACES_CELEBA=... python benchmarks/train_alignment.py` takes 4,500 of the first 8,500 images, each pasted into a
larger picture at another place and size and turned by up to 20 degrees, and three wrong frames of each. A map is fitted by
ridge regression from what is seen in the wrong frames to the step to the right one, mirrored too; the next one is fitted
to where it leads. Of every eighth image the remaining error is printed. About five minutes on one core.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from alignment import celeba_images, scene

import latentfaces
from latentfaces.alignment import Frame, seen_in

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


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", default=os.environ.get("LATENTFACES_CELEBA"), help="CelebA's folder or zip")
    p.add_argument("--images", type=int, default=4500)
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
    a.out.parent.mkdir(exist_ok=True)
    np.savez_compressed(a.out, maps=np.array(maps, np.float16))


if __name__ == "__main__":
    main()
