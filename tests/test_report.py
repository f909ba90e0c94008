"The latent report: what it reads, what it leaves out and says so, and the page."
import base64
import io
import re
import subprocess
import sys

import numpy as np
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from latentfaces.report import SUBSAMPLE, analyse, read_points, report_page, usable_points, write_report


def cloud(n=400, d=6, seed=0, spread=0.3):
    "Correlated points with a scale of their own each, so that nothing about them is trivial."
    rng = np.random.default_rng(seed)
    scale = np.exp(spread * rng.standard_normal((n, 1)))
    return (rng.standard_normal((n, d)) * scale) @ rng.standard_normal((d, d)) + np.arange(d)


def row(found, section, label): return next(value for name, value in found["sections"][section]["rows"] if label in name)


@pytest.fixture(scope="module")
def found(): return analyse(cloud())


class TestNumbers:
    def test_a_normal_cloud_is_found_normal(self):
        numbers = analyse(cloud(4000, spread=0))["sections"]["normal"]["numbers"]
        assert numbers["radius_ks"] < 0.03 and 0.8 < numbers["radius_variance"] < 1.2 and numbers["rejected"] == 0

    def test_heavy_tails_are_found(self):
        analysis = analyse(cloud(4000, spread=0.5))
        assert analysis["sections"]["normal"]["numbers"]["radius_variance"] > 2
        assert "heavier tails" in " ".join(analysis["summary"])

    def test_the_origin_is_where_it_is(self):
        z = np.random.default_rng(0).standard_normal((5000, 4)) + [3, 0, 0, 0]
        origin = analyse(z)["sections"]["distributions"]["numbers"]["origin"]
        assert origin["sigmas"] == pytest.approx(3, abs=0.1) and origin["beyond"] == pytest.approx(stats.norm.sf(3), abs=0.002)

    def test_axes_count_what_varies(self, found):
        numbers = found["sections"]["axes"]["numbers"]
        assert numbers["rank"] == 6 and 1 <= numbers["axes"][0.5] <= numbers["axes"][0.9] <= numbers["axes"][0.99] <= 6

    def test_gaussian_vectors_have_the_gaussian_length(self, found):
        assert found["sections"]["sampling"]["numbers"]["lengths"]["Gaussian"] == pytest.approx(1, abs=0.1)

    def test_correlations_are_numpys(self, found):
        truth = np.abs(np.corrcoef(cloud().T)[np.triu_indices(6, 1)])
        assert found["sections"]["correlations"]["numbers"]["largest"] == pytest.approx(truth.max())

    @settings(max_examples=5, deadline=None)
    @given(st.integers(0, 1000), st.floats(-3, 3), st.floats(-100, 100))
    def test_rotation_shift_and_scale_change_no_shape(self, seed, log_scale, shift):
        z = cloud(300, 4, seed)
        turn = stats.ortho_group(4, seed=seed).rvs()
        one, two = (analyse(x)["sections"]["normal"]["numbers"] for x in (z, 10**log_scale * z @ turn + shift))
        for key in ("radius_ks", "radius_variance", "max_skewness", "max_kurtosis"): assert two[key] == pytest.approx(one[key], rel=1e-4, abs=1e-6)


    @pytest.mark.parametrize("n, d", [(60, 10), (200, 30), (2000, 20)])
    def test_chance_is_not_taken_for_a_finding(self, n, d):
        said = " ".join(analyse(np.random.default_rng(n).standard_normal((n, d)))["summary"])
        assert "cannot be told from a normal one" in said and "the origin may be the centre" in said

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
        for out, words in ((tmp_path, "got the folder"), (tmp_path / "file" / "a.html", "where nothing can be written")):
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
