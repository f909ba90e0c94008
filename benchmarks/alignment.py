"""How near `align_face` comes to CelebA's frame, on photographs and on CelebA moved, scaled and turned.

`LATENTFACES_CELEBA=... python benchmarks/alignment.py --photographs lfw.zip` prints a table: in how many of the pictures a
face is found, in how many of these at the right place, how far its square lies from the right one (root mean square over
its points, in pixels of a 178 pixels wide picture), and the error of the pretrained bundle's reconstructions of the
faces found, aligned and in the right frame. The photographs are Labeled Faces in the Wild, 250x250, deep-funneled: there
CelebA's square of 140 is one of 148 pixels that begins at (51, 36). No picture is written anywhere.
"""

import argparse
import io
import os
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from latentfaces import load_bundle
from latentfaces.alignment import Frame, cut_out, find_frames

LFW = Frame(125, 110, 148, 0)


def pictures(path, which, suffix=".jpg"):
    "Chosen pictures of a zip, by their places in the order of their names."
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(suffix))
        for i in which:
            yield Image.open(io.BytesIO(archive.read(names[i % len(names)]))).convert("RGB")


def celeba_images(folder, which):
    "Chosen pictures of CelebA, each with its frame: the centred square of 140 of 178."
    path = Path(folder) / "img_align_celeba.zip" if Path(folder).is_dir() else folder
    for picture in pictures(path, which):
        yield picture, Frame(picture.width / 2, picture.height / 2, 140 * picture.width / 178, 0.0)


def scene(picture, frame, rng, turn=20, canvas=256, scale=(0.7, 1.6)):
    "The picture somewhere in a larger one, turned and scaled, its blurred edges around it; and where the frame is now."
    pad = max(picture.size)
    edges = Image.fromarray(np.pad(np.asarray(picture), ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    around = edges.filter(ImageFilter.GaussianBlur(0.1 * pad))
    around.paste(picture, (pad, pad))
    angle, factor = np.deg2rad(rng.uniform(-turn, turn)), np.exp(rng.uniform(*np.log(scale)))
    x, y = canvas * (0.5 + rng.uniform(-0.12, 0.12, 2))
    cos, sin = np.cos(angle) / factor, np.sin(angle) / factor
    back = cos, sin, frame.x + pad - cos * x - sin * y, -sin, cos, frame.y + pad + sin * x - cos * y
    moved = around.transform((canvas, canvas), Image.Transform.AFFINE, back, Image.Resampling.BICUBIC)
    return moved, Frame(x, y, frame.side * factor, frame.turn + angle)


def turned(picture, frame, rng):
    "A photograph turned by up to 20 degrees about its middle, its corners grey."
    degrees = rng.uniform(-20, 20)
    moved, turn = picture.rotate(-degrees, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128)), np.deg2rad(degrees)
    x, y = frame.x - picture.width / 2, frame.y - picture.height / 2
    x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    return moved, Frame(x + picture.width / 2, y + picture.height / 2, frame.side, frame.turn + turn)


def phone(picture, frame, rng):
    "Twelve times as large, as a JPEG."
    picture.resize([12 * length for length in picture.size], Image.Resampling.BICUBIC).save(file := io.BytesIO(), "JPEG")
    return Image.open(file).convert("RGB"), Frame(12 * frame.x, 12 * frame.y, 12 * frame.side, frame.turn)


def exif(picture, frame, rng):
    "Stored lying on its side with a note of it, and turned upright again as `load_images` does."
    note = Image.Exif()
    note[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(file := io.BytesIO(), "JPEG", exif=note, quality=92)
    return ImageOps.exif_transpose(Image.open(file)).convert("RGB"), frame


def dark(picture, frame, rng):
    "A fifth of the light, and darker in the shadows."
    return picture.point(lambda value: 255 * 0.35 * (value / 255) ** 1.8), frame


def small(picture, frame, rng):
    "A small part of a large picture, whose rest is its own colours, upside down and blurred."
    wide = ImageOps.flip(picture).resize((900, 900)).filter(ImageFilter.GaussianBlur(120))
    wide.paste(picture, (500, 300))
    return wide, frame._replace(x=frame.x + 500, y=frame.y + 300)


def beside(picture, frame, rng, other):
    "Beside somebody else, who is two thirds as large."
    both = Image.new("RGB", (500, 250))
    both.paste(picture)
    both.paste(other.resize((167, 167), Image.Resampling.BICUBIC), (290, 60))
    return both, frame


def distance(frame, truth):
    "How far the points of a square lie from where they should, in pixels of a 178 pixels wide picture."
    points = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9)] * 2), -1).reshape(-1, 2)

    def placed(one):
        turn = np.array([[np.cos(one.turn), np.sin(one.turn)], [-np.sin(one.turn), np.cos(one.turn)]])
        return one.side / 2 * points @ turn + one[:2]

    return np.sqrt(((placed(frame) - placed(truth)) ** 2).sum(1).mean()) / truth.side * 140


