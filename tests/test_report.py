"The latent report: what it reads, what it leaves out and says so, and the page."
import base64
import gc
import io
import os
import re
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
import sklearn
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

import clouds
from latentfaces import report
from latentfaces.bundle import Bundle
from latentfaces.choice import compare_samplers
from latentfaces.gaussian import normality
from latentfaces.report import latent_report, read_points, usable_points


def unit(z): return z / np.linalg.norm(z, axis=1, keepdims=True)


def blobs(distance, n=1000, d=8, share=0.5):
    "Two normal clouds at a distance in standard deviations of each."
    z = np.random.default_rng(0).standard_normal((n, d))
    z[:int(share * n)] += distance / np.sqrt(d)
    return z

cloud = partial(clouds.cloud, heavy=0.3)  # every point with a scale of its own, so that nothing about it is trivial


def row(found, section, label): return next(row.text for row in found.tables[section].itertuples() if label in row.quantity)


def value(found, section): return found.tables[section]["value"]


page_of = report._page
PICTURES = {"axes": 3, "distributions": 2, "normal": 3, "correlations": 3, "ellipses": 2, "sampling": 1, "choice": 1, "faces": 2}
WITHOUT_FACES = sum(PICTURES.values()) - PICTURES["faces"]


@pytest.fixture(scope="module")
def found(): return latent_report(cloud())


