"""Images read from files: every kind of bad input, the cache, the processes that decode.

All files are made here, but for the tests at the end: they read CelebA from the folder that the environment variable
LATENTFACES_CELEBA names, and are skipped without it.
"""
import errno
import gc
import io
import os
import resource
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms

from latentfaces import images as data
from latentfaces.core import check_images
from latentfaces.drawn import synthetic_portraits
from latentfaces.images import decode_image, default_crop, load_images
from latentfaces.labels import load_attributes, load_partition

CELEBA = os.environ.get("LATENTFACES_CELEBA")
needs_celeba = pytest.mark.skipif(not CELEBA, reason="set LATENTFACES_CELEBA to a folder with CelebA to run this test")
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    "A cache folder of the test's own."
    folder = tmp_path / "the cache"
    monkeypatch.setenv("LATENTFACES_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def portraits():
    "Drawn faces in CelebA's format, 178x218."
    return synthetic_portraits(24, random_state=3)


def encoded(image, format="JPEG", **options) -> bytes:
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, format, **options)
    return out.getvalue()


def write_zip(path, entries: dict, compression=zipfile.ZIP_STORED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items(): archive.writestr(name, content)
    return path


def celeba_zip(path, images, **options):
    return write_zip(path, {f"img_align_celeba/{i:06d}.jpg": encoded(image, quality=90) for i, image in enumerate(images, 1)}, **options)


def write_folder(path, files: dict):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def plain_loop(files: list, size=64, crop=140):
    "What load_images has to give, as anybody would write it."
    out = np.empty((len(files), size, size, 3), np.uint8)
    for i, content in enumerate(files):
        image = Image.open(io.BytesIO(content)).convert("RGB")
        side = min(crop * image.width / 178, image.width, image.height)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        out[i] = np.asarray(image.resize((size, size), Image.BICUBIC, box=(left, top, left + side, top + side)))
    return out


def load(source, **options):
    "Images, of a call that gives no warning."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_images(source, progress=False, **options)


def load_with_warning(source, match, **options):
    "The pair (images, names), of a call that gives exactly one warning."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = load_images(source, return_names=True, progress=False, **options)
    assert len(caught) == 1, [str(w.message) for w in caught]
    assert match in str(caught[0].message)
    assert caught[0].filename == __file__, "the warning should point to the caller"
    return result


# ---------------------------------------------------------------- sources and layouts

@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_gives_what_a_plain_loop_gives(tmp_path, portraits, compression):
    path = celeba_zip(tmp_path / "img_align_celeba.zip", portraits, compression=compression)
    images, names = load(path, return_names=True)
    assert isinstance(images, np.memmap) and images.dtype == np.uint8 and not images.flags.writeable
    assert names.tolist() == [f"{i:06d}.jpg" for i in range(1, 25)]
    with zipfile.ZipFile(path) as archive: files = [archive.read(name) for name in sorted(archive.namelist())]
    np.testing.assert_array_equal(images, plain_loop(files))


def test_the_same_from_zip_folder_and_a_folder_that_holds_either(tmp_path, portraits):
    files = {f"img_align_celeba/{i:06d}.jpg": encoded(image) for i, image in enumerate(portraits, 1)}
    path = write_zip(tmp_path / "a" / "img_align_celeba.zip", files)
    nested = {f"img_align_celeba/{name}": content for name, content in files.items()}  # as in Kaggle's copy
    write_folder(tmp_path / "b", files)
    write_folder(tmp_path / "c", nested)
    expected, expected_names = load(path, return_names=True)
    for source in (tmp_path / "a", str(tmp_path / "b"), tmp_path / "b" / "img_align_celeba", tmp_path / "c"):
        images, names = load(source, return_names=True)
        np.testing.assert_array_equal(images, expected)
        assert names.tolist() == expected_names.tolist()


def test_half_size_copies_have_the_same_framing(tmp_path):
    ramp = np.broadcast_to(np.linspace(0, 255, 178)[None, :, None], (218, 178, 3)).astype(np.uint8)
    whole = load(write_zip(tmp_path / "1.zip", {"000001.png": encoded(ramp, "PNG")}))
    half = Image.fromarray(ramp).resize((89, 109), Image.BOX)
    halved = load(write_zip(tmp_path / "2.zip", {"000001.png": encoded(half, "PNG")}))
    assert np.abs(whole.astype(int) - halved).max() <= 3
    assert abs(whole[0, 0, 0, 0] - 255 * 19 / 177) < 4  # the crop starts 19 pixels from the left


def test_any_tree_of_images_and_its_default_crop(tmp_path):
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = 200  # the largest centred square
    other = wide.copy()
    other[:, 30:70] = 210
    tree = write_folder(tmp_path / "t", {"b/two.PNG": encoded(wide, "PNG"), "a/one.jpeg": encoded(wide, quality=95), "c.webp": encoded(other, "WEBP", lossless=True),
                                         "notes.txt": b"", ".hidden/x.png": b"", "._d.png": b"", "__MACOSX/e.png": b""})
    images, names = load(tree, return_names=True, size=32)
    assert names.tolist() == ["a/one.jpeg", "b/two.PNG", "c.webp"]
    assert images[:, 4:-4, 4:-4].min() > 190
    narrower = load(tree, size=32, crop=40)
    assert narrower.shape == images.shape and narrower.min() > 190


@pytest.mark.parametrize("pattern", ["img_align_celeba\\{:06d}.jpg", "img_align_celeba/{:06d}.JPG", "./{:06d}.jpg", "a\\{:06d}.JPEG"])
def test_celeba_packed_on_another_system(tmp_path, portraits, pattern):
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, image in enumerate(portraits, 1):
            entry = zipfile.ZipInfo("x")
            entry.filename = pattern.format(number)  # as it is, not with this system's separators
            archive.writestr(entry, encoded(image))
    images, names = load(path, return_names=True)
    assert default_crop(path) == 140
    assert names.tolist() == [f"{i:06d}.{'jpeg' if 'JPEG' in pattern else 'jpg'}" for i in range(1, 25)]  # as in the attribute file
    np.testing.assert_array_equal(images, plain_loop([encoded(image) for image in portraits]))


def test_names_that_differ_in_their_case_are_kept_apart(tmp_path, portraits):
    path = write_zip(tmp_path / "z.zip", {f"000001.{suffix}": encoded(image) for suffix, image in zip(["jpg", "JPG"], portraits)})
    assert load(path, return_names=True)[1].tolist() == ["000001.JPG", "000001.jpg"]


MACHINES = ("@eaDir/a.jpg", "b/@eaDir/one.jpg/SYNOPHOTO_THUMB_XL.jpg", "__MACOSX/a.jpg", ".thumbnails/a.png", "#recycle/a.jpg", "$RECYCLE.BIN/S-1-5/$R1.jpg", "lost+found/#12.jpg",
            "System Volume Information/a.jpg", "@Recycle/a.jpg", ".@__thumb/a.jpg")


@pytest.mark.parametrize("where", ["folder", "zip"])
def test_what_machines_keep_for_themselves_is_passed_over(tmp_path, portraits, where):
    files = {"b/one.jpg": encoded(portraits[0]), "two.jpg": encoded(portraits[1])} | dict.fromkeys(MACHINES, encoded(portraits[2])) | {"@eaDir/broken.jpg": b"x"}
    source = write_folder(tmp_path / "f", files) if where == "folder" else write_zip(tmp_path / "z.zip", files)
    assert load(source, return_names=True)[1].tolist() == ["b/one.jpg", "two.jpg"]


def test_a_folder_of_a_machine_is_read_when_it_is_asked_for(tmp_path, portraits):
    assert len(load(write_folder(tmp_path / "@eaDir", {"a.jpg": encoded(portraits[0])}))) == 1


@pytest.mark.parametrize("image", [Image.new("RGBA", (9, 9)), Image.new("L", (9, 9), 77)])
def test_one_and_the_same_picture_everywhere_is_said(tmp_path, image):
    folder = write_folder(tmp_path / "blank", {f"{i}.png": encoded(image, "PNG") for i in range(40)})
    for _ in range(2): assert len(load_with_warning(folder, f"all 40 images in {folder} are one and the same picture")[0]) == 40
    assert len(load(folder, limit=1)) == 1  # a single picture is no news
    (folder / "39.png").write_bytes(encoded(Image.new("L", (9, 9), 78), "PNG"))
    load(folder)


def test_six_digit_names_alone_do_not_make_celeba(tmp_path):
    square = write_folder(tmp_path / "frames", {f"{i:06d}.jpg": encoded(np.full((50, 50, 3), 9 * i, np.uint8)) for i in range(3)})
    assert default_crop(square) == 178


def test_other_files_beside_celebas_are_left_out_and_named(tmp_path, portraits):
    files = {f"img_align_celeba/{i:06d}.jpg": encoded(image) for i, image in enumerate(portraits[:4], 1)}
    path = write_zip(tmp_path / "img_align_celeba.zip", files | {"overview.png": encoded(portraits[0], "PNG")})
    images, names = load_with_warning(path, "left out 1 of 5 files")
    assert len(images) == len(names) == 4


def test_order_limit_and_seed_of_the_cache(tmp_path, portraits):
    files = [(f"img_align_celeba/{i:06d}.jpg", encoded(image)) for i, image in enumerate(portraits, 1)]
    path = write_zip(tmp_path / "z.zip", dict(reversed(files)))
    images, names = load(path, return_names=True, limit=5)
    assert names.tolist() == [f"{i:06d}.jpg" for i in range(1, 6)]
    np.testing.assert_array_equal(images, load(path)[:5])
    np.testing.assert_array_equal(images, load(path, cache=False, limit=5))


def test_links_in_circles_end(tmp_path):
    tree = write_folder(tmp_path / "t", {"a/one.png": encoded(np.zeros((9, 9, 3), np.uint8), "PNG")})
    (tree / "a" / "up").symlink_to(tree, target_is_directory=True)
    (tree / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tree / "itself.png").symlink_to(tree / "itself.png")
    images, names = load_with_warning(tree, "left out 2 of 3 files")
    assert names.tolist() == ["a/one.png"]


def test_links_to_each_other_end(tmp_path):
    image = encoded(np.zeros((9, 9, 3), np.uint8), "PNG")
    tree = write_folder(tmp_path / "t", {"a/one.png": image, "b/two.png": image})
    (tree / "a" / "link").symlink_to(tree / "b", target_is_directory=True)
    (tree / "b" / "link").symlink_to(tree / "a", target_is_directory=True)
    names = load_with_warning(tree, "one and the same picture")[1]
    assert names.tolist() == ["a/link/two.png", "a/one.png", "b/link/one.png", "b/two.png"]


def test_the_folder_above_is_read_whole(tmp_path, portraits, monkeypatch):
    "And the folder in which one is, too."
    write_folder(tmp_path / "t", {"one.jpg": encoded(portraits[0]), "here/two.jpg": encoded(portraits[1])})
    monkeypatch.chdir(tmp_path / "t" / "here")
    assert load("..", return_names=True)[1].tolist() == ["here/two.jpg", "one.jpg"]


def test_a_pipe_with_the_name_of_an_image_does_not_block(tmp_path):
    tree = write_folder(tmp_path / "t", {"one.png": encoded(np.zeros((9, 9, 3), np.uint8), "PNG")})
    os.mkfifo(tree / "pipe.png")
    assert len(load_with_warning(tree, "pipe.png (not a file)")[0]) == 1


@pytest.mark.parametrize("read", [load, default_crop, load_attributes])
def test_a_pipe_is_no_source(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises((ValueError, FileNotFoundError), match="pipe.zip.*is a pipe or a device"): read(tmp_path / "pipe.zip")
    with pytest.raises((ValueError, FileNotFoundError), match="/dev/null.*is a pipe or a device"): read("/dev/null")


def test_standard_input(tmp_path, portraits):
    "A pipe is refused, a file read, though a worker has another standard input."
    path = celeba_zip(tmp_path / "z.zip", np.concatenate([portraits] * 4))
    code = "import latentfaces.images as d; d._WORTH_PROCESSES, d._CHUNK = 0, 16; print(d.load_images('/dev/stdin', n_jobs=2, progress=False).shape)"
    piped = run_python("-c", code, script="not a zip")
    assert piped.stderr.splitlines()[-1] == "ValueError: /dev/stdin is a pipe or a device, which cannot be read twice: save it as a file first"
    with path.open("rb") as file: done = subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True, text=True, timeout=300, env=environment())
    assert done.stdout == "(96, 64, 64, 3)\n", done.stderr


@pytest.mark.parametrize("read", [load, default_crop, load_attributes, load_partition])
def test_the_home_of_nobody(read):
    with pytest.raises(FileNotFoundError, match="no home folder for the ~ in ~nosuchuser/faces: write the path out"): read("~nosuchuser/faces")


def test_the_home_of_the_user(tmp_path, portraits, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_folder(tmp_path / "faces", {"a.jpg": encoded(portraits[0])})
    (tmp_path / "list_attr_celeba.txt").write_text("2\nMale Young\n000001.jpg 1 1\n000002.jpg -1 1\n")
    assert len(load("~/faces")) == 1 and len(load_attributes("~")) == 2


# ---------------------------------------------------------------- image files of every kind

@pytest.fixture(scope="module")
def face(portraits): return Image.fromarray(portraits[5]).resize((89, 109))


def one(tmp_path, content, **options): return load(write_folder(tmp_path / "one", {"x.jpg": content}), **options)[0].astype(int)


def test_modes_become_rgb(tmp_path, face):
    grey = np.asarray(face.convert("L"))
    expected = plain_loop([encoded(face, "PNG")], crop=178)[0].astype(int)
    expected_grey = plain_loop([encoded(face.convert("L"), "PNG")], crop=178)[0].astype(int)
    kinds = {"L": encoded(face.convert("L"), "PNG"), "1": encoded(face.convert("1"), "PNG"), "P": encoded(face.quantize(256), "PNG"), "CMYK": encoded(face.convert("CMYK"), quality=98),
             "YCCK or RGB": encoded(face, quality=98), "16": encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"), "LA": encoded(face.convert("LA"), "PNG"),
             "RGBA": encoded(face.convert("RGBA"), "PNG"), "WebP": encoded(face, "WEBP", quality=98), "WebP alpha": encoded(face.convert("RGBA"), "WEBP", lossless=True)}
    images, names = load(write_folder(tmp_path / "kinds", {f"{name}.png": content for name, content in kinds.items()}), return_names=True)
    assert len(images) == len(kinds)
    for image, name in zip(images.astype(int), names):
        wanted = expected_grey if name.removesuffix(".png") in ("L", "1", "16", "LA") else expected
        assert np.abs(image - wanted).mean() < (45 if name == "1.png" else 6), name


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FORMATS = {"jfif": "JPEG", "jpe": "JPEG", "JPG": "JPEG", "bmp": "BMP", "gif": "GIF", "tif": "TIFF", "TIFF": "TIFF", "avif": "AVIF", "jp2": "JPEG2000", "ppm": "PPM", "pgm": "PPM"}


@pytest.mark.parametrize("where", ["folder", "zip"])
def test_every_format_and_suffix_is_read(tmp_path, portraits, where, monkeypatch):
    monkeypatch.setattr(data, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(data, "_CHUNK", 16)  # some by a worker
    formats = {suffix: format for suffix, format in FORMATS.items() if format in Image.registered_extensions().values()}
    files = {f"{i}.{suffix}": encoded(portraits[i], format) for i, (suffix, format) in enumerate(formats.items())}
    source = write_folder(tmp_path / "f", files) if where == "folder" else write_zip(tmp_path / "z.zip", files)
    images, names = load(source, return_names=True, n_jobs=2)
    assert names.tolist() == sorted(files)
    for image, name in zip(images.astype(int), names):
        assert np.abs(image - plain_loop([encoded(portraits[int(name.split(".")[0])], "PNG")], crop=178)[0]).mean() < 6, name


@pytest.mark.parametrize("format", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_first_of_several_frames_is_taken(tmp_path, face, format):
    options = {"save_all": True, "append_images": [Image.new("RGB", face.size, colour) for colour in ("red", "blue")]}
    image = one(tmp_path, encoded(face, format, **options | ({"lossless": True} if format == "WEBP" else {})))
    assert np.abs(image - plain_loop([encoded(face, "PNG")], crop=178)[0]).mean() < 6


PLUGIN = """
import io
from PIL import Image, PngImagePlugin

def register_heif_opener():
    Image.register_open("HEIF", lambda file, name: PngImagePlugin.PngImageFile(io.BytesIO(file.read()[12:])), lambda start: start[4:8] == b"ftyp")
"""


@pytest.mark.skipif(bool(data._plugins()), reason="the plugin itself is installed")
def test_heic_is_read_where_its_plugin_is_installed_and_named_where_not(tmp_path, portraits, cache):
    "The plugin is an imitation; the cache of the time before it is not used afterwards."
    files = {f"{i}.heic": b"\0\0\0\x18ftypheic" + encoded(portraits[i], "PNG") for i in range(8)} | {f"{i}.jpg": encoded(portraits[i]) for i in range(2)}
    folder = write_folder(tmp_path / "f", files)
    code = f"import latentfaces.images as d; d._WORTH_PROCESSES, d._CHUNK = 0, 4; print(d.load_images({str(folder)!r}, n_jobs=2, progress=False).shape[0])"
    done = run_python("-c", code)
    assert done.stdout == "2\n" and "left out 8 of 10 files" in done.stderr and "0.heic (a HEIC image: install pillow-heif to read it)" in done.stderr
    plugin = write_folder(tmp_path / "plugin", {"pillow_heif.py": PLUGIN.encode()})
    done = run_python("-c", code, paths=[str(plugin)])
    assert done.stdout == "10\n" and "left out" not in done.stderr, done.stderr
    assert len(cached_files(cache)) == 2


def other_profile(**changes):
    "A colour profile whose red is sRGB's green and the other way round, or whose curves have another exponent."
    if "exponent" in changes: return SRGB.replace(struct.pack(">i", 0x26666), struct.pack(">i", round(changes["exponent"] * 65536)))
    return SRGB.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


def grey_profile(exponent):
    "A profile for grey pictures: a header, a white point, and a curve that is a power."
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1, 0.8249)))
    curve = b"curv\0\0\0\0" + struct.pack(">IH2x", 1, round(exponent * 256))
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, len(white), b"kTRC", 156 + len(white), len(curve))
    size = 128 + len(tags) + len(white) + len(curve)
    head = struct.pack(">I4sI4s4s4s12x4s28x3i", size, b"\0\0\0\0", 0x02100000, b"mntr", b"GRAY", b"XYZ ", b"acsp", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + tags + white + curve


def by_hand(image, profile):
    "What Pillow's own colour management makes of it."
    return ImageCms.profileToProfile(image, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("changes", [{}, {"exponent": 1.8}])
def test_colour_profiles_are_followed(tmp_path, face, format, changes):
    profile = other_profile(**changes)
    assert profile != SRGB and len(profile) == len(SRGB)
    content = encoded(face, format, icc_profile=profile)
    stored = Image.open(io.BytesIO(content)).convert("RGB")
    image = one(tmp_path, content)
    np.testing.assert_array_equal(image, plain_loop([encoded(by_hand(stored, profile), "PNG")], crop=178)[0])
    assert np.abs(image - plain_loop([encoded(stored, "PNG")], crop=178)[0]).mean() > 5


def test_colour_profiles_of_grey_and_transparent_pictures(tmp_path, face):
    grey, profile = face.convert("L"), grey_profile(1.0)
    expected = plain_loop([encoded(by_hand(grey, profile), "PNG")], crop=178)[0]
    assert np.abs(expected.astype(int) - plain_loop([encoded(grey, "PNG")], crop=178)[0]).mean() > 20
    np.testing.assert_array_equal(one(tmp_path, encoded(grey, "PNG", icc_profile=profile)), expected)
    clear = face.copy()
    clear.putalpha(Image.linear_gradient("L").resize(face.size))
    mixed = by_hand(face, other_profile())
    mixed.putalpha(clear.getchannel("A"))
    white = Image.alpha_composite(Image.new("RGBA", face.size, "white"), mixed)
    np.testing.assert_array_equal(one(tmp_path, encoded(clear, "PNG", icc_profile=other_profile())), plain_loop([encoded(white, "PNG")], crop=178)[0])


@pytest.mark.parametrize("profile", [b"x", SRGB[:200], SRGB[:-300] + bytes(300), b"\xff" * 70_000, grey_profile(1.0)])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_broken_profiles_and_those_of_another_mode_are_ignored(tmp_path, face, profile, format):
    content = encoded(face, format, icc_profile=profile)
    np.testing.assert_array_equal(one(tmp_path, content), plain_loop([content], crop=178)[0])


def test_a_long_profile_is_put_together(tmp_path, face):
    "In a JPEG it comes in pieces of 64 kB."
    content = encoded(face, icc_profile=other_profile() + bytes(100_000))
    assert content.count(b"ICC_PROFILE") == 2
    stored = Image.open(io.BytesIO(content))
    np.testing.assert_array_equal(one(tmp_path, content), plain_loop([encoded(by_hand(stored, other_profile()), "PNG")], crop=178)[0])


def test_srgb_in_another_spelling_changes_nothing(face):
    "The profile is looked into once, not for every file."
    data._to_srgb.cache_clear()
    for quality in range(60, 70):
        content = encoded(face, quality=quality, icc_profile=other_profile(exponent=2.401))
        np.testing.assert_array_equal(decode_image(content), plain_loop([content], crop=178)[0])
    assert data._to_srgb.cache_info().misses == 1


def test_16_bits_are_cut_to_the_upper_8(tmp_path):
    values = np.array([[0, 255, 256, 32768, 65535]] * 5, np.uint16)
    image = one(tmp_path, encoded(Image.fromarray(values), "PNG"), size=5)
    np.testing.assert_array_equal(image[0, :, 0], [0, 0, 1, 128, 255])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGB", "L"])
def test_transparent_pixels_are_white(tmp_path, mode):
    if mode == "P": content = encoded(Image.new("RGB", (20, 20), (9, 9, 9)).quantize(4), "PNG", transparency=0)
    elif mode == "PA": content = encoded(Image.new("RGBA", (20, 20), (9, 9, 9, 0)).quantize(4), "PNG")
    elif mode == "RGB": content = encoded(Image.new("RGB", (20, 20), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    elif mode == "L": content = encoded(Image.new("L", (20, 20), 7), "PNG", transparency=7)
    else: content = encoded(Image.new(mode, (20, 20), (5,) * (len(mode) - 1) + (0,)), "PNG")
    assert one(tmp_path, content).min() == 255


def test_half_transparent_pixels_are_mixed_with_white(tmp_path):
    image = one(tmp_path, encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 128)), "PNG"))
    assert set(np.unique(image)) <= {126, 127, 128}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(tmp_path, orientation, format):
    scene = np.zeros((60, 60, 3), np.uint8)
    scene[:20, :20] = 255, 0, 0
    scene[40:, :20] = 0, 255, 0
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
    stored = Image.fromarray(scene)
    if orientation in undo: stored = stored.transpose(Image.Transpose[undo[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = one(tmp_path, encoded(stored, format, exif=exif), size=6)
    assert image[0, 0, 0] > 150 and image[5, 0, 1] > 150 and image[0, 5].max() < 60 and image[5, 5].max() < 60


def test_broken_exif_does_not_cost_the_image(tmp_path):
    image = one(tmp_path, encoded(np.full((20, 20, 3), 77, np.uint8), exif=b"Exif\0\0" + b"II*\0\xff\xff\xff\xff" + b"\x12\x01" * 9))
    assert abs(image.mean() - 77) < 2


def test_tiny_images_are_enlarged(tmp_path):
    image = one(tmp_path, encoded(np.full((1, 1, 3), 200, np.uint8), "PNG"), size=8, crop=20)
    assert image.shape == (8, 8, 3) and (image == 200).all()
    assert one(tmp_path / "2", encoded(np.full((1, 3000, 3), 90, np.uint8), "PNG"), size=8).shape == (8, 8, 3)


def png_of(width, height) -> bytes:
    "A PNG that promises many pixels in few bytes."
    def chunk(kind, body): return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zipfile.crc32(kind + body))
    import zlib
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


BAD = {
    "truncated.jpg": encoded(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8))[:3000],
    "truncated.png": encoded(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8), "PNG")[:3000],
    "truncated.webp": encoded(np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8), "WEBP")[:1000],
    "header_only.jpg": encoded(np.zeros((90, 90, 3), np.uint8))[:20],
    "zero.jpg": b"",
    "page.jpg": b"<!DOCTYPE html><title>404</title>",
    "noise.png": bytes(range(256)) * 8,
    "vectors.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "truncated.tif": encoded(np.zeros((90, 90, 3), np.uint8), "TIFF")[:3000],
    "floats.tif": encoded(Image.new("F", (9, 9), 0.5), "TIFF"),
    "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(100),
    "camera.nef": encoded(Image.new("RGB", (16, 12)), "TIFF"),  # the thumbnail would be read
    "bomb.png": png_of(10_000, 10_000),
    "big_bomb.png": png_of(60_000, 60_000),
}


