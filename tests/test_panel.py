"The panel: what judges see, how sure they are, who is left out, what is kept and asked once only, the command."
import warnings

import numpy as np
import pandas as pd
import pytest

from latentfaces import cli, panel as the_panel
from latentfaces.bundle import Bundle, load_bundle
from latentfaces.drawn import synthetic_faces
from latentfaces.features import Features, build_attribute_network, load_features
from latentfaces.metrics import density_and_coverage, frechet_distance
from latentfaces.networks import Network
from latentfaces.panel import Panel, _random_halves, _scattered, judge_samplers

LEFT_OUT = "left out of the panel"


class Means(Features):
    "A judge that needs no network: mean colours of parts of the picture. It counts what it is asked."

    attribute_names, is_shipped = (), False

    def __init__(self, parts=2, factor=1.0):
        self.parts, self.factor, self.asked = parts, factor, []

    def _outputs(self, images):
        self.asked.append(len(images))
        side = images.shape[1] // self.parts
        shape = (len(images), self.parts, side, self.parts, side, 3)
        return {"features": self.factor * (images / 255.0).reshape(shape).mean(axis=(2, 4)).reshape(len(images), -1)}


@pytest.fixture
def two(): return {"coarse": Means(1), "fine": Means(2)}


def judged(bundle, images, judges, samplers=("gaussian",), **options):
    return judge_samplers(bundle, samplers if isinstance(samplers, dict) else list(samplers), images, judges, **{"n_samples": 40, "n_halves": 20, "progress": False} | options)


def test_a_panel_has_a_row_for_each_sampler_and_columns_for_each_judge(tiny_bundle, face_folder, two):
    panel = judged(tiny_bundle, face_folder, two, ["gaussian", "elliptic"])
    assert list(panel.table.index) == ["real images", "reconstructions", "gaussian", "elliptic"] and panel.table.index.name == "name"
    names = ["n_samples", "frechet", "frechet_ratio", "coverage"]
    assert [name for name in panel.table if not name.endswith("_se")] == [f"{name}_{judge}" for judge in two for name in names]
    assert (panel.table.n_samples_fine == 40).all() and panel.table.coverage_fine.between(0, 1).all()
    assert abs(panel.table.frechet_fine["real images"]) < panel.table.frechet_fine["reconstructions"]
    assert set(panel.scattered) == {(judge, measure) for judge in two for measure in ("frechet", "coverage")}
    for (judge, measure), values in panel.scattered.items():
        np.testing.assert_allclose(values.mean(), panel.table[f"{measure}_{judge}"])
        np.testing.assert_allclose(values.std(), panel.table[f"{measure}_{judge}_se"])


