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
from functools import partial

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
from latentfaces.gaussian import normality
from latentfaces.report import SUBSAMPLE, analyse, read_points, report_page, usable_points, write_report


def unit(z): return z / np.linalg.norm(z, axis=1, keepdims=True)


def blobs(distance, n=1000, d=8, share=0.5):
    "Two normal clouds at a distance in standard deviations of each."
    z = np.random.default_rng(0).standard_normal((n, d))
    z[:int(share * n)] += distance / np.sqrt(d)
    return z

cloud = partial(clouds.cloud, heavy=0.3)  # every point with a scale of its own, so that nothing about it is trivial


def row(found, section, label): return next(value for name, value in found["sections"][section]["rows"] if label in name)


@pytest.fixture(scope="module")
def found(): return analyse(cloud())


class TestNumbers:
    def test_a_normal_cloud_is_found_normal(self):
        numbers = analyse(cloud(4000, heavy=0))["sections"]["normal"]["numbers"]
        assert numbers["radius_ks"] < 0.03 and 0.8 < numbers["radius_ratio"] < 1.2 and numbers["rejected"] == 0

    def test_heavy_tails_are_found(self):
        analysis = analyse(cloud(4000, heavy=0.5))
        assert analysis["sections"]["normal"]["numbers"]["radius_ratio"] > 2
        assert "heavier tails" in " ".join(analysis["summary"])

    def test_few_normal_points_have_the_variance_of_few_normal_points(self):
        clouds = [np.random.default_rng(seed).standard_normal((100, 60)) for seed in range(4)]
        found = [analyse(z)["sections"]["normal"]["numbers"]["radius_ratio"] for z in clouds]
        assert np.mean(found) == pytest.approx(1, abs=0.25) and np.mean([normality(z).radius_variance for z in clouds]) < 0.6

    def test_a_quantity_has_one_value_on_the_page(self, found):
        said = re.search("lengths vary ([0-9.]+) times as much", " ".join(found["summary"]))[1]
        labels = [label for part in found["sections"].values() for label, _ in part["rows"]]
        assert said == row(found, "normal", "variance of the squared lengths") and len(set(labels)) == len(labels)
        assert "variance_ratio" not in found["sections"]["normal"]["numbers"]

    def test_correlations_in_strips_are_those_of_the_whole(self, found, monkeypatch):
        monkeypatch.setattr(report, "_STRIP", 4)
        for label in ("strongest pairs", "mean |r|", "pairs with |r|"):
            assert row(analyse(cloud()), "correlations", label) == row(found, "correlations", label)
        off = np.abs(np.corrcoef(cloud().T)[np.triu_indices(6, 1)])
        assert row(found, "correlations", "pairs with |r|") == f"{np.mean(off >= 0.3):.1%}"
        assert found["sections"]["correlations"]["curves"]["counts"].tolist() == np.histogram(off, 200, (0, 1))[0].tolist()

    def test_many_components_need_no_matrix_of_all_pairs(self, monkeypatch):
        def narrow(name):
            function = getattr(report, name)
            def checked(z, *args, **options):
                assert np.shape(z)[1] <= 600, name
                return function(z, *args, **options)
            monkeypatch.setattr(report, name, checked)
        for name in ("correlation_matrix", "share_in_ellipses", "normality"): narrow(name)
        z = np.random.default_rng(0).standard_normal((40, 1500)).astype(np.float32)
        z[:, 1400] = z[:, 3]
        found = analyse(z)
        assert row(found, "correlations", "strongest").startswith("3 and 1400 (+1.00)") and report_page(found).count("<img") == 5

    def test_the_origin_is_where_it_is(self):
        z = np.random.default_rng(0).standard_normal((5000, 4)) + [3, 0, 0, 0]
        origin = analyse(z)["sections"]["distributions"]["numbers"]["origin"]
        assert origin["sigmas"] == pytest.approx(3, abs=0.1) and origin["beyond"] == pytest.approx(stats.norm.sf(3), abs=0.002)

    def test_axes_count_what_varies(self, found):
        numbers = found["sections"]["axes"]["numbers"]
        assert numbers["rank"] == 6 and 1 <= numbers["axes"][0.5] <= numbers["axes"][0.9] <= numbers["axes"][0.99] <= 6

    def test_gaussian_vectors_have_the_gaussian_length(self, found):
        assert found["sections"]["sampling"]["numbers"]["lengths"]["gaussian"] == pytest.approx(1, abs=0.1)

    def test_correlations_are_numpys(self, found):
        truth = np.abs(np.corrcoef(cloud().T)[np.triu_indices(6, 1)])
        assert found["sections"]["correlations"]["numbers"]["largest"] == pytest.approx(truth.max())

    @settings(max_examples=5, deadline=None)
    @given(st.integers(0, 1000), st.floats(-3, 3), st.floats(-100, 100))
    def test_rotation_shift_and_scale_change_no_shape(self, seed, log_scale, shift):
        z = cloud(300, 4, seed)
        turn = stats.ortho_group(4, seed=seed).rvs()
        one, two = (analyse(x)["sections"]["normal"]["numbers"] for x in (z, 10**log_scale * z @ turn + shift))
        for key in ("radius_ks", "radius_ratio", "max_skewness", "max_kurtosis"): assert two[key] == pytest.approx(one[key], rel=1e-4, abs=1e-6)


    @pytest.mark.parametrize("n, d", [(60, 10), (200, 30), (2000, 20)])
    def test_chance_is_not_taken_for_a_finding(self, n, d):
        said = " ".join(analyse(np.random.default_rng(n).standard_normal((n, d)))["summary"])
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
        found = analyse(z)
        said, page = " ".join(found["summary"]), report_page(found)
        assert words in said and "close to normal" not in said and "cannot be told" not in said
        assert ("heavier" in said) == (words == "heavier tails")
        assert page.count("<img") == 6 and "No picture" not in page and "nan" not in BeautifulSoup(page, "html.parser").text

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
            found = analyse(self.LAWS[name][0])
            assert row(found, "distributions", "humps") == ("6 of 6" if words else "0 of 8")
            assert [line for line in found["summary"] if "components has two" in line] == [words] * bool(words)

    def test_points_that_are_equal_are_noted(self):
        half, codes = (analyse(self.LAWS[name][0])["notes"] for name in ("half filled", "one-hot"))
        assert half[0].startswith("Only 401 of 1,000 points are different") and half[0].endswith("the commonest stands there 600 times.")
        assert codes[0].startswith("Only 10 of 1,000 points are different") and analyse(cloud())["notes"] == []

    def test_nothing_is_advised_or_said_in_bad_grammar(self, found):
        wide = " ".join(analyse(np.random.default_rng(0).standard_normal((2000, 9)) @ np.random.default_rng(1).standard_normal((9, 9)))["summary"])
        assert re.search("Vectors of the sampler (range|uniform) miss the region", wide)
        assert not re.search("Draw with|the each", wide + " ".join(found["summary"]))

    def test_far_is_measured_against_the_longest_point_too(self):
        found = analyse(self.LAWS["two clusters far apart"][0])
        numbers = found["sections"]["sampling"]["numbers"]
        name, length = max(numbers["lengths"].items(), key=lambda item: item[1])
        said = f"{length:.3g} times as long as vectors of the fitted Gaussian and {length / numbers['longest']:.2g} times as long as the longest"
        assert name in found["summary"][-1] and said in found["summary"][-1]

    def test_a_shifted_cloud_is_not_excused(self):
        said = " ".join(analyse(np.random.default_rng(0).standard_normal((200, 30)) + 1)["summary"])
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
        with pytest.raises(ValueError, match=words): analyse(z)

    @pytest.mark.parametrize("z", [np.array([["a", "b"]] * 30), np.ones((30, 3), complex), np.ones((30, 3), bool)])
    def test_what_is_no_number_is_refused(self, z):
        with pytest.raises(TypeError, match="real numbers"): analyse(z)

    def test_masked_values_are_refused(self):
        z = np.ma.masked_array(cloud(), mask=False)
        assert analyse(z)["points"]["n_points"] == 400
        z[3, 2] = np.ma.masked
        for function in (analyse, usable_points, read_points):
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
        one, two = analyse(z), analyse(other)
        assert two["summary"] == one["summary"] and two["sections"]["correlations"]["numbers"] == pytest.approx(one["sections"]["correlations"]["numbers"])

    def test_tables_as_the_output_of_transform_change_nothing(self, found):
        pytest.importorskip("pandas")
        with sklearn.config_context(transform_output="pandas"): again = analyse(cloud())
        own = ("distributions", "correlations", "normal", "axes", "ellipses")  # what the samplers do is theirs
        assert [again["sections"][name]["rows"] for name in own] == [found["sections"][name]["rows"] for name in own]

    def test_rows_and_columns_without_meaning_are_left_out_and_noted(self):
        z = np.insert(cloud(), 3, 7.0, axis=1)
        z[5, 0], z[9, 1] = np.nan, np.inf
        points, kept, notes = usable_points(z)
        assert points.shape == (398, 6) and kept.tolist() == [0, 1, 2, 4, 5, 6]
        assert notes[0].startswith("2 of 400 points") and notes[1].startswith("1 of 7 components")
        broken, whole = analyse(z), analyse(np.delete(cloud(), [5, 9], axis=0))
        assert broken["sections"]["normal"]["numbers"] == pytest.approx(whole["sections"]["normal"]["numbers"], rel=1e-9)
        assert all(note in report_page(broken) for note in notes)

    def test_components_keep_their_own_numbers(self):
        z = np.c_[np.zeros(400), cloud()]
        strongest = int(re.match(r"(\d+) and", row(analyse(z), "correlations", "strongest"))[1])
        assert strongest == 1 + int(re.match(r"(\d+) and", row(analyse(cloud()), "correlations", "strongest"))[1])

    @pytest.mark.parametrize("n, d", [(20, 2), (25, 25), (30, 80), (20, 400)])
    def test_few_points_give_the_parts_that_make_sense(self, n, d):
        found = analyse(np.random.default_rng(1).standard_normal((n, d)))
        assert found["sections"]["axes"]["rows"] and found["sections"]["sampling"]["rows"]
        if n <= d:
            assert "no more points" in found["notes"][0]
            assert found["sections"]["normal"]["note"].startswith("Left out: ") and "<h2 id=normal>" in report_page(found)

    @settings(max_examples=8, deadline=None)
    @given(st.integers(20, 60), st.integers(2, 12), st.integers(0, 100), st.sampled_from([np.float32, np.float64, np.int64]), st.sampled_from([1e-6, 1.0, 1e6]))
    def test_any_cloud_gives_a_page(self, n, d, seed, dtype, scale):
        rng = np.random.default_rng(seed)
        z = (scale * (rng.standard_normal((n, d)) + 3) * (10 if dtype == np.int64 else 1)).astype(dtype)
        z[:, rng.integers(d)] = z[0, 0]
        try: page = report_page(analyse(z))
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
        with pytest.raises(ValueError, match="without rows"): analyse(tmp_path / "empty.npy")

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
    NAMES = ("distributions", "correlations", "normal", "axes", "ellipses", "sampling", "faces")

    @pytest.mark.parametrize("broken", [*[(name,) for name in NAMES], NAMES])
    def test_what_is_left_out_is_not_needed_later(self, broken, tiny_bundle, monkeypatch):
        def fail(*args): raise ValueError("there is a reason")
        for name in broken: monkeypatch.setattr(report, f"_{name}", fail)
        found = analyse(tiny_bundle)
        assert found["summary"][0].startswith(f"{len(tiny_bundle.z)} points with 4 components") and all(found["summary"])
        for name in broken: assert found["sections"][name]["note"] == "Left out: there is a reason."
        page = report_page(found)
        assert page.count("<h2") == 7 and page.count("<img") == 7 - len(broken) and page.count("there is a reason") == len(broken)

    @pytest.mark.parametrize("name", NAMES)
    def test_a_picture_that_fails_leaves_the_rest(self, name, tiny_bundle, monkeypatch):
        def fail(curves): raise ValueError("Too many bins for data range.")
        title, words, _ = report._SECTIONS[name]
        monkeypatch.setitem(report._SECTIONS, name, (title, words, fail))
        found = analyse(tiny_bundle)
        page = report_page(found)
        assert page.count("<img") == 6 and "No picture: Too many bins for data range.</p>" in page
        assert page.count("<tr>") == sum(len(part["rows"]) for part in found["sections"].values())

    def test_a_sampler_that_finds_no_law_is_named(self):
        found = analyse(TestNumbers.LAWS["half filled"][0])
        assert "is a spike" in row(found, "sampling", "elliptic") and "gaussian" in found["sections"]["sampling"]["numbers"]["lengths"]

    def test_a_bundle_without_a_decoder_has_no_faces(self):
        found = analyse(Bundle(cloud()))
        assert found["sections"]["faces"]["note"].startswith("Left out: expected a bundle with") and found["sections"]["sampling"]["rows"]

    def test_vectors_of_another_bundle_are_refused(self, tiny_bundle):
        with pytest.raises(ValueError, match="of the bundle's 4 components, got shape \\(400, 6\\)"): analyse(cloud(), tiny_bundle)

    def test_dead_components_are_decoded_as_they_are(self, tiny_bundle):
        z, seen = np.array(tiny_bundle.z), []
        z[:, 1] = 0.7
        class Spy(Bundle):
            def decode(self, z):
                seen.append(np.array(z))
                return tiny_bundle.decode(z)
        found = analyse(Spy(z))
        assert report_page(found).count("<img") == 7 and all((vectors[:, 1] == np.float32(0.7)).all() for vectors in seen)