@pytest.mark.parametrize("name", BAD)
def test_each_unreadable_file_is_skipped_and_named(tmp_path, name):
    good = {f"{letter}.jpg": encoded(np.full((30, 30, 3), grey, np.uint8)) for letter, grey in {"a": 50, "c": 52}.items()}
    folder = write_folder(tmp_path / "f", {**good, f"b_{name}": BAD[name]})
    images, names = load_with_warning(folder, f"left out 1 of 3 files in {folder}: b_{name} (")
    assert names.tolist() == ["a.jpg", "c.jpg"] and images.shape == (2, 64, 64, 3)
    assert np.abs(images.astype(int) - 51).max() <= 2


def test_all_unreadable_files_together_give_one_warning_and_again_from_the_cache(tmp_path):
    files = dict(BAD) | {f"good{i}.jpg": encoded(np.full((30, 30, 3), i, np.uint8)) for i in range(100)}
    folder = write_folder(tmp_path / "f", files)
    for _ in range(2):
        images, names = load_with_warning(folder, f"left out {len(BAD)} of {len(files)} files")
        assert names.tolist() == sorted(name for name in files if name.startswith("good"))
        assert [round(image.mean()) for image in images] == [int(name[4:-4]) for name in names]


def test_the_same_in_a_zip(tmp_path):
    files = {f"x/{name}": content for name, content in BAD.items()} | {"x/good.jpg": encoded(np.zeros((30, 30, 3), np.uint8))}
    images, names = load_with_warning(write_zip(tmp_path / "z.zip", files), f"left out {len(BAD)} of {len(BAD) + 1} files")
    assert names.tolist() == ["x/good.jpg"]