def errors(bundle, faces):
    "Error of the reconstruction of each face."
    faces = np.array(faces, np.float32) / 255
    return ((faces - bundle.decode(bundle.encode(faces))) ** 2).mean((1, 2, 3))


def square(picture):
    "The largest centred square."
    return np.asarray(ImageOps.fit(picture, (64, 64), Image.Resampling.BICUBIC))


def measure(name, cases, bundle, detector):
    "A row of the table."
    start = time.process_time()
    found = [(find_frames(picture, detector), picture, truth) for picture, truth in cases]
    ms = 1000 * (time.process_time() - start) / len(cases)
    several = sum(len(frames) > 1 for frames, _, _ in found)
    found = [(frames[0], picture, truth) for frames, picture, truth in found if frames]
    apart = np.array([distance(frame, truth) for frame, _, truth in found])
    aligned = errors(bundle, [np.asarray(cut_out(picture, frame, 64)) for frame, picture, _ in found]).mean()
    right = errors(bundle, [np.asarray(cut_out(picture, truth, 64)) for _, picture, truth in found]).mean()
    centred = errors(bundle, [square(picture) for _, picture, _ in found]).mean()
    shares = f"{len(found) / len(cases):.1%} | {(apart < 25).mean():.1%} | {several / len(cases):.0%}"
    steps = f"{np.median(apart):.1f} | {np.quantile(apart, 0.9):.1f}"
    print(f"| {name} | {shares} | {steps} | {aligned:.4f} | {right:.4f} | {centred:.4f} | {ms:.0f} |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--celeba", default=os.environ.get("LATENTFACES_CELEBA"), help="CelebA's folder or zip")
    p.add_argument("--photographs", help="a zip of Labeled Faces in the Wild, deep-funneled")
    p.add_argument("--images", type=int, default=300)
    p.add_argument("--detector", default="cascade")
    a = p.parse_args()
    rng, bundle = np.random.default_rng(0), load_bundle()
    print("| pictures | found | of these at the right place | several | median distance | 90 % within | error aligned | in the right frame | centred square | ms |")
    print("|---" * 10 + "|")
    if a.celeba:
        chosen = 8500 + rng.permutation(500)[: a.images]
        cases = [scene(picture, frame, rng) for picture, frame in celeba_images(a.celeba, chosen)]
        measure("CelebA, held out; moved, scaled, turned by up to 20 degrees", cases, bundle, a.detector)
        cases = [scene(picture, frame, rng, turn=0) for picture, frame in celeba_images(a.celeba, chosen)]
        measure("the same, moved and scaled only", cases, bundle, a.detector)
    if a.photographs:
        some = list(pictures(a.photographs, rng.permutation(2000)[: a.images]))
        measure("photographs as they are", [(picture, LFW) for picture in some], bundle, a.detector)
        ways = {"turned by up to 20 degrees": turned, "on their side, with EXIF": exif, "dark": dark, "in a picture of 900 pixels": small}
        for name, way in ways.items():
            measure(name, [way(picture, LFW, rng) for picture in some], bundle, a.detector)
        measure("3000 pixels wide (the first 40)", [phone(picture, LFW, rng) for picture in some[:40]], bundle, a.detector)
        couples = [beside(picture, LFW, rng, other) for picture, other in zip(some, some[1:] + some[:1])]
        measure("beside a smaller face", couples, bundle, a.detector)


if __name__ == "__main__":
    main()
