"Pictures of faces: every pixel at its place, a title above, sharp edges, and neither a figure nor what figures need."
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from latentfaces.drawn import synthetic_faces
from latentfaces.pictures import face_picture, face_sheet

rng = np.random.default_rng(0)


def opened(*args, **options):
    "The pixels of the PNG file that is made."
    with Image.open(io.BytesIO(face_picture(*args, **options))) as picture:
        assert picture.format == "PNG" and picture.mode == "RGB"
        return np.asarray(picture)


# ---------------------------------------------------------------------------------------------------------------- sheets

@settings(max_examples=30, deadline=None)
@given(st.integers(1, 23), st.integers(1, 9), st.integers(0, 4), st.integers(1, 6), st.integers(1, 6))
def test_every_face_is_in_the_sheet_at_its_place_and_the_rest_is_white(n, columns, gap, height, width):
    faces = np.random.default_rng(n).integers(0, 255, (n, height, width, 3), dtype=np.uint8)
    sheet = face_sheet(faces, columns, gap=gap)
    assert sheet.shape == (-(-n // columns) * (height + gap) + gap, min(n, columns) * (width + gap) + gap, 3)
    rest = np.ones(sheet.shape[:2], bool)
    for i, face in enumerate(faces):
        place = np.s_[gap + i // columns * (height + gap):, gap + i % columns * (width + gap):]
        np.testing.assert_array_equal(sheet[place][:height, :width], face)
        rest[place][:height, :width] = False
    assert (sheet[rest] == 255).all()


def test_float_faces_are_rounded_not_cut():
    assert (face_sheet(np.full((1, 2, 2, 3), 0.999), gap=0) == 255).all() and (face_sheet(np.full((1, 2, 2, 3), 0.002), gap=0) == 1).all()


def test_lists_are_faces_too():
    faces = rng.random((4, 3, 3, 3))
    np.testing.assert_array_equal(face_sheet(faces.tolist()), face_sheet(faces))
    assert face_picture(faces.tolist()) == face_picture(faces)


@pytest.mark.parametrize("draw", [face_sheet, face_picture, lambda faces: face_picture(faces, enlarged=False)])
@pytest.mark.parametrize("faces, error, says", [
    (np.zeros((0, 4, 4, 3)), ValueError, "expected images"), (np.zeros((4, 4, 3)), ValueError, "expected images"),
    (np.zeros((2, 4, 4)), ValueError, "expected images"), (np.zeros((2, 4, 4, 1)), ValueError, "expected images"),
    (np.full((1, 2, 2, 3), 1.7), ValueError, r"expected values in \[0, 1\]"), (np.full((1, 2, 2, 3), -0.1), ValueError, r"expected values in \[0, 1\]"),
    (np.full((1, 2, 2, 3), np.nan), ValueError, "NaN"), (np.full((1, 2, 2, 3), 7), TypeError, "uint8"), ("faces.png", TypeError, "load_images")])
def test_what_is_no_face_is_refused(draw, faces, error, says):
    with pytest.raises(error, match=f"^[^\n]*{says}[^\n]*$"): draw(faces)


@pytest.mark.parametrize("columns, error", [(0, ValueError), (-2, ValueError), (1.5, TypeError), (None, TypeError)])
@pytest.mark.parametrize("draw", [face_sheet, face_picture])
def test_what_is_no_number_of_columns_is_refused(draw, columns, error):
    with pytest.raises(error, match="columns must be"): draw(np.zeros((3, 4, 4, 3)), columns)


# ---------------------------------------------------------------------------------------------------------------- titles

def test_a_title_stands_above_the_sheet():
    faces = rng.random((9, 40, 40, 3))
    plain, titled, other = face_sheet(faces, 3), face_sheet(faces, 3, "nine faces"), face_sheet(faces, 3, "other faces")
    np.testing.assert_array_equal(titled[20:], plain)
    assert titled.shape == (plain.shape[0] + 20, *plain.shape[1:]) and titled[:20].min() == 0
    assert (titled[:20] != other[:20]).any() and (titled[[0, 19]] == 255).all()


@pytest.mark.parametrize("enlarged, gap", [(True, 4), (False, 2)])
def test_a_narrow_picture_is_as_wide_as_its_title(enlarged, gap):
    face, title = rng.random((1, 8, 8, 3)), "a title that is wider than the only face"
    plain, titled = opened(face, enlarged=enlarged), opened(face, title=title, enlarged=enlarged)
    line, below = np.split(titled, [len(titled) - len(plain)])
    np.testing.assert_array_equal(below[:, :plain.shape[1]], plain)
    assert (below[:, plain.shape[1]:] == 255).all() and titled.shape[1] > plain.shape[1]
    written = np.flatnonzero(line.min(axis=(0, 2)) < 128)
    assert 3 <= written[0] < 9 and 3 <= titled.shape[1] - written[-1] < 9  # whole, with white on either side


def test_an_endless_title_is_cut_off_and_lines_become_one():
    face = rng.random((1, 8, 8, 3))
    assert opened(face, title="word " * 9999).shape == opened(face, title="word " * 999).shape == (30 + 24 + 8, 1000, 3)
    np.testing.assert_array_equal(face_sheet(face, title="two\n lines "), face_sheet(face, title="two lines"))
    np.testing.assert_array_equal(face_sheet(face, title=" \n"), face_sheet(face))
    assert face_sheet(face, title="é 漢 \0").shape[0] == 32


# ---------------------------------------------------------------------------------------------------------------- enlarged

@pytest.mark.parametrize("n, size, columns, times", [(20, 64, 8, 2), (1, 64, 8, 3), (5, 64, 8, 3), (3, 64, 1, 3), (80, 128, 8, 1), (2, 512, 2, 1), (6, 16, 3, 3)])
def test_few_faces_are_enlarged_as_far_as_a_screen_goes(n, size, columns, times):
    height, width = -(-n // columns) * (times * size + 4) + 4, min(n, columns) * (times * size + 4) + 4
    assert opened(np.zeros((n, size, size, 3)), columns).shape == (height, width, 3)
    assert opened(np.zeros((n, size, size, 3)), columns, "t").shape == (height + 30, width, 3)


def test_faces_that_are_no_squares_keep_their_form():
    assert opened(rng.random((2, 10, 20, 3))).shape == (4 + 30 + 4, 2 * (4 + 60) + 4, 3)


def test_each_face_is_enlarged_by_itself():
    "A black face between white gaps stays black to its last pixel, one of one colour of that colour; the gaps stay white."
    colours = np.array([[0, 0, 0], [0, 0, 0], [10, 200, 90], [255, 255, 255], [3, 2, 1], [0, 0, 0]], np.uint8)
    picture = opened(colours[:, None, None] * np.ones((16, 16, 1), np.uint8), 3)
    np.testing.assert_array_equal(picture, face_sheet(colours[:, None, None] * np.ones((48, 48, 1), np.uint8), 3, gap=4))


def test_enlarged_faces_are_smooth_and_still_the_same_faces():
    faces = synthetic_faces(4)[0]
    picture = opened(faces, 2)
    for i, face in enumerate(faces):
        top, left = 4 + i // 2 * 196, 4 + i % 2 * 196
        large = picture[top:top + 192, left:left + 192]
        back = np.asarray(Image.fromarray(large).resize((64, 64), Image.Resampling.BOX))
        assert abs(back.astype(int) - face).mean() < 2
        steps, blocks = (abs(np.diff(x.astype(int), axis=1)) for x in (large, np.repeat(face, 3, axis=1)))
        assert steps.max() < 0.75 * blocks.max()


def test_many_faces_keep_their_own_pixels():
    faces = rng.integers(0, 256, (400, 12, 12, 3), dtype=np.uint8)
    np.testing.assert_array_equal(opened(faces, 20, "four hundred", enlarged=False), face_sheet(faces, 20, "four hundred"))
