"""CelebA's tables in every form, good and bad, and splits that stay.

All files are made here, but for the test at the end: it reads CelebA from the folder that the environment variable
LATENTFACES_CELEBA names, and is skipped without it.
"""
import os
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latentfaces.drawn import synthetic_faces
from latentfaces.images import load_images
from latentfaces.labels import CELEBA_ATTRIBUTES as NAMES
from latentfaces.labels import load_attributes, load_partition, split_indices

CELEBA = os.environ.get("LATENTFACES_CELEBA")
needs_celeba = pytest.mark.skipif(not CELEBA, reason="set LATENTFACES_CELEBA to a folder with CelebA to run this test")
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def attribute_file(path, values, form="txt", names=None):
    names = names or [f"{i:06d}.jpg" for i in range(1, len(values) + 1)]
    separator = {"semicolons": ";", "tabs": "\t"}.get(form, ",")
    if form == "txt": lines = [str(len(values)), " ".join(NAMES) + " ", *(f"{n} " + " ".join(f"{v:2d}" for v in row) for n, row in zip(names, values))]
    else: lines = [separator.join(["image_id", *NAMES]), *(separator.join([n, *map(str, row)]) for n, row in zip(names, values))]
    path.write_text("\n".join(lines) + "\n")
    return path


@given(values=hnp.arrays(np.int8, st.tuples(st.integers(1, 6), st.just(40)), elements=st.sampled_from([-1, 1])), form=st.sampled_from(["txt", "csv", "semicolons", "tabs"]))
@quick
def test_attributes_come_back_from_every_form(tmp_path, values, form):
    read = load_attributes(attribute_file(tmp_path / f"list_attr_celeba.{'txt' if form == 'txt' else 'csv'}", values, form))
    np.testing.assert_array_equal(read.to_numpy(), values == 1)
    assert (read.dtypes == bool).all() and tuple(read.columns) == NAMES and read.index[0] == "000001.jpg"


def test_what_a_spreadsheet_makes_of_the_attributes(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbf"image_id"; "Male" ;"Young"\r\n000001.jpg;1;-1\r\n"000002.jpg"; -1 ;1\r\n;;\r\n')
    read = load_attributes(tmp_path / "a.csv")
    assert list(read.columns) == ["Male", "Young"] and read.values.tolist() == [[True, False], [False, True]] and read.index.tolist() == ["000001.jpg", "000002.jpg"]


@pytest.mark.parametrize("yes, no", [("1", "-1"), ("1", "0"), ("True", "False"), ("true", "false")])
def test_every_spelling_of_yes_and_no(tmp_path, yes, no):
    (tmp_path / "a.csv").write_text(f"image_id,Male,Young\n000001.jpg,{yes},{no}\n000002.jpg,{no},{no}\n")
    assert load_attributes(tmp_path / "a.csv").values.tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize("content", ["image_id|Male|Young\n000001.jpg|1|-1\n", "image_id\n000001.jpg\n", "2\nMale\n000001.jpg\n000002.jpg\n", "image_id,\n"])
def test_a_table_never_has_no_attributes(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match="no attributes in .*a.csv: expected a line with their names .* separated by commas, semicolons, tabs or spaces"): load_attributes(tmp_path / "a.csv")


def test_attributes_from_a_folder_or_beside_the_images(tmp_path):
    values = np.where(np.arange(80).reshape(2, 40) % 3, 1, -1)
    attribute_file(tmp_path / "list_attr_celeba.csv", values, "csv")
    (tmp_path / "img_align_celeba.zip").touch()
    for source in (tmp_path, tmp_path / "img_align_celeba.zip", str(tmp_path / "list_attr_celeba.csv")):
        np.testing.assert_array_equal(load_attributes(source).to_numpy(), values == 1)


def test_rows_that_do_not_parse_are_named_once(tmp_path):
    values = np.ones((6, 40), int)
    path = attribute_file(tmp_path / "list_attr_celeba.txt", values)
    lines = path.read_text().split("\n")
    lines[3] = lines[3].replace(" 1", " one", 1)       # 000002.jpg
    lines[4] = lines[4][:-4]                           # 000003.jpg has 38 values
    lines[5] = "000001.jpg" + " -1" * 40               # a second row for the first image, in place of 000004.jpg
    path.write_text("\n".join(lines))
    with pytest.warns(UserWarning) as caught: read = load_attributes(path)
    first, second = (str(w.message) for w in caught)
    assert f"left out 3 of 6 rows in {path}" in first and first.endswith(": 000002.jpg, 000003.jpg, 000001.jpg")
    assert second == f"{path} announces 6 rows, and 3 could be read"
    assert {w.filename for w in caught} == {__file__}, "the warning should point to the caller"
    assert read.index.tolist() == ["000001.jpg", "000005.jpg", "000006.jpg"] and read.to_numpy().all()
    with pytest.raises(KeyError, match="'000002.jpg', '000004.jpg'.* not in index"): read.loc[["000001.jpg", "000002.jpg", "000004.jpg"]]


@pytest.mark.parametrize("text", [
    "\n\nimage_id,Male,Young\n\nNA,1,-1\nnull,-1,1\n",
    "2\n\nMale Young\n\nNA 1 -1\n\nnull -1 1\n",
])
def test_empty_lines_do_not_count_and_names_like_missing_values_do(tmp_path, text):
    path = tmp_path / "table.txt"
    path.write_text(text)
    with warnings.catch_warnings(action="error"): read = load_attributes(path)
    assert read.index.tolist() == ["NA", "null"] and read.columns.tolist() == ["Male", "Young"]
    assert read.to_numpy().tolist() == [[True, False], [False, True]]


def test_a_row_with_too_many_values_is_one_clear_error(tmp_path):
    path = attribute_file(tmp_path / "list_attr_celeba.txt", np.ones((6, 40), int))
    path.write_text(path.read_text().replace("000003.jpg", "000003.jpg 1"))
    with pytest.raises(ValueError, match="list_attr_celeba.txt is not a table in CelebA's .txt or .csv form .*line 5"): load_attributes(path)


def test_a_broken_off_file_says_so(tmp_path):
    path = attribute_file(tmp_path / "list_attr_celeba.txt", np.ones((6, 40), int))
    path.write_text("\n".join(path.read_text().split("\n")[:5]))
    with pytest.warns(UserWarning, match="announces 6 rows, and 3 could be read"): assert len(load_attributes(path)) == 3


@pytest.mark.parametrize("content, words", [(b"", "no attributes in"), (b"3\n", "no attributes in"), (b"\xff\xfe\x00\x81", "is not a text file"), (b"2\n" + b" ".join(b"x%d" % i for i in range(40)) + b"\n1 2 3\n4 5 6\n", "no row could be read"), (b"1\nx x\n1.jpg 1 1\n", "Duplicate names"),
                                           (b"000001.jpg" + b" 1" * 40 + b"\n000002.jpg" + b" 1" * 40, "expected a line with their names")])
def test_attribute_files_without_attributes(tmp_path, content, words):
    (tmp_path / "list_attr_celeba.txt").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=words): load_attributes(tmp_path)