def test_nothing_readable_is_an_error_and_leaves_nothing(tmp_path, cache):
    folder = write_folder(tmp_path / "f", BAD)
    with pytest.raises(ValueError, match=f"none of the {len(BAD) - 1} images in .*/f could be read: big_bomb.png"): load(folder)
    assert list(cache.iterdir()) == []


@given(content=st.binary(max_size=300), start=st.sampled_from([b"", b"\xff\xd8\xff\xe0\x00\x10JFIF\0", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBPVP8 "]))
@quick
def test_no_bytes_break_the_decoder(content, start):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try: assert decode_image(start + content, 8, 140).shape == (8, 8, 3)
        except Exception as error: assert data._reason(error)


@given(size=st.tuples(st.integers(1, 70), st.integers(1, 70)), quality=st.integers(5, 100), options=st.fixed_dictionaries(
    {}, optional={"progressive": st.just(True), "subsampling": st.integers(0, 2), "optimize": st.just(True), "dpi": st.just((72, 72)), "icc_profile": st.sampled_from([b"x" * 500, SRGB]), "comment": st.just(b"hello"),
                  "restart_marker_rows": st.just(1), "exif": st.just(b"Exif\0\0")}), seed=st.integers(0, 9))
@quick
def test_one_file_gives_pillows_pixels(size, quality, options, seed):
    noise = Image.fromarray(np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)).resize(size)
    content = encoded(noise, quality=quality, **options)
    side = min(size)
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    expected = Image.open(io.BytesIO(content)).resize((16, 16), Image.BICUBIC, box=(left, top, left + side, top + side))
    np.testing.assert_array_equal(decode_image(content, 16), np.asarray(expected))


@given(cut=st.integers(0, 3999), flips=st.lists(st.integers(0, 3999), min_size=1, max_size=4, unique=True))
@quick
def test_damaged_zip_entries_never_give_bytes(tmp_path, cut, flips):
    content = np.random.default_rng(1).integers(0, 255, 4000, dtype=np.uint8).tobytes()
    damaged = bytearray(content)
    for flip in flips: damaged[flip] ^= 255
    path = write_zip(tmp_path / "d.zip", {"x.jpg": content})
    assert data._read(data._opened(path), "x.jpg") == content
    raw = path.read_bytes()
    path.write_bytes(raw.replace(content, bytes(damaged)))
    data._archive.cache_clear()
    with pytest.raises(zipfile.BadZipFile) as raised: data._read(data._opened(path), "x.jpg")
    assert data._reason(raised.value) == "damaged zip entry"
    data._archive.cache_clear()


@given(width=st.integers(1, 5000), height=st.integers(1, 5000), crop=st.floats(1, 178))
@quick
def test_crop_box_is_a_centred_square_inside(width, height, crop):
    left, top, right, bottom = data._crop_box(width, height, crop)
    assert right - left == pytest.approx(bottom - top) and right - left >= 0.999
    assert -1e-9 <= left and right <= width + 1e-9 and -1e-9 <= top and bottom <= height + 1e-9
    assert left + right == pytest.approx(width) and top + bottom == pytest.approx(height)
    if crop == 178: assert right - left == min(width, height)


# ---------------------------------------------------------------- zips and folders that are not as they should be

def test_a_damaged_entry_costs_that_entry(tmp_path, portraits):
    path = celeba_zip(tmp_path / "z.zip", portraits)
    with zipfile.ZipFile(path) as archive: entry = archive.infolist()[7]
    raw = bytearray(path.read_bytes())
    raw[entry.header_offset + 2000] ^= 255
    path.write_bytes(raw)
    images, names = load_with_warning(path, "000008.jpg (damaged zip entry)")
    assert len(images) == len(portraits) - 1 and "000008.jpg" not in names


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -1, -30])
def test_a_truncated_zip_is_one_clear_error(tmp_path, portraits, keep, cache):
    path = celeba_zip(tmp_path / "img_align_celeba.zip", portraits)
    raw = path.read_bytes()
    path.write_bytes(raw[:int(len(raw) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match="img_align_celeba.zip is not a whole zip file .*: download or copy it again"): load(tmp_path)
    assert list(cache.iterdir()) == []


@given(at=st.integers(1, 200), value=st.integers(0, 255))
@quick
def test_a_zip_with_a_damaged_directory_is_refused_or_read(tmp_path, at, value):
    path = write_zip(tmp_path / "d.zip", {f"{i}.png": encoded(np.full((8, 8, 3), i, np.uint8), "PNG") for i in range(3)})
    raw = bytearray(path.read_bytes())
    raw[-at] = value
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try: images = load_images(path, size=4, n_jobs=1, progress=False)
        except (ValueError, FileNotFoundError) as error: assert str(path) in str(error)
        else: assert all(len(np.unique(image)) == 1 for image in images)


def test_entries_that_point_outside_are_left_out(tmp_path):
    good = encoded(np.zeros((30, 30, 3), np.uint8))
    outside = ["../up.jpg", "a/../../b.jpg", "/etc/c.jpg", "C:\\d.jpg", "..\\e.jpg"]
    images, names = load_with_warning(write_zip(tmp_path / "z.zip", {name: good for name in ["good.jpg", *outside]}), "left out 5 of 6 files")
    assert names.tolist() == ["good.jpg"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["the cache", "z.zip"]


def test_encrypted_entries_are_named_and_all_methods_read(tmp_path):
    path = write_zip(tmp_path / "z.zip", {"a.jpg": encoded(np.zeros((30, 30, 3), np.uint8))}, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive: archive.writestr("b.jpg", encoded(np.full((30, 30, 3), 99, np.uint8)))
    assert len(load(path)) == 2
    raw = bytearray(path.read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)): raw[raw.rfind(start) + flags] |= 1  # of the last entry: encrypted
    path.write_bytes(raw)
    images, names = load_with_warning(path, "is encrypted, password required")
    assert names.tolist() == ["a.jpg"]


def test_a_deflate_bomb_is_not_unpacked(tmp_path):
    path = write_zip(tmp_path / "z.zip", {"bomb.jpg": bytes(300_000_000), "ok.jpg": encoded(np.zeros((30, 30, 3), np.uint8))}, zipfile.ZIP_DEFLATED)
    assert len(load_with_warning(path, "bomb.jpg (too large: 300 MB)")[0]) == 1


def test_a_bomb_that_claims_to_be_small_is_not_unpacked(tmp_path):
    path = write_zip(tmp_path / "z.zip", {"bomb.jpg": bytes(3_000_000)}, zipfile.ZIP_DEFLATED)
    entry = zipfile.ZipFile(path).infolist()[0]
    raw = path.read_bytes()
    for claimed, words in ((0, "empty file"), (10, "damaged zip entry")):
        path.write_bytes(raw.replace(struct.pack("<III", entry.CRC, entry.compress_size, 3_000_000), struct.pack("<III", entry.CRC, entry.compress_size, claimed)))
        data._archive.cache_clear()
        with pytest.raises((ValueError, zipfile.BadZipFile)) as raised: data._read(data._opened(path), "bomb.jpg")
        assert data._reason(raised.value) == words
    data._archive.cache_clear()


def test_a_zip_without_images_says_what_was_looked_for(tmp_path):
    path = write_zip(tmp_path / "docs.zip", {"readme.txt": b"", "list_attr_celeba.txt": b""})
    with pytest.raises(FileNotFoundError, match=r"looked for files that end in \.jpg.*docs\.zip, which holds readme\.txt, list_attr"): load(path)


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    write_folder(tmp_path / "f", {"notes.txt": b""})
    with pytest.raises(FileNotFoundError, match=r"no images found: looked for files that end in \.jpg.*\.webp or another suffix of images in .*/f, which holds notes\.txt"): load(tmp_path / "f")


def test_a_missing_folder_says_where_it_looked(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"there is nothing at {tmp_path}/nowhere: expected CelebA's img_align_celeba.zip"): load(tmp_path / "nowhere")


def test_a_file_that_is_no_source(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(ValueError, match="x.txt is neither a zip nor a folder"): load(tmp_path / "x.txt")


@pytest.mark.parametrize("options, error, words", [
    ({"size": 0}, ValueError, "size must be a whole number of at least 1"), ({"size": 64.0}, TypeError, "size must be a whole number"), ({"size": True}, TypeError, "size must be a whole number"),
    ({"size": None}, TypeError, "size must be a whole number"), ({"limit": 0}, ValueError, "limit must be a whole number of at least 1"), ({"n_jobs": -2}, ValueError, "n_jobs must be a whole number of at least 1"),
    ({"crop": 0}, ValueError, "crop must be a positive number, got 0"), ({"crop": 0.5}, ValueError, "crop of 1 to 178"), ({"crop": 179}, ValueError, "crop of 1 to 178"),
    ({"crop": float("nan")}, ValueError, "crop must be a positive number"), ({"crop": "140"}, TypeError, "crop must be a positive number, got '140'")])
def test_arguments_are_checked(tmp_path, options, error, words):
    with pytest.raises(error, match=words): load(tmp_path, **options)


def test_a_source_of_another_type():
    with pytest.raises(TypeError, match="expected a path, got None"): load(None)


# ---------------------------------------------------------------- the cache

def cached_files(cache): return sorted(p.name for p in cache.iterdir())


def test_second_call_reads_the_cache(tmp_path, portraits, monkeypatch, cache):
    path = celeba_zip(tmp_path / "z.zip", portraits)
    first, names = load(path, return_names=True)
    monkeypatch.setattr(data, "_decode_into", lambda *a: pytest.fail("decoded again"))
    again, names_again = load(path, return_names=True)
    np.testing.assert_array_equal(first, again)
    assert names.tolist() == names_again.tolist() and len(cached_files(cache)) == 1
    np.testing.assert_array_equal(np.load(next(cache.iterdir()), mmap_mode="r"), first)


def test_the_cache_depends_on_content_size_crop_and_limit(tmp_path, portraits, cache):
    path = celeba_zip(tmp_path / "z.zip", portraits)
    for options in ({}, {"size": 32}, {"crop": 100}, {"limit": 3}): load(path, **options)
    assert len(cached_files(cache)) == 4
    status = path.stat()
    celeba_zip(path, portraits[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # the same time, another content
    load(path)
    assert len(cached_files(cache)) == 5
    celeba_zip(path, portraits)
    os.utime(path, ns=(0, 0))
    load(path)
    assert len(cached_files(cache)) == 6


def test_a_changed_folder_is_read_again(tmp_path, portraits):
    folder = write_folder(tmp_path / "f", {"a.jpg": encoded(portraits[0]), "b.jpg": encoded(portraits[1])})
    assert len(load(folder)) == 2
    (folder / "c.jpg").write_bytes(encoded(portraits[2]))
    assert len(load(folder)) == 3
    (folder / "a.jpg").write_bytes(encoded(portraits[3]))
    np.testing.assert_array_equal(load(folder)[0], plain_loop([encoded(portraits[3])], crop=178)[0])


@pytest.mark.parametrize("place", ["the same", "another"])
def test_files_of_equal_names_sizes_and_times_are_not_taken_for_those_of_before(tmp_path, place):
    seen = []
    for grey in (10, 200):
        folder = write_folder(tmp_path / (str(grey) * (place == "another")) / "faces", {f"{i}.png": encoded(np.full((30, 30, 3), grey + i, np.uint8), "PNG", compress_level=0) for i in range(3)})
        for file in folder.iterdir(): os.utime(file, (1e9, 1e9))
        seen.append(load(folder).mean())
    assert seen[0] < 20 < 190 < seen[1]


def test_a_look_into_some_files_of_many(tmp_path):
    folder = write_folder(tmp_path / "f", {f"{i:03d}.jpg": bytes(20_000) for i in range(200)})
    assert data._fingerprint(folder) == data._fingerprint(folder)
    for name, at in {"000.jpg": 0, "004.jpg": 10_000, "196.jpg": 19_999}.items():
        before = data._fingerprint(folder)
        status, content = (folder / name).stat(), bytearray(20_000)
        content[at] = 1
        (folder / name).write_bytes(content)
        os.utime(folder / name, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert data._fingerprint(folder) != before, name


def test_another_way_to_the_same_folder_finds_its_cache(tmp_path, portraits, cache, monkeypatch):
    folder = write_folder(tmp_path / "faces", {"a.jpg": encoded(portraits[0])})
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    load(folder)
    monkeypatch.setattr(data, "_decode_into", lambda *a: pytest.fail("decoded again"))
    load("faces")
    assert data._fingerprint(Path("link")) == data._fingerprint(folder)


@pytest.mark.parametrize("damage", ["empty", "half", "one bit in the pixels", "one bit in the text", "longer", "shorter", "garbage", "text of another length"])
def test_a_damaged_cache_is_made_again(tmp_path, portraits, cache, damage):
    path = celeba_zip(tmp_path / "z.zip", portraits)
    expected = np.array(load(path))
    file = cache / cached_files(cache)[0]
    raw = bytearray(file.read_bytes())
    if damage == "one bit in the pixels": raw[70_000] ^= 1
    if damage == "one bit in the text": raw[-100] ^= 1
    if damage == "text of another length": raw[-data._FOOTER.size] ^= 1
    file.write_bytes({"empty": b"", "half": raw[:len(raw) // 2], "longer": raw + b"x", "shorter": raw[:-1], "garbage": os.urandom(len(raw))}.get(damage, raw))
    images, _ = load_with_warning(path, "are damaged or incomplete: they are made again")
    np.testing.assert_array_equal(images, expected)
    np.testing.assert_array_equal(load(path), expected)


@pytest.mark.parametrize("at", range(128))
def test_nothing_in_the_header_of_a_cache_changes_what_is_read(tmp_path, portraits, cache, at):
    path = celeba_zip(tmp_path / "z.zip", portraits[:2])
    expected = np.array(load(path, size=4))
    file = cache / cached_files(cache)[0]
    raw = bytearray(file.read_bytes())
    raw[at] ^= 1
    file.write_bytes(raw)
    images = load(path, size=4)
    np.testing.assert_array_equal(images, expected)
    assert images.dtype == np.uint8


def test_a_large_cache_is_checked_by_a_sample(tmp_path, portraits, cache, monkeypatch):
    monkeypatch.setattr(data, "_CHECKED_BYTES", 4 * 64 * 64 * 3)
    path = celeba_zip(tmp_path / "z.zip", portraits)
    load(path)
    file = cache / cached_files(cache)[0]
    raw = bytearray(file.read_bytes())
    raw[data._HEADER:data._HEADER + 24 * 64 * 64 * 3] = bytes(24 * 64 * 64 * 3)  # as after a crash before the pages were written
    file.write_bytes(raw)
    load_with_warning(path, "are damaged or incomplete")


def test_a_folder_that_cannot_be_written_to_costs_only_the_cache(tmp_path, portraits, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LATENTFACES_CACHE", str(tmp_path / "file" / "below"))
    path = celeba_zip(tmp_path / "z.zip", portraits)
    images, _ = load_with_warning(path, "cannot write to the cache folder")
    assert not isinstance(images, np.memmap) and not images.flags.writeable
    monkeypatch.setenv("LATENTFACES_CACHE", str(tmp_path / "elsewhere"))
    np.testing.assert_array_equal(images, load(path))


def homeless(monkeypatch):
    "As a process whose user the system does not know."
    for name in ("HOME", "XDG_CACHE_HOME", "LATENTFACES_CACHE"): monkeypatch.delenv(name, raising=False)

    def unknown(user): raise KeyError(user)

    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.mark.parametrize("why", ["no home", "the home of nobody", "older platformdirs"])
def test_without_a_home_the_images_stay_in_memory(tmp_path, portraits, monkeypatch, why):
    path = celeba_zip(tmp_path / "z.zip", portraits)
    homeless(monkeypatch)
    if why == "the home of nobody": monkeypatch.setenv("LATENTFACES_CACHE", "~nosuchuser/cache")
    if why == "older platformdirs": monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: f"~/.cache/{name}")
    assert data.cache_folder() is None
    images, _ = load_with_warning(path, "there is no home folder in which to keep decoded images: the images stay in memory; set LATENTFACES_CACHE")
    assert not isinstance(images, np.memmap) and not images.flags.writeable and len(images) == len(portraits)
    load(path, cache=False)


def test_a_cache_that_may_not_be_read_is_not_called_damaged(tmp_path, portraits, monkeypatch):
    def refuse(path, *how):
        if Path(path).suffix in (".npy", ".tmp"): raise PermissionError(errno.EACCES, "Permission denied")
        return open(path, *how)

    monkeypatch.setattr(data, "open", refuse, raising=False)
    load_with_warning(celeba_zip(tmp_path / "z.zip", portraits), "cannot write to the cache folder", n_jobs=1)


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path, portraits, cache):
    path = celeba_zip(tmp_path / "z.zip", portraits)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="no space left for the decoded images in .*the cache: free some, set LATENTFACES_CACHE"): load(path)
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert cached_files(cache) == []
    assert len(load(path)) == len(portraits)


def test_a_disk_that_fills_up_while_processes_run(tmp_path, portraits, cache, monkeypatch):
    monkeypatch.setattr(data, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(data, "_CHUNK", 16)
    write = data._write_images

    def fill_up(file, results, *rest):
        def some():
            for number, result in enumerate(results):
                if number == 3: raise OSError(errno.ENOSPC, "No space left on device")
                yield result
        return write(file, some(), *rest)

    monkeypatch.setattr(data, "_write_images", fill_up)
    path = celeba_zip(tmp_path / "z.zip", np.concatenate([portraits] * 20))
    with pytest.raises(OSError, match="no space left"): load(path, n_jobs=2)
    assert cached_files(cache) == []
    monkeypatch.undo()
    monkeypatch.setenv("LATENTFACES_CACHE", str(cache))
    assert len(load(path, n_jobs=2)) == 480


def test_what_an_ended_process_left_is_removed(tmp_path, portraits, cache):
    cache.mkdir()
    for name, age in {"old.tmp": 7200, "young.tmp": 10}.items():
        (cache / name).touch()
        os.utime(cache / name, (time.time() - age,) * 2)
    load(celeba_zip(tmp_path / "z.zip", portraits))
    assert "old.tmp" not in cached_files(cache) and "young.tmp" in cached_files(cache)


def test_gaps_close_whatever_fails(tmp_path, many):
    "Files that cannot be read, in several chunks, two of which lie side by side."
    with zipfile.ZipFile(many) as archive: files = {name: archive.read(name) for name in archive.namelist()}
    broken = [*range(10, 40), 100, 479]
    for number in broken: files[f"img_align_celeba/{number + 1:06d}.jpg"] = b"no image"
    path = write_zip(tmp_path / "gaps.zip", files)
    for options in ({"n_jobs": 2}, {"n_jobs": 1, "cache": False}, {"n_jobs": 2, "cache": False}):
        images, names = load_with_warning(path, "left out 32 of 480 files", **options)
        kept = [number for number in range(480) if number not in broken]
        assert names.tolist() == [f"{number + 1:06d}.jpg" for number in kept]
        np.testing.assert_array_equal(images, load(many, n_jobs=1)[kept])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["CelebA", "zip", "folder", "damaged entries", "cut off", "no zip", "full disk"])
def test_every_file_is_closed_again(tmp_path, portraits, kind, monkeypatch):
    "Also where something goes wrong. Files that are closed by being forgotten would give a warning, were it not turned off while images are decoded."
    opened = []

    def spy(*arguments, **options):
        opened.append(open(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(data, "open", spy, raising=False)
    monkeypatch.setattr(zipfile.io, "open", spy)
    monkeypatch.setattr(data, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(data, "_CHUNK", 16)
    path = celeba_zip(tmp_path / "z.zip", portraits)
    if kind == "zip": write_zip(path, {f"{i}.png": encoded(image, "PNG") for i, image in enumerate(portraits)})
    if kind == "folder": path = write_folder(tmp_path / "f", {f"{i:06d}.jpg": encoded(image) for i, image in enumerate(portraits)})
    if kind == "damaged entries": path.write_bytes(path.read_bytes().replace(b"JFIF", b"GIF8"))
    if kind == "cut off": path.write_bytes(path.read_bytes()[:5000])
    if kind == "no zip": path = write_folder(tmp_path / "f", {"a": b"no zip"}) / "a"
    if kind == "full disk": monkeypatch.setattr(data, "_write_images", lambda *a: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    if kind in ("CelebA", "zip", "folder"):
        for _ in range(2): load(path, n_jobs=2)
    else:
        with pytest.raises((ValueError, OSError)): load(path, n_jobs=2)
    with pytest.MonkeyPatch.context() as patch:
        caught = []
        patch.setattr("sys.unraisablehook", caught.append)
        gc.collect()
    assert not caught and all(file.closed for file in opened), [file for file in opened if not file.closed]
    assert opened or kind == "no zip"


# ---------------------------------------------------------------- processes

@pytest.fixture
def many(tmp_path, portraits, monkeypatch):
    "A zip of 480 files, and processes even for so few."
    monkeypatch.setattr(data, "_WORTH_PROCESSES", 0)
    monkeypatch.setattr(data, "_CHUNK", 16)
    return celeba_zip(tmp_path / "many.zip", np.concatenate([portraits] * 20))


@pytest.mark.parametrize("n_jobs", [1, 2, 4])
def test_any_number_of_processes_gives_the_same(many, n_jobs):
    with zipfile.ZipFile(many) as archive: expected = plain_loop([archive.read(name) for name in archive.namelist()])
    np.testing.assert_array_equal(load(many, n_jobs=n_jobs, cache=False), expected)


def where(*arguments): return os.getpid()


def test_other_processes_do_the_work(many, monkeypatch):
    "And the zip's directory is read once in each."
    chunks = list(data._decode_all(many, sorted(zipfile.ZipFile(many).namelist()), (8, 140), None, 2))
    assert [len(checksums) for _, (_, checksums, _, _) in chunks] == [16] * 30
    assert [start for start, _ in chunks] == [128 + 16 * 8 * 8 * 3 * i for i in range(30)]
    monkeypatch.setattr(data, "_decode_chunk", where)
    assert os.getpid() not in {process for _, process in data._decode_all(many, list(range(480)), (8, 140), None, 2)}
    assert {process for _, process in data._decode_all(many, list(range(480)), (8, 140), None, 1)} == {os.getpid()}


def test_few_images_start_no_process(tmp_path, portraits, monkeypatch):
    jobs, decode_all = [], data._decode_all
    monkeypatch.setattr(data, "_decode_all", lambda *a: jobs.append(a[-1]) or decode_all(*a))
    path = celeba_zip(tmp_path / "few.zip", portraits)
    load(path, cache=False)
    monkeypatch.setattr(data, "_WORTH_PROCESSES", path.stat().st_size // 2)
    load(path, cache=False, limit=4)
    load(path, cache=False, n_jobs=2)
    load(path, cache=False)
    assert jobs == [1, 1, 2, -1]


def test_a_process_that_is_ended_is_one_clear_sentence(tmp_path, many, cache):
    code = """
import os, signal, latentfaces.images as d
d._WORTH_PROCESSES, d._CHUNK = 0, 16
def decode(data, *how): os.kill(os.getpid(), signal.SIGKILL)
d._decoded = decode
d._decode_chunk.__module__ = "__main__"  # so that the processes get this one and not that of the file
d.load_images({path!r}, n_jobs=2, progress=False)
"""
    done = run_python("-c", code.replace("{path!r}", repr(str(many))))
    assert done.stderr.splitlines()[-1] == (
        "RuntimeError: a process that decoded images was ended from outside, as systems do when memory is short: "
        "free some, or pass n_jobs=1 to decode in this process alone")
    assert cached_files(cache) == []


def test_processes_that_began_in_another_folder(many, tmp_path, monkeypatch):
    expected = load(many, n_jobs=2, cache=False)  # the processes stay for a while
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("LATENTFACES_CACHE", "a folder")
    np.testing.assert_array_equal(load(Path("..") / many.name, n_jobs=2), expected)


def test_threads_instead_of_processes_lose_no_warning(many):
    "As inside another process of joblib's."
    import joblib

    with zipfile.ZipFile(many, "a") as archive: archive.writestr("img_align_celeba/000999.jpg", b"")
    before = list(warnings.filters)
    with joblib.parallel_config(backend="threading"):
        for _ in range(5): load_with_warning(many, "left out 1 of 481 files", n_jobs=4, cache=False)
    assert warnings.filters == before


def test_where_no_process_can_be_started_the_work_is_done_here(many, monkeypatch):
    import joblib

    class Refusing(joblib.Parallel):
        def __call__(self, tasks):
            if self.n_jobs != 1: raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            return super().__call__(tasks)

    expected = load(many, n_jobs=1, cache=False)
    monkeypatch.setattr(joblib, "Parallel", Refusing)
    np.testing.assert_array_equal(load(many, n_jobs=3, cache=False), expected)


def environment(**more):
    "Variables of another process that finds this package."
    paths = os.pathsep.join([*more.pop("paths", []), str(Path(data.__file__).parents[1])])
    return {**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", **more}


def run_python(*arguments, script=None, timeout=300, **more):
    return subprocess.run([sys.executable, *arguments], input=script, capture_output=True, text=True, timeout=timeout, env=environment(**more))


SCRIPT = """
{first}
import latentfaces.images as data
data._WORTH_PROCESSES, data._CHUNK = 0, 16
images = data.load_images({path!r}, n_jobs=2, progress=False)
print("shape", images.shape)
"""


@pytest.mark.parametrize("how", ["script", "stdin", "-c"])
def test_parents_of_every_kind(tmp_path, many, how):
    "A script without the usual guard around its main part, standard input, -c."
    code = SCRIPT.format(first="", path=str(many))
    (tmp_path / "script.py").write_text(code)
    done = run_python(*{"script": [str(tmp_path / "script.py")], "stdin": ["-"], "-c": ["-c", code]}[how], script=code if how == "stdin" else None)
    assert done.stdout.split("\n")[:-1] == ["shape (480, 64, 64, 3)"], done.stderr


def test_processes_beside_tensorflow(many):
    pytest.importorskip("tensorflow")
    done = run_python("-c", SCRIPT.format(first="import tensorflow as tf\nprint('sum', float(tf.reduce_sum(tf.ones((300, 300)) @ tf.ones((300, 300)))))", path=str(many)))
    assert "shape (480, 64, 64, 3)" in done.stdout, done.stderr


def test_two_processes_at_the_same_time(tmp_path, many, cache):
    code = SCRIPT.format(first="", path=str(many))
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment()) for _ in range(2)]
    assert all(process.communicate(timeout=300)[0] == b"shape (480, 64, 64, 3)\n" for process in both)
    assert len(cached_files(cache)) == 1
    np.testing.assert_array_equal(load(many), load(many, cache=False))


def test_import_is_light():
    "It is what a process that decodes has to wait for."
    heavy = "{'tensorflow', 'keras', 'matplotlib', 'torch', 'tqdm', 'platformdirs', 'joblib', 'pandas', 'scipy', 'sklearn'}"
    done = run_python("-c", f"import sys, latentfaces.images, latentfaces.labels, latentfaces.drawn; print({heavy} & set(sys.modules))")
    assert done.stdout.strip() == "set()", done.stderr
    done = run_python("-c", "import sys, latentfaces; print({'PIL', 'joblib', 'numpy'} & set(sys.modules))")
    assert done.stdout.strip() == "set()", done.stderr


# ---------------------------------------------------------------- check_images
@given(images=hnp.arrays(st.sampled_from([np.float16, np.float32, np.float64]), st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.just(3)), elements=st.floats(0, 1, width=16)))
@quick
def test_good_images_pass_unchanged(images): assert check_images(images) is images


@given(images=hnp.arrays(np.float32, (5, 3, 3, 3), elements=st.floats(0, 1, width=16)), at=st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)),
       bad=st.sampled_from([np.nan, np.inf, -np.inf, -0.001, 1.001, 300]))
@quick
def test_one_bad_value_is_found(images, at, bad):
    images[at] = bad
    with pytest.raises(ValueError, match="expected values in"): check_images(images)


def test_the_message_says_what_came_and_what_to_do():
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], got \[0, 300\]: divide by 255 or pass uint8"): check_images(np.linspace(0, 300, 1500 * 12).reshape(1500, 2, 2, 3))
    with pytest.raises(TypeError, match="got int64"): check_images(np.zeros((2, 4, 4, 3), np.int64))
    for shape in [(4, 4, 3), (2, 4, 4), (2, 4, 4, 1), (2, 3, 4, 4), (0, 4, 4, 3), (2, 0, 4, 3)]:
        with pytest.raises(ValueError, match=r"expected images of shape \(n, height, width, 3\)"): check_images(np.zeros(shape, np.uint8))


def test_the_check_is_light_on_memory_maps(tmp_path):
    "A gigabyte of zeros on disk (in a sparse file) passes without coming into memory as a whole."
    code = ("import numpy as np, resource, sys; from latentfaces.core import check_images\n"
            f"images = np.memmap({str(tmp_path / 'big')!r}, np.{{kind}}, mode='w+', shape=({{n}}, 64, 64, 3))\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "assert check_images(images) is images\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)")
    assert int(run_python("-c", code.format(kind="uint8", n=90_000)).stdout) < 20_000
    assert int(run_python("-c", code.format(kind="float32", n=6_000)).stdout) < 400_000  # the file's own pages, no copies


# ---------------------------------------------------------------- real images

@needs_celeba
def test_celeba_is_what_a_plain_loop_gives():
    images, names = load(CELEBA, limit=300, return_names=True, n_jobs=2)
    path = data._find_source(CELEBA)
    files = [data._read(data._opened(path), item) for item in list(data._listing(path).items.values())[:300]]
    data._archive.cache_clear()
    np.testing.assert_array_equal(images, plain_loop(files))
    assert names[0] == "000001.jpg" and len(names) == 300


def test_a_number_of_faces_that_is_none_is_named():
    with pytest.raises(ValueError, match="such as synthetic:1000, got synthetic:abc"): load_images("synthetic:abc")


# ---------------------------------------------------------------- several arrays as one

@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_arrays_one_behind_the_other_are_indexed_like_one(sizes, seed):
    rng = np.random.default_rng(seed)
    parts = [rng.integers(0, 256, (n, 2, 3, 3), dtype=np.uint8) for n in sizes]
    whole, joined = np.concatenate(parts), data.ImageConcat(parts)
    assert (len(joined), joined.shape, joined.dtype, joined.ndim) == (len(whole), whole.shape, whole.dtype, whole.ndim)
    keys = [slice(None), slice(1, None, 2), slice(None, None, -1), slice(7, 7), rng.permutation(len(whole)), whole[:, 0, 0, 0] > 100]
    for key in keys: np.testing.assert_array_equal(joined[key], whole[key])
    for i in range(-len(whole), len(whole)): np.testing.assert_array_equal(joined[i], whole[i])
    with pytest.raises(IndexError): joined[len(whole)]


@pytest.mark.parametrize("parts", [[], [np.zeros((2, 4, 4, 3)), np.zeros((2, 5, 5, 3))], [np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 3), np.uint8)]])
def test_arrays_of_different_kinds_are_not_joined(parts):
    with pytest.raises(ValueError, match="expected images of one size and dtype"): data.ImageConcat(parts)


def test_rows_only():
    whole = np.zeros((4, 2, 2, 3))
    for view in (data.ImageConcat([whole, whole]), data.ImageSubset(whole, [1, 2])):
        for key in ((slice(None), 0), (..., 0), ...):
            with pytest.raises(TypeError, match="^expected rows of images[^\n]+$"): view[key]