class TestNumbers:
    def test_a_normal_cloud_is_found_normal(self):
        numbers = value(latent_report(cloud(4000, heavy=0)), "normal")
        assert numbers["radius_ks"] < 0.03 and 0.8 < numbers["radius_ratio"] < 1.2 and numbers["rejected"] == 0

    def test_heavy_tails_are_found(self):
        analysis = latent_report(cloud(4000, heavy=0.5))
        assert value(analysis, "normal")["radius_ratio"] > 2
        assert "heavier tails" in " ".join(analysis.summary)

    def test_few_normal_points_have_the_variance_of_few_normal_points(self):
        clouds = [np.random.default_rng(seed).standard_normal((100, 60)) for seed in range(4)]
        found = [value(latent_report(z), "normal")["radius_ratio"] for z in clouds]
        assert np.mean(found) == pytest.approx(1, abs=0.25) and np.mean([normality(z).radius_variance for z in clouds]) < 0.6

    def test_a_quantity_has_one_value_on_the_page(self, found):
        said = re.search("lengths vary ([0-9.]+) times as much", " ".join(found.summary))[1]
        labels = [label for table in found.tables.values() for label in table["quantity"]]
        assert said == row(found, "normal", "variance of the squared lengths") and len(set(labels)) == len(labels)
        assert "variance_ratio" not in value(found, "normal")

    def test_correlations_are_counted_as_they_are(self, found):
        off = np.abs(np.corrcoef(cloud().T)[np.triu_indices(6, 1)])
        assert row(found, "correlations", "pairs with |r|") == f"{np.mean(off >= 0.3):.1%}"
        assert value(found, "correlations")["mean"] == pytest.approx(off.mean())

    def test_many_components_need_no_matrix_of_all_pairs(self, monkeypatch):
        def narrow(name, most):
            function = getattr(report, name)
            def checked(z, *args, **options):
                assert np.shape(z)[1] <= most, name
                return function(z, *args, **options)
            monkeypatch.setattr(report, name, checked)
        for name, most in (("correlation_matrix", 2048), ("share_in_ellipses", 600), ("normality", 600)): narrow(name, most)
        z = np.random.default_rng(0).standard_normal((40, 1500)).astype(np.float32)
        z[:, 1400] = z[:, 3]
        found = latent_report(z)
        assert row(found, "correlations", "strongest").startswith("3 and 1400 (+1.00)")
        assert page_of(found).count("<img") == WITHOUT_FACES - PICTURES["normal"] - PICTURES["choice"]
        wide = latent_report(np.repeat(z, 3, axis=1))
        assert wide.notes[0] == "Of 4,500 components 2,048, evenly chosen, were looked at for correlations."
        assert not any("evenly chosen" in note for note in found.notes)
        assert row(wide, "correlations", "mean |r| over all pairs, of 2,048 of 4,500 components") and "(+1.00)" in row(wide, "correlations", "strongest")

    def test_the_origin_is_where_it_is(self):
        z = np.random.default_rng(0).standard_normal((5000, 4)) + [3, 0, 0, 0]
        origin = value(latent_report(z), "distributions")
        assert origin["sigmas"] == pytest.approx(3, abs=0.1) and origin["beyond"] == pytest.approx(stats.norm.sf(3), abs=0.002)

    def test_axes_count_what_varies(self, found):
        numbers = value(found, "axes")
        assert numbers["rank"] == 6 and 1 <= numbers["50%"] <= numbers["90%"] <= numbers["99%"] <= 6

    def test_gaussian_vectors_have_the_gaussian_length(self, found):
        assert value(found, "sampling")["gaussian"] == pytest.approx(1, abs=0.1)

    def test_correlations_are_numpys(self, found):
        truth = np.abs(np.corrcoef(cloud().T)[np.triu_indices(6, 1)])
        assert value(found, "correlations")["largest"] == pytest.approx(truth.max())

    @settings(max_examples=5, deadline=None)
    @given(st.integers(0, 1000), st.floats(-3, 3), st.floats(-100, 100))
    def test_rotation_shift_and_scale_change_no_shape(self, seed, log_scale, shift):
        z = cloud(300, 4, seed)
        turn = stats.ortho_group(4, seed=seed).rvs()
        one, two = (latent_report(x).tables["normal"].loc[:, ["value", "low", "high"]] for x in (z, 10**log_scale * z @ turn + shift))
        for key in ("radius_ks", "radius_ratio"): assert two["value"][key] == pytest.approx(one["value"][key], rel=1e-4, abs=1e-6)
        for key in ("skewness", "kurtosis"):  # an axis may point either way
            assert abs(two.loc[key]).max() == pytest.approx(abs(one.loc[key]).max(), rel=1e-4, abs=1e-6)


    @pytest.mark.parametrize("n, d", [(60, 10), (200, 30), (2000, 20)])
    def test_chance_is_not_taken_for_a_finding(self, n, d):
        said = " ".join(latent_report(np.random.default_rng(n).standard_normal((n, d))).summary)
        assert "cannot be told from a normal one" in said and "the origin may be the centre" in said

    LAWS = {
        "two clusters far apart": (blobs(100), "two or more humps along 1 of its 8 principal axes"),
        "two clusters close by": (blobs(4.5), "two or more humps along 1 of its 8 principal axes"),
        "two clusters of unequal size": (blobs(20, share=0.2), "two or more humps along 1 of its 8 principal axes"),
        "two clusters that overlap": (blobs(3), "is flatter than a normal one along 1 of its 8 principal axes"),
        "few points in two clusters": (blobs(30, n=60), "two or more humps along 1 of its 8 principal axes"),
        "t with 3 degrees": (np.random.default_rng(1).multivariate_normal(np.zeros(8), np.eye(8), 1000)
                             / np.sqrt(np.random.default_rng(2).chisquare(3, (1000, 1)) / 3), "heavier tails"),
        "half filled": (np.r_[np.random.default_rng(0).standard_normal((400, 16)), np.zeros((600, 16))], "heavier tails"),
        "cube": (np.random.default_rng(0).uniform(-1, 1, (1000, 8)), "lighter tails"),
        "components with two humps": (np.random.default_rng(0).choice([-3.0, 3.0], (1000, 6)) + np.random.default_rng(1).standard_normal((1000, 6)), "lighter tails"),
        "circle": (unit(np.random.default_rng(0).standard_normal((1000, 2))), "lies on a thin shell"),
        "even circle": (np.exp(2j * np.pi * np.arange(500)[:, None] / 500).view(float), "lies on a thin shell"),
        "sphere": (unit(np.random.default_rng(0).standard_normal((1000, 16))), "lies on a thin shell"),
        "sphere in float32": (unit(np.random.default_rng(0).standard_normal((1000, 16))).astype(np.float32), "lies on a thin shell"),
        "one-hot": (np.tile(np.eye(10), (100, 1)), "lies on a thin shell"),
        "skewed": (np.random.default_rng(0).gamma(12, size=(1000, 3)) * [1, 2, 3], "is skewed along 3 of its 3 principal axes"),
    }

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("name", LAWS)
    def test_words_follow_what_was_measured(self, name):
        z, words = self.LAWS[name]
        found = latent_report(z)
        said, page = " ".join(found.summary), page_of(found)
        assert words in said and "close to normal" not in said and "cannot be told" not in said
        assert ("heavier" in said) == (words == "heavier tails")
        assert page.count("<img") == WITHOUT_FACES and "No picture" not in page and "nan" not in BeautifulSoup(page, "html.parser").text

    def test_humps_are_those_of_clusters(self):
        rng = np.random.default_rng(0)
        laws = (rng.standard_normal, lambda n: rng.uniform(-1, 1, n), lambda n: rng.standard_t(3, n), lambda n: rng.exponential(size=n))
        standard = lambda values: (values - values.mean()) / values.std()
        for n in (20, 200, 5000):
            assert not any(report._has_humps(standard(draw(n))) for draw in laws for _ in range(50))
        two = lambda n, distance: standard(rng.standard_normal(n) + distance * (np.arange(n) < n / 4))
        assert all(report._has_humps(two(n, distance)) for n, distance in [(100, 50), (400, 7), (5000, 5)] for _ in range(20))

    def test_components_with_humps_are_counted(self):
        for name, words in (("components with two humps", "The number density of 6 of the components has two or more humps."), ("t with 3 degrees", "")):
            found = latent_report(self.LAWS[name][0])
            assert row(found, "distributions", "humps") == ("6 of 6" if words else "0 of 8")
            assert [line for line in found.summary if "components has two" in line] == [words] * bool(words)

    def test_points_that_are_equal_are_noted(self):
        half, codes = (latent_report(self.LAWS[name][0]).notes for name in ("half filled", "one-hot"))
        assert half[0].startswith("Only 401 of 1,000 points are different") and half[0].endswith("the commonest stands there 600 times.")
        assert codes[0].startswith("Only 10 of 1,000 points are different") and latent_report(cloud()).notes == []

    def test_nothing_is_advised_or_said_in_bad_grammar(self, found):
        wide = " ".join(latent_report(np.random.default_rng(0).standard_normal((2000, 9)) @ np.random.default_rng(1).standard_normal((9, 9))).summary)
        assert re.search("Vectors of the sampler (range|uniform) miss the region", wide)
        assert not re.search("Draw with|the each", wide + " ".join(found.summary))

    def test_far_is_measured_against_the_longest_point_too(self):
        found = latent_report(self.LAWS["two clusters far apart"][0])
        numbers = value(found, "sampling")
        name, length = max(numbers.drop("longest").items(), key=lambda item: item[1])
        said = f"{length:.3g} times as long as vectors of the fitted Gaussian and {length / numbers['longest']:.1f} times as long as the longest"
        assert name in found.summary[-2] and said in found.summary[-2]

    def test_the_sampler_to_take_is_named(self, found):
        z = cloud()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = compare_samplers(z, n_points=5000, progress=False)
        assert found.summary[-1].startswith("Which sampler? Take ") and found.summary[-1].endswith(row(found, "choice", "which sampler"))
        rows = found.tables["choice"].loc[table.index[1:]]
        assert rows["text"].str.contains(r"^\d+\.\d\d % \(\d").all() and set(rows.index) == set(table.index[1:])

    def test_codes_get_no_sampler(self): assert latent_report(np.random.default_rng(0).integers(0, 4, (300, 6))).summary[-1].startswith("Which sampler? None of them")

    def test_who_is_left_out_of_the_comparison_is_said(self):
        found = latent_report(np.random.default_rng(0).standard_normal((60, 55)))
        assert "gaussianization" in row(found, "choice", "left out") and "mixture" in found.tables["choice"].index

    def test_a_comparison_that_takes_minutes_is_left_to_the_reader(self, monkeypatch):
        monkeypatch.setattr(report, "_MOST_AXES", 5)
        found = latent_report(cloud())
        assert found.left_out["choice"].startswith("Left out: beyond 5 principal axes") and "Which sampler?" not in " ".join(found.summary)

    def test_tables_are_numbers_and_what_the_page_says(self, found):
        page = page_of(found)
        for name, table in found.tables.items():
            assert list(table.columns) == ["quantity", "value", "low", "high", "text"] and table.index.is_unique
            known = table.dropna()
            assert (known["low"] <= known["value"]).all() and (known["value"] <= known["high"]).all()
            assert all(text in page for text in table["text"] if not set(text) & set("<>&'"))

    def test_a_shifted_cloud_is_not_excused(self):
        said = " ".join(latent_report(np.random.default_rng(0).standard_normal((200, 30)) + 1).summary)
        assert "vectors drawn around the origin miss the region" in said