def test_missing_tables_say_where_was_looked(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"looked for list_attr_celeba.txt and list_attr_celeba.csv in {tmp_path}: neither is there"): load_attributes(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such file or folder"): load_partition(tmp_path / "nowhere")


@pytest.mark.parametrize("form, separator", [("txt", " "), ("csv", ","), ("csv", ";"), ("csv", "\t")])
def test_partition_from_every_form(tmp_path, form, separator):
    rows = [f"image_id{separator}partition"] * (form == "csv") + [f"00000{i}.jpg{separator}{part}" for i, part in enumerate([0, 0, 1, 2, 3], 1)]
    (tmp_path / f"list_eval_partition.{form}").write_text("\n".join(rows))
    with pytest.warns(UserWarning, match="left out 1 of 5 rows"): read = load_partition(tmp_path)
    assert isinstance(read, pd.Series) and read.tolist() == [0, 0, 1, 2] and read.index[3] == "000004.jpg" and read.dtype == np.int8
    assert read.loc[["000004.jpg", "000001.jpg"]].tolist() == [2, 0]


def test_drawn_attributes_are_found_by_the_name_of_their_source():
    assert load_attributes("synthetic:30").equals(synthetic_faces(30, size=8)[1])


# ---------------------------------------------------------------- splits

@given(n=st.integers(2, 500), share=st.floats(0.001, 0.999), seed=st.integers(0, 99))
@quick
def test_splits_are_complete_disjoint_sorted_and_stay(n, share, seed):
    train, held_out = split_indices(n, share, random_state=seed)
    assert sorted([*train, *held_out]) == list(range(n)) and len(train) and len(held_out)
    assert (np.diff(train) > 0).all() and (np.diff(held_out) > 0).all()
    assert abs(len(held_out) - share * n) <= 1
    np.testing.assert_array_equal(held_out, split_indices(n, share, random_state=seed)[1])
    assert len(split_indices(n, n - 1)[1]) == n - 1


def test_another_seed_is_another_split():
    assert (split_indices(1000, 100, 0)[1] != split_indices(1000, 100, 1)[1]).any()


@pytest.mark.parametrize("n, held_out", [(10, 0), (10, 10), (10, -1), (10, 1.0), (10, 2.5), (10, float("nan")), (1, 0.5), (1, 1)])
def test_splits_that_leave_nothing_are_refused(n, held_out):
    with pytest.raises(ValueError, match="expected to hold out|cannot be split|held_out must be"): split_indices(n, held_out)


@pytest.mark.parametrize("held_out", [True, "0.1", None])
def test_what_is_no_number_of_images_is_refused(held_out):
    with pytest.raises(TypeError, match="held_out must be a whole number of at least 1"): split_indices(10, held_out)


# ---------------------------------------------------------------- real tables

@needs_celeba
def test_celebas_attributes_and_partition_belong_to_its_images():
    names = load_images(CELEBA, limit=500, return_names=True)[1]
    attributes, partition = load_attributes(CELEBA).loc[names], load_partition(CELEBA).loc[names]
    assert tuple(attributes.columns) == NAMES and attributes.shape == (500, 40)
    assert set(partition) <= {0, 1, 2}
    assert 0.3 < attributes["Smiling"].mean() < 0.7
