"""How fast, and in how much memory, `load_images` reads a zip, against a plain loop of Pillow's open, crop and resize.

    python benchmarks/load_images.py                  # the ratios; the images of $LATENTFACES_CELEBA, or drawn ones
    python benchmarks/load_images.py --many 200000    # memory and the second call, with 200,000 names in one zip

Plain loop and `load_images` read the same zip in turns, with one process per core and with no cached result; their pixels have
to be equal to the last bit. The start of the processes counts. Each line gives minimum, maximum and median of the ratio of the
wall times of a turn. Where other programs run at the same time, that ratio says little: compare the processor times, which are
printed with it (two cores that are free take wall times to about twice the ratio of the processor times).
"""
import argparse
import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from joblib.externals.loky import get_reusable_executor

from latentfaces.drawn import synthetic_portraits
from latentfaces.images import load_images

SIZE, CROP = 64, 140


def plain_loop(path):
    "What anybody would write."
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        out = np.empty((len(names), SIZE, SIZE, 3), np.uint8)
        for i, name in enumerate(names):
            with Image.open(io.BytesIO(archive.read(name))) as image:
                side = CROP * image.width / 178
                left, top = (image.width - side) / 2, (image.height - side) / 2
                out[i] = np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.BICUBIC, box=(left, top, left + side, top + side)))
    return out


def cold_load(path):
    "`load_images` with an empty cache, its processes not yet started."
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LATENTFACES_CACHE"] = cache
        return load_images(path, size=SIZE, crop=CROP, progress=False)


def processor_seconds():
    "Of this process and of those that have ended."
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def timed(function, path):
    "Result, seconds, and seconds of processors, those of its processes included, which are ended for that."
    get_reusable_executor().shutdown(wait=True)
    wall, processor = time.perf_counter(), processor_seconds()
    result = function(path)
    wall = time.perf_counter() - wall
    get_reusable_executor().shutdown(wait=True)
    return result, wall, processor_seconds() - processor


def compare(label, path, repeats):
    "Print the ratios for a zip, from runs in turns."
    turns = []
    for _ in range(repeats):
        by_hand, plain, plain_processor = timed(plain_loop, path)
        images, ours, processor = timed(cold_load, path)
        np.testing.assert_array_equal(images, by_hand)
        turns.append((plain / ours, plain_processor / processor))
        print(f"  plain loop {plain:.2f} s, load_images {ours:.2f} s; of processors {plain_processor:.2f} s and {processor:.2f} s; load {os.getloadavg()[0]:.1f}", flush=True)
    wall, processor = zip(*turns)
    print(f"{label}: {min(wall):.2f} to {max(wall):.2f} times as fast as the plain loop, median {statistics.median(wall):.2f} of {repeats}, equal to the last bit; "
          f"by processor time {statistics.median(processor):.2f} times for each core", flush=True)


def second_call(label, path):
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LATENTFACES_CACHE"] = cache
        n = len(load_images(path, progress=False))
        seconds = [timed(lambda p: load_images(p, progress=False), path)[1] for _ in range(5)]
    print(f"{label}: second call {statistics.median(seconds):.3f} s for {n:,} images", flush=True)


def jpegs(source, limit):
    "(name, JPEG) of the images to use: those of a CelebA zip, or drawn ones of CelebA's half size."
    if source:
        path = Path(source)
        with zipfile.ZipFile(path / "img_align_celeba.zip" if path.is_dir() else path) as archive:
            for name in sorted(archive.namelist())[:limit]:
                if name.endswith(".jpg"): yield name, archive.read(name)
        return
    for start in range(0, limit, 500):
        for i, portrait in enumerate(synthetic_portraits(500, random_state=start), start + 1):
            yield f"img_align_celeba/{i:06d}.jpg", encoded(Image.fromarray(portrait).resize((89, 109), Image.BICUBIC))


def encoded(image):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def write_zip(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries: archive.writestr(name, content)
    return path


def full_size(source, limit):
    "The same images, enlarged to the 178x218 pixels of the published ones."
    for name, content in jpegs(source, limit): yield name, encoded(Image.open(io.BytesIO(content)).resize((178, 218), Image.BICUBIC))


def many_names(source, count, distinct=2000):
    "Full-size images under as many names as wanted."
    images = list(full_size(source, distinct))
    for i in range(count): yield f"img_align_celeba/{i + 1:06d}.jpg", images[i % len(images)][1]


MEASURE = """
import resource, sys, time
from latentfaces.images import load_images
start = time.perf_counter()
images = load_images(sys.argv[1], progress=False)
seconds = time.perf_counter() - start
peak, process = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(f"{sys.argv[2]}, {len(images):,} images: {seconds:.2f} s, peak memory {peak:.0f} MB, and at most {process:.0f} MB in a process that decodes", flush=True)
"""


def measure_many(path, cache):
    "First and second call in processes of their own, with their peak memory."
    env = {**os.environ, "LATENTFACES_CACHE": str(cache)}
    for call in ("first call", "second call"): subprocess.run([sys.executable, "-c", MEASURE, str(path), call], env=env, check=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--source", default=os.environ.get("LATENTFACES_CELEBA"), help="CelebA's zip or a folder that holds it; default: $LATENTFACES_CELEBA, else drawn images")
    p.add_argument("--count", type=int, default=9000, help="images to compare on (default: %(default)s)")
    p.add_argument("--repeats", type=int, default=5, help="runs of each, in turns (default: %(default)s)")
    p.add_argument("--many", type=int, default=0, help="measure memory with a zip of so many names instead (needs 21 kB of scratch for each)")
    p.add_argument("--scratch", help="folder for temporary files (default: the system's)")
    a = p.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}; {'drawn images' if not a.source else a.source}", flush=True)
    with tempfile.TemporaryDirectory(dir=a.scratch) as scratch:
        tempfile.tempdir, scratch = scratch, Path(scratch)
        if a.many:
            measure_many(write_zip(scratch / "many.zip", many_names(a.source, a.many)), scratch / "cache")
            return
        small, large = write_zip(scratch / "small.zip", jpegs(a.source, a.count)), write_zip(scratch / "large.zip", full_size(a.source, a.count))
        for label, path in (("89x109", small), ("178x218", large)): compare(label, path, a.repeats)
        second_call("89x109", small)


if __name__ == "__main__": main()