class TestBadPoints:
    @pytest.mark.parametrize("z, words", [
        (np.arange(9.0), r"got an array of shape \(9,\): give one row per point"),
        (np.ones((3, 4, 5)), "give one row per point"),
        (np.full((99, 3), np.nan), "at least 20 finite points and 2 components that vary, got 0"),
        (np.ones((99, 3)), "got 99 and 0"),
        (cloud()[:19], "got 19 and 6"),
        (cloud()[:, :1], "got 400 and 1"),
        (np.empty((0, 5)), "without rows"),
    ])
    def test_what_makes_no_sense_is_refused_in_one_sentence(self, z, words):
        with pytest.raises(ValueError, match=words): latent_report(z)

    @pytest.mark.parametrize("z", [np.array([["a", "b"]] * 30), np.ones((30, 3), complex), np.ones((30, 3), bool)])
    def test_what_is_no_number_is_refused(self, z):
        with pytest.raises(TypeError, match="real numbers"): latent_report(z)

    def test_masked_values_are_refused(self):
        z = np.ma.masked_array(cloud(), mask=False)
        assert latent_report(z).n_points == 400
        z[3, 2] = np.ma.masked
        for function in (latent_report, usable_points, read_points):
            with pytest.raises(ValueError, match="masked values"): function(z)

    def test_missing_values_of_a_table_are_rows_that_are_not_finite(self):
        pd = pytest.importorskip("pandas")
        table = pd.DataFrame(cloud()).astype("Float64")
        table.iloc[7, 2] = pd.NA
        points, _, notes = usable_points(table)
        np.testing.assert_array_equal(points, np.delete(cloud(), 7, axis=0))
        assert notes == ["1 of 400 points hold NaN or infinite values and were left out."]

    @pytest.mark.parametrize("change", [
        lambda z, path: np.asfortranarray(z), lambda z, path: z.astype(np.float16), lambda z, path: z.astype(np.int32),
        lambda z, path: z.astype(np.uint8), lambda z, path: z.astype(np.longdouble), lambda z, path: z.astype(">f4"), lambda z, path: z.tolist(),
        lambda z, path: np.memmap(path, z.dtype, "w+", shape=z.shape), lambda z, path: np.repeat(z, 2, axis=0)[::2],
    ], ids=["Fortran order", "float16", "int32", "uint8", "longdouble", "big-endian", "lists", "memory map", "strided"])
    def test_the_same_numbers_give_the_same_page(self, change, tmp_path):
        z = np.rint(20 * np.clip(cloud(60, 3) / 4 + 6, 0, 12))  # whole numbers up to 240, exact in all these types
        other = change(z, tmp_path / "map")
        if isinstance(other, np.memmap): other[:] = z
        if isinstance(other, np.ndarray): other.flags.writeable = False
        np.testing.assert_allclose(usable_points(other)[0], z)
        one, two = latent_report(z), latent_report(other)
        assert two.summary == one.summary
        np.testing.assert_allclose(value(two, "correlations"), value(one, "correlations"), rtol=1e-6)

    def test_tables_as_the_output_of_transform_change_nothing(self, found):
        pytest.importorskip("pandas")
        with sklearn.config_context(transform_output="pandas"): again = latent_report(cloud())
        own = ("distributions", "correlations", "normal", "axes", "ellipses")  # what the samplers do is theirs
        for name in own: assert again.tables[name].equals(found.tables[name])

    def test_rows_and_columns_without_meaning_are_left_out_and_noted(self):
        z = np.insert(cloud(), 3, 7.0, axis=1)
        z[5, 0], z[9, 1] = np.nan, np.inf
        points, kept, notes = usable_points(z)
        assert points.shape == (398, 6) and kept.tolist() == [0, 1, 2, 4, 5, 6]
        assert notes[0].startswith("2 of 400 points") and notes[1].startswith("1 of 7 components")
        broken, whole = latent_report(z), latent_report(np.delete(cloud(), [5, 9], axis=0))
        np.testing.assert_allclose(value(broken, "normal"), value(whole, "normal"), rtol=1e-9)
        assert all(note in page_of(broken) for note in notes)

    def test_components_keep_their_own_numbers(self):
        z = np.c_[np.zeros(400), cloud()]
        strongest = int(re.match(r"(\d+) and", row(latent_report(z), "correlations", "strongest"))[1])
        assert strongest == 1 + int(re.match(r"(\d+) and", row(latent_report(cloud()), "correlations", "strongest"))[1])

    @pytest.mark.parametrize("n, d", [(20, 2), (25, 25), (30, 80), (20, 400)])
    def test_few_points_give_the_parts_that_make_sense(self, n, d):
        found = latent_report(np.random.default_rng(1).standard_normal((n, d)))
        assert len(found.tables["axes"]) and len(found.tables["sampling"])
        if n <= d:
            assert "no more points" in found.notes[0]
            assert found.left_out["normal"].startswith("Left out: ") and "<h2 id=normal>" in page_of(found)

    @settings(max_examples=8, deadline=None)
    @given(st.integers(20, 60), st.integers(2, 12), st.integers(0, 100), st.sampled_from([np.float32, np.float64, np.int64]), st.sampled_from([1e-6, 1.0, 1e6]))
    def test_any_cloud_gives_a_page(self, n, d, seed, dtype, scale):
        rng = np.random.default_rng(seed)
        z = (scale * (rng.standard_normal((n, d)) + 3) * (10 if dtype == np.int64 else 1)).astype(dtype)
        z[:, rng.integers(d)] = z[0, 0]
        try: page = page_of(latent_report(z))
        except ValueError as error: assert str(error).startswith("expected at least 20")
        else: assert page.endswith("</html>\n") and "nan " not in page.lower()