def test_the_units_of_a_judge_do_not_matter(tiny_bundle, face_folder):
    panel = judged(tiny_bundle, face_folder, {"small": Means(2), "large": Means(2, 10.0)}, ["gaussian", "uniform"])
    table = panel.table
    np.testing.assert_allclose(table.frechet_large, 100 * table.frechet_small, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(table.frechet_ratio_large, table.frechet_ratio_small, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(table.coverage_large, table.coverage_small)
    assert panel.agreement().loc["small", "large"] == pytest.approx(1) and panel.better("gaussian", "uniform") == (panel.differences("gaussian", "uniform").high.iloc[0] < 0)


def test_estimates_are_those_of_the_measures(tiny_bundle, face_folder, two):
    "By hand, from pictures that a row is given as they are."
    faces, _ = synthetic_faces(40, size=16, random_state=9)
    panel = judged(tiny_bundle, face_folder, two, {"drawn": faces})
    from latentfaces.images import load_images
    images, names = load_images(face_folder, size=16, return_names=True, progress=False)
    order = np.random.default_rng(0).permutation(tiny_bundle.names)
    against = two["fine"](images[[list(names).index(name) for name in order[:40]]])
    x = two["fine"](faces)
    rng = np.random.default_rng(0)
    halves = [rng.permutation(40)[:20] for _ in range(20)]
    of_halves = np.mean([frechet_distance(x[rows], against[rows]) for rows in halves])
    assert panel.table.frechet_fine["drawn"] == pytest.approx(2 * frechet_distance(x, against) - of_halves, rel=1e-6)
    assert panel.table.coverage_fine["drawn"] == pytest.approx(density_and_coverage(against, x).coverage)


def test_the_same_seed_gives_the_same_panel(tiny_bundle, face_folder, two):
    first = judged(tiny_bundle, face_folder, two).table
    pd.testing.assert_frame_equal(first, judged(tiny_bundle, face_folder, two).table)
    assert not first.equals(judged(tiny_bundle, face_folder, two, random_state=1).table)


@pytest.mark.parametrize("measure, endless", [(frechet_distance, True), (lambda x, y: density_and_coverage(y, x).coverage, False)], ids=["frechet", "coverage"])
def test_halves_scatter_as_new_draws_do(measure, endless):
    rng = np.random.default_rng(1)
    draws = [(rng.standard_normal((100, 4)) * 0.6 + 0.5, rng.standard_normal((100, 4))) for _ in range(50)]
    found = [_scattered(measure, x, y, _random_halves(100, 20, 0), endless) for x, y in draws]
    told, true = np.mean([values.std() for values in found]), np.std([values.mean() for values in found])
    assert 0.7 < told / true < 1.4


def panel_of(**judges):
    "A panel from scattered distances, rows a and b beside the two that every panel has."
    rng = np.random.default_rng(0)
    scattered, rows = {}, ["real images", "reconstructions", "a", "b", "c"]
    for judge, distances in judges.items():
        shared = rng.normal(0, 0.2, (200, 1))
        values = np.array([0, 1, *distances]) + shared + rng.normal(0, 0.05, (200, 5))
        scattered[judge, "frechet"] = pd.DataFrame(values, columns=rows)
        scattered[judge, "coverage"] = pd.DataFrame(1 - values / 10, columns=rows)
    return Panel(pd.DataFrame(index=pd.Index(rows, name="name")), scattered)


def test_better_is_what_all_judges_say():
    assert panel_of(own=(1.5, 2, 4), other=(2, 3, 4)).better("a", "b")
    assert not panel_of(own=(1.5, 2, 4), other=(3, 2, 4)).better("a", "b")
    assert not panel_of(own=(1.5, 2, 4), other=(2, 2, 4)).better("a", "b")
    assert not panel_of(own=(2, 1.5, 4)).better("a", "b") and panel_of(own=(2, 1.5, 4)).better("b", "a")


def test_what_pictures_share_by_chance_counts_for_neither():
    "The two distances scatter by more than their difference, and their difference by far less."
    panel = panel_of(own=(1.5, 1.8, 4))
    assert panel.scattered["own", "frechet"]["a"].std() > 0.15 and panel.better("a", "b")
    gap = panel.differences("a", "b").loc["own"]
    assert gap.low < -0.3 < gap.high < 0 and gap.high - gap.low == pytest.approx(4 * 0.05 * 2**0.5, rel=0.15)


def test_the_agreement_is_that_of_the_ranks():
    panel = panel_of(own=(2, 3, 4), same=(5, 6, 9), other=(4, 3, 2), half=(2, 4, 3))
    ranks = panel.agreement()
    assert ranks.loc["own", "same"] == 1 and ranks.loc["own", "other"] == -1 and ranks.loc["own", "half"] == pytest.approx(1 / 3)
    assert panel_of(own=(2, 3, 4)).verdicts().to_numpy().tolist() == [[False, True, True], [False, False, True], [False] * 3]
    assert panel.summary()[0] == "no sampler is better than another" and "the ranks of own and other agree by -1.00 (Kendall's tau)" in panel.summary()
    assert panel_of(own=(2, 3, 4)).summary() == ["a is better than b, c", "b is better than c"]


@pytest.mark.parametrize("rows", [("a", "nobody"), ("nobody", "a"), ("a", "b", "sharpness")])
def test_unknown_rows_and_measures(rows):
    with pytest.raises(ValueError, match="^expected two rows of real images[^\n]+, and frechet or coverage, got [^\n]+$"): panel_of(own=(1, 2, 3)).differences(*rows)


def test_where_reconstructions_cannot_be_told_from_real_images_they_are_no_unit(tiny_bundle, face_folder):
    class Blind(Means):
        def _outputs(self, images): return {"features": np.random.default_rng(len(self.asked) + len(images)).standard_normal((len(images), 5))}
    panel = judged(tiny_bundle, face_folder, {"blind": Blind(), "fine": Means(2)})
    assert panel.table.frechet_ratio_blind.isna().all() and np.isfinite(panel.table.frechet_blind).all()
    assert panel.table.frechet_ratio_fine["reconstructions"] == 1 and panel.table.frechet_ratio_fine_se["reconstructions"] == pytest.approx(0, abs=1e-9)


# ---------------------------------------------------------------- who is there

def test_what_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr("latentfaces.features.find_spec", lambda name: None)
    few = dict(samplers="gaussian", n_samples=20, n_halves=2, progress=False)
    with pytest.warns(UserWarning, match=f"^{LEFT_OUT}: dlib .expected [^\n]+ pip install 'latentfaces.judges.'.$"): panel = judge_samplers(load_bundle(), judges=["dlib", "onet"], **few)
    assert set(panel.scattered) == {("onet", "frechet"), ("onet", "coverage")}
    with pytest.raises(ImportError, match="^expected at least one judge, [^\n]+judges[^\n]+$"): judge_samplers(load_bundle(), judges="dlib", **few)


def test_who_needs_images_is_refused_or_left_out(monkeypatch):
    monkeypatch.setattr("latentfaces.features.DlibFeatures.__init__", lambda self: None)
    few = dict(samplers="gaussian", n_samples=20, n_halves=2, progress=False)
    with pytest.warns(UserWarning, match=f"{LEFT_OUT}: dlib .it needs real images"): panel = judge_samplers(load_bundle(), **few)
    assert {judge for judge, _ in panel.scattered} == {"own", "onet"}
    with pytest.raises(ValueError, match="^expected the images [^\n]+ for dlib, got none[^\n]+--data.$"): judge_samplers(load_bundle(), judges=["own", "dlib"], **few)


class Untouched:
    "A sampler that must not be drawn from."
    def fit(self, z): return self
    def sample(self, n_samples=1, random_state=None): raise AssertionError("work was done")


@pytest.mark.parametrize("options, says", [
    ({"judges": "magic"}, "expected judges among own, onet, dlib"), ({"judges": []}, "expected judges among"), ({"judges": 5}, "expected judges among"), ({"judges": ["own", "all"]}, "expected judges among"), ({"n_samples": 19}, "n_samples"), ({"n_halves": 1}, "n_halves"),
    ({"random_state": -1}, "random_state"), ({"judges": {"mine": Means()}}, "for mine, got none"), ({"judges": "own"}, "expected a bundle trained on CelebA"),
    ({"samplers": {"few": np.zeros((19, 4))}, "judges": {"mine": Means()}, "source": "somewhere"}, "at least 20 pictures in each row, got 19 in few")])
def test_mistakes_are_told_before_the_work(tiny_bundle, options, says):
    with pytest.raises(ValueError, match=says) as error: judge_samplers(tiny_bundle, **{"samplers": {"untouched": Untouched()}, "progress": False} | options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("judges", [{"a/b": Means()}, {"mine": np.mean}, {"mine": None}])
def test_judges_of_ones_own_are_features_with_simple_names(tiny_bundle, judges):
    with pytest.raises(TypeError, match="^expected Features by simple names such as mine, got [^\n]+$"): judge_samplers(tiny_bundle, "gaussian", "somewhere", judges)


def test_only_bundles_and_their_own_images_are_judged(tiny_bundle, tmp_path):
    with pytest.raises(TypeError, match="expected a bundle, got int"): judge_samplers(3)
    from PIL import Image
    for i, face in enumerate(synthetic_faces(30, size=16, random_state=5)[0]): Image.fromarray(face).save(tmp_path / f"{i:03d}.png")
    with pytest.raises(ValueError, match="got others under"): judged(tiny_bundle, tmp_path, {"mine": Means()})


def test_all_rows_have_as_many_pictures_as_the_shortest(tiny_bundle, face_folder, two):
    panel = judged(tiny_bundle, face_folder, two, {"short": synthetic_faces(30, size=16)[0], "gaussian": "gaussian"}, n_samples=1000)
    assert set(panel.table.n_samples_fine) == {30} and len(panel.scattered["fine", "frechet"].columns) == 4


# ---------------------------------------------------------------- what is kept

def test_kept_answers_are_not_asked_again(tiny_bundle, face_folder, two, tmp_path):
    first = judged(tiny_bundle, face_folder, two, folder=tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 2 * 4 and len(two["fine"].asked) == 4
    pd.testing.assert_frame_equal(first.table, judged(tiny_bundle, face_folder, two, folder=tmp_path / "kept").table)
    assert len(two["fine"].asked) == 4
    judged(tiny_bundle, face_folder, two, ["gaussian", "elliptic"], folder=tmp_path / "kept")
    assert len(two["fine"].asked) == 5  # the new row
    judged(tiny_bundle, face_folder, {"fine": Means(1), "other": Means(2)}, folder=tmp_path / "kept")  # a network has its own digest, Means has none
    assert len(list((tmp_path / "kept").glob("other-*"))) == 4


def test_an_interrupted_panel_goes_on(tiny_bundle, face_folder, tmp_path):
    class Interrupted(Means):
        def _outputs(self, images):
            if len(self.asked) == 3: raise KeyboardInterrupt
            return super()._outputs(images)
    with pytest.raises(KeyboardInterrupt): judged(tiny_bundle, face_folder, {"mine": Interrupted()}, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    again = Means()
    found = judged(tiny_bundle, face_folder, {"mine": again}, folder=tmp_path).table
    assert len(again.asked) == 1
    pd.testing.assert_frame_equal(found, judged(tiny_bundle, face_folder, {"mine": Means()}).table)


def test_damaged_answers_are_asked_again(tiny_bundle, face_folder, tmp_path):
    whole = judged(tiny_bundle, face_folder, {"mine": Means()}, folder=tmp_path).table
    for path, content in zip(sorted(tmp_path.iterdir()), (b"", b"PK", b"x" * 100)): path.write_bytes(content)
    judge = Means()
    pd.testing.assert_frame_equal(whole, judged(tiny_bundle, face_folder, {"mine": judge}, folder=tmp_path).table)
    assert len(judge.asked) == 3


def test_another_network_of_the_same_name_is_asked(can_train, tiny_bundle, face_folder, tmp_path):
    import keras
    keras.utils.set_random_seed(0)
    a, b = (Features(Network.from_keras(build_attribute_network(16, 2, 3, (4, 8))), attribute_names=("x", "y")) for _ in range(2))
    first, other = (judged(tiny_bundle, face_folder, {"mine": f}, folder=tmp_path).table for f in (a, b))
    assert len(list(tmp_path.iterdir())) == 8 and not first.equals(other)


# ---------------------------------------------------------------- the command

def test_the_command_prints_the_panel_and_writes_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("latentfaces.panel._random_halves", lambda n, n_halves, seed: _random_halves(n, 15, seed))
    options = ["--judges", "own", "onet", "--sampler", "gaussian", "--sampler", "uniform", "--n", "80", "--quiet", "--out", str(tmp_path / "panel.csv")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cli.main(["evaluate", *options]) == 0
    said = capsys.readouterr().out
    assert "by every judge:\n- gaussian is better than uniform\n- the ranks of own and onet agree by 1.00" in said and "coverage onet" in said
    table = pd.read_csv(tmp_path / "panel.csv", index_col="name")
    assert list(table.index) == ["real images", "reconstructions", "gaussian", "uniform"]
    assert {"frechet_own", "frechet_own_se", "frechet_onet", "coverage_onet_se", "n_samples_onet"} <= set(table)
    assert (table.frechet_onet["uniform"] > table.frechet_onet["gaussian"]) and (abs(table.frechet_onet["real images"]) < table.frechet_onet["gaussian"] / 5)


def test_a_judge_of_too_few_real_images_is_told_before_anything_is_drawn():
    bundle = load_bundle()
    few = Bundle(bundle.z[:30], bundle.names[:30], bundle.config, bundle.encoder, lambda z: 1 / 0)
    with pytest.raises(ValueError, match="^expected at least 20 real images in either half for the judge own, got 15: pass [^\n]+$"):
        judge_samplers(few, {"a": bundle.z[:20]}, judges="own", progress=False)


def test_no_judges_are_no_panel():
    with pytest.raises(TypeError, match="^expected Features by simple names [^\n]+$"): judge_samplers(load_bundle(), ["gaussian"], judges={})


def test_answers_in_another_pixel_range_are_others():
    network, pictures = load_features().network, np.zeros((2, 64, 64, 3), np.uint8)
    ranges = [the_panel._digest(Features(network, pixel_range), pictures) for pixel_range in ((0, 1), (-1, 1), (0, 1))]
    assert ranges[0] == ranges[2] != ranges[1]


# ---------------------------------------------------------------- seeds, and who is fitted to what

class Remembering:
    "A sampler that keeps what it was fitted to, and draws from it."

    learned = []

    def get_params(self, deep=True): return {}
    def set_params(self, **parameters): return self

    def fit(self, z):
        self.z, self.n_features_in_ = np.asarray(z), z.shape[1]
        self.learned.append(self.z)
        return self

    def sample(self, n_samples=1, random_state=None): return self.z[np.arange(n_samples) % len(self.z)]


def test_samplers_do_not_learn_from_what_they_are_compared_with(tiny_bundle, face_folder, two):
    Remembering.learned.clear()
    split = []
    real = the_panel._seen
    def spy(bundle, rows, judges, photographs, halves, *more):
        split.append(halves)
        return real(bundle, rows, judges, photographs, halves, *more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(the_panel, "_seen", spy)
        judged(tiny_bundle, face_folder, two, {"mine": Remembering()}, n_samples=25, n_seeds=2)
    (z,), (against, _) = Remembering.learned, split[0]
    assert len(split) == 2 and (split[1][0] == against).all()
    np.testing.assert_array_equal(z, tiny_bundle.z[~np.isin(tiny_bundle.names, against[:25])])
    assert len(z) == len(tiny_bundle.z) - 25


def test_several_seeds_are_the_mean_of_draws_from_one_fit(tiny_bundle, face_folder, two):
    both, one = (judged(tiny_bundle, face_folder, two, n_seeds=count) for count in (2, 1))
    other = 2 * both.scattered["fine", "frechet"] - one.scattered["fine", "frechet"]
    np.testing.assert_allclose(other["real images"], one.scattered["fine", "frechet"]["real images"])
    assert abs(other["gaussian"] - one.scattered["fine", "frechet"]["gaussian"]).max() > 1e-6
    for (judge, measure), values in both.scattered.items():
        np.testing.assert_allclose(both.table[f"{measure}_{judge}_se"], values.std())


def test_what_cannot_be_a_row_is_told_before_anything_is_fitted(tiny_bundle, face_folder, two):
    from latentfaces.densities import BlendSampler, EigenfaceSampler
    from latentfaces.sampling import GaussianSampler
    other = GaussianSampler().fit(np.random.default_rng(0).normal(size=(50, 3)))
    for wrong in (EigenfaceSampler(), BlendSampler, other):
        Remembering.learned.clear()
        with pytest.raises((TypeError, ValueError)) as error: judged(tiny_bundle, face_folder, two, {"good": Remembering(), "wrong": wrong})
        assert "\n" not in str(error.value) and not Remembering.learned