class TestPage:
    def test_it_stands_alone_and_says_what_it_shows(self, found):
        page = BeautifulSoup(report_page(found), "html.parser")
        pictures = page.find_all("img")
        assert len(pictures) == 6 and not page.find_all(["script", "link", "iframe"])
        for picture in pictures:
            assert picture["src"].startswith("data:image/png;base64,") and len(picture["alt"]) > 40
            Image.open(io.BytesIO(base64.b64decode(picture["src"].split(",")[1]))).verify()
        assert [h["id"] for h in page.find_all("h2")] == list(found["sections"])
        assert len(page.find("ul").find_all("li")) == len(found["summary"])

    def test_the_same_seed_gives_the_same_page(self):
        one, two, other = (report_page(analyse(cloud(), random_state=seed)) for seed in (0, 0, 1))
        assert one == two != other

    def test_a_failed_write_leaves_the_old_page(self, found, tmp_path, monkeypatch):
        path = tmp_path / "report.html"
        path.write_text("old")
        monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError): write_report(found, path)
        assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1

    def test_a_link_is_followed_and_a_pipe_is_written_to(self, found, tmp_path):
        (tmp_path / "link.html").symlink_to(tmp_path / "new" / "page.html")
        assert write_report(found, tmp_path / "link.html") == tmp_path / "link.html" and (tmp_path / "link.html").is_symlink()
        page = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
        assert page == report_page(found)
        os.mkfifo(tmp_path / "pipe")
        read = []
        reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text(encoding="utf-8")))
        reader.start()
        write_report(found, tmp_path / "pipe")
        reader.join()
        assert read == [page]

    def test_a_name_that_is_no_text_is_written(self, found, tmp_path):
        strange = found | {"points": found["points"] | {"name": os.fsdecode(b"z\xff.npy")}}
        assert "<title>Latent report: z?.npy</title>" in write_report(strange, tmp_path / "a.html").read_text(encoding="utf-8")

    def test_a_bundle_gets_faces(self, tiny_bundle):
        found = analyse(tiny_bundle.z, tiny_bundle)
        faces = found["sections"]["faces"]["curves"]["faces"]
        assert {len(images) for images in faces.values()} == {1, 10} and report_page(found).count("<img") == 7

    def test_large_sets_are_sampled_for_what_needs_a_picture(self):
        found = analyse(cloud(SUBSAMPLE + 500, 3))
        assert len(found["sections"]["normal"]["curves"]["lengths"]) == SUBSAMPLE


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