class TestSources:
    def test_every_source_gives_the_same_points(self, tmp_path, tiny_bundle):
        z = tiny_bundle.z
        np.save(tmp_path / "z.npy", z)
        np.savez(tmp_path / "z.npz", z=z, other=1)
        for source in (z, tmp_path / "z.npy", str(tmp_path / "z.npz"), tiny_bundle): np.testing.assert_array_equal(read_points(source)[0], z)
        assert read_points(tiny_bundle)[1] is tiny_bundle and read_points(z)[1] is None
        assert isinstance(read_points(tmp_path / "z.npy")[0], np.memmap)

    def test_wrong_files_get_a_sentence(self, tmp_path):
        (tmp_path / "list.npy").write_text("1 2 3")
        np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
        for name in ("list.npy", "objects.npy"):
            with pytest.raises(ValueError, match="write it with numpy.save"): read_points(tmp_path / name)
        with pytest.raises(FileNotFoundError, match="check the path"): read_points(tmp_path / "nothing.npy")
        with pytest.raises(FileNotFoundError, match="no home folder"): read_points("~nosuchuser/z.npy")
        with pytest.raises(ValueError, match="write it with numpy.save"): read_points("/dev/zero")  # which never ends

    def test_a_second_array_in_a_file_is_refused(self, tmp_path):
        with (tmp_path / "two.npy").open("wb") as file:
            for _ in range(2): np.save(file, cloud())
        more = (tmp_path / "two.npy").stat().st_size // 2
        with pytest.raises(ValueError, match=f"a single array in .*two.npy, got {more:,} bytes more after the first"): read_points(tmp_path / "two.npy")

    def test_an_array_without_rows_is_read_and_refused_for_what_it_is(self, tmp_path):
        np.save(tmp_path / "empty.npy", np.empty((0, 5)))
        with pytest.raises(ValueError, match="without rows"): latent_report(tmp_path / "empty.npy")

    @pytest.mark.parametrize("damage", [lambda data: data[:300], lambda data: data[:150] + bytes(400) + data[550:], lambda data: data[:-30]])
    def test_a_damaged_file_is_closed(self, damage, tmp_path):
        path = tmp_path / "z.npz"
        np.savez(path, z=cloud())
        path.write_bytes(damage(path.read_bytes()))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            with pytest.raises(ValueError, match="write it with numpy.save"): read_points(path)
            gc.collect()
        assert not caught

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
    @pytest.mark.parametrize("save", [np.save, lambda file, z: np.savez(file, z=z)], ids=["npy", "npz"])
    def test_a_pipe_is_read(self, save, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        def feed():
            content = io.BytesIO()
            save(content, cloud())
            (tmp_path / "pipe").write_bytes(content.getvalue())
        writer = threading.Thread(target=feed)
        writer.start()
        np.testing.assert_array_equal(read_points(tmp_path / "pipe")[0], cloud())
        writer.join()

    def test_home_is_found(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        np.save(tmp_path / "z.npy", cloud())
        np.testing.assert_array_equal(read_points("~/z.npy")[0], cloud())


class TestSections:
    NAMES = ("distributions", "correlations", "normal", "axes", "ellipses", "sampling", "choice", "faces")

    @pytest.mark.parametrize("broken", [*[(name,) for name in NAMES], NAMES])
    def test_what_is_left_out_is_not_needed_later(self, broken, tiny_bundle, monkeypatch):
        def fail(cloud): raise ValueError("there is a reason")
        for name in broken:
            title, words, _, say = report._SECTIONS[name]
            monkeypatch.setitem(report._SECTIONS, name, (title, words, fail, say))
        found = latent_report(tiny_bundle)
        assert found.summary[0] == f"{len(tiny_bundle.z)} points with 4 components." and all(found.summary)
        assert found.left_out == {name: "Left out: there is a reason." for name in found.left_out} and set(found.left_out) == set(broken)
        page, shown = page_of(found), found._repr_html_()
        pictures = sum(n for name, n in PICTURES.items() if name not in broken)
        assert page.count("<h2") == len(self.NAMES) and page.count("<img") == pictures and page.count("there is a reason") == len(broken)
        assert shown.count("<details>") == len(self.NAMES) and shown.count("there is a reason") == len(broken)

    @pytest.mark.parametrize("name", NAMES)
    def test_a_picture_that_fails_leaves_the_rest(self, name, tiny_bundle):
        def fail(ax): raise ValueError("Too many bins for data range.")
        found = latent_report(tiny_bundle)
        found.panels[name][0] = found.panels[name][0]._replace(draw=fail, arrays={})
        page = page_of(found)
        assert page.count("<img") == sum(PICTURES.values()) - 1 and "No picture: Too many bins for data range.</p>" in page
        assert page.count("<tr>") == sum(map(len, found.tables.values()))

    def test_a_sampler_that_finds_no_law_is_named(self):
        found = latent_report(TestNumbers.LAWS["half filled"][0])
        assert "is a spike" in row(found, "sampling", "elliptic") and value(found, "sampling")["gaussian"] > 0

    def test_a_bundle_without_a_decoder_has_no_faces(self):
        found = latent_report(Bundle(cloud()))
        assert found.left_out["faces"].startswith("Left out: expected a bundle with") and len(found.tables["sampling"])

    def test_vectors_of_another_bundle_are_refused(self, tiny_bundle):
        with pytest.raises(ValueError, match="of the bundle's 4 components, got shape \\(400, 6\\)"): latent_report(cloud(), tiny_bundle)

    def test_dead_components_are_decoded_as_they_are(self, tiny_bundle):
        z, seen = np.array(tiny_bundle.z), []
        z[:, 1] = 0.7
        class Spy(Bundle):
            def decode(self, z):
                seen.append(np.array(z))
                return tiny_bundle.decode(z)
        found = latent_report(Spy(z))
        assert page_of(found).count("<img") == sum(PICTURES.values()) and all((vectors[:, 1] == np.float32(0.7)).all() for vectors in seen)


class TestPage:
    def test_it_stands_alone_and_says_what_it_shows(self, found):
        page = BeautifulSoup(page_of(found), "html.parser")
        pictures = page.find_all("img")
        assert len(pictures) == WITHOUT_FACES and not page.find_all(["script", "link", "iframe"])
        for picture in pictures:
            assert picture["src"].startswith("data:image/png;base64,") and len(picture["alt"]) > 30
            Image.open(io.BytesIO(base64.b64decode(picture["src"].split(",")[1]))).verify()
        assert [h["id"] for h in page.find_all("h2")] == [name for name in report._SECTIONS if name != "faces"]
        assert len(page.find("ul").find_all("li")) == len(found.summary)

    def test_a_notebook_draws_a_section(self, found):
        for name, n in PICTURES.items():
            if name != "faces": assert len([ax for ax in found.draw(name).axes if ax.get_label() != "<colorbar>"]) == n
        plt.close("all")

    def test_the_same_seed_gives_the_same_page(self):
        one, two, other = (page_of(latent_report(cloud(), random_state=seed)) for seed in (0, 0, 1))
        assert one == two != other

    def test_a_failed_write_leaves_the_old_page(self, found, tmp_path, monkeypatch):
        path = tmp_path / "report.html"
        path.write_text("old")
        monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError): found.write(path)
        assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1

    def test_a_link_is_followed_and_a_pipe_is_written_to(self, found, tmp_path):
        (tmp_path / "link.html").symlink_to(tmp_path / "new" / "page.html")
        assert found.write(tmp_path / "link.html") == tmp_path / "link.html" and (tmp_path / "link.html").is_symlink()
        page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
        assert page == page_of(found)
        os.mkfifo(tmp_path / "pipe")
        read = []
        reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text(encoding="utf-8")))
        reader.start()
        found.write(tmp_path / "pipe")
        reader.join()
        assert read == [page]

    def test_a_name_that_is_no_text_is_written(self, found, tmp_path):
        strange = replace(found, name=os.fsdecode(b"z\xff.npy"))
        assert "<title>Latent report: z?.npy</title>" in strange.write(tmp_path / "a.html").read_text(encoding="utf-8")

    def test_a_bundle_gets_faces(self, tiny_bundle):
        found = latent_report(tiny_bundle.z, tiny_bundle)
        faces = found.panels["faces"][0].arrays
        assert faces["row_labels"][0] == "reconstructions" and len(faces["faces"]) == 7 * len(faces["row_labels"]) and page_of(found).count("<img") == sum(PICTURES.values())

    def test_large_sets_are_sampled_for_what_needs_a_picture(self):
        found = latent_report(cloud(report._SUBSAMPLE + 500, 3))
        assert len(found.panels["normal"][0].arrays["values"]) == report._SUBSAMPLE


class TestCommand:
    def run(self, *args): return subprocess.run([sys.executable, "-m", "latentfaces", "report", *map(str, args)], capture_output=True, text=True)

    def test_bare_vectors_need_no_tensorflow(self, tmp_path):
        np.save(tmp_path / "z.npy", cloud())
        code = f"import sys; from latentfaces.cli import main; main(['report', '--bundle', r'{tmp_path / 'z.npy'}', '--out', r'{tmp_path / 'a.html'}', '--quiet']); print({{'keras', 'tensorflow'}} & set(sys.modules))"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout.splitlines()[-1] == "set()" and run.stderr == ""
        assert (tmp_path / "a.html").read_text().startswith("<!doctype html>") and "wrote" in run.stdout

    def test_a_place_where_no_page_can_be_written_is_refused_before_the_analysis(self, tmp_path):
        np.save(tmp_path / "z.npy", cloud())
        (tmp_path / "file").write_text("")
        for out, words in ((tmp_path, "got the folder"), (tmp_path / "file" / "a.html", "which is none")):
            run = self.run("--bundle", tmp_path / "z.npy", "--out", out)
            assert run.returncode == 2 and run.stderr.count("\n") == 1 and words in run.stderr and ".part" not in run.stderr

    def test_what_was_left_out_is_said(self, tmp_path):
        z = cloud()
        z[0] = np.nan
        np.save(tmp_path / "z.npy", z)
        run = self.run("--bundle", tmp_path / "z.npy", "--out", tmp_path / "a.html", "--quiet")
        assert "1 of 400 points hold NaN" in run.stdout and "<title>Latent report: z.npy" in (tmp_path / "a.html").read_text()

    def test_errors_are_one_sentence(self, tmp_path):
        np.save(tmp_path / "z.npy", np.ones(5))
        run = self.run("--bundle", tmp_path / "z.npy", "--out", tmp_path / "a.html")
        assert run.returncode == 2 and run.stderr.count("\n") == 1 and run.stderr.startswith("latentfaces: expected latent vectors of shape")
        assert not (tmp_path / "a.html").exists()


def test_printed_it_is_a_line_for_each_sentence():
    z = np.random.default_rng(0).standard_normal((200, 6))
    z[3, 2] = np.nan
    lines = str(latent_report(z, name="mine")).splitlines()
    assert lines[0] == "Latent space of mine" and "hold NaN" in lines[1] and all(line.startswith("- ") for line in lines[1:])
