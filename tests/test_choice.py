"Which sampler for a z of one's own: energy distances against formulas and loops, advice on clouds with a known answer, bad input."
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.metrics import euclidean_distances

from clouds import cloud
from latentfaces import choice
from latentfaces.choice import REAL, Advice, advise, compare_samplers
from latentfaces.evaluation import readable_table
from latentfaces.metrics import density_and_coverage
from latentfaces.sampling import SAMPLERS, GaussianSampler, LatentSampler, make_sampler

SECONDS = ["fit_seconds", "draw_seconds"]
QUICK = ["gaussian", "scale", "radius", "blend", "kernel", "independent", "uniform"]


def compare(z, samplers=None, seed=0, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mixtures that end early
        return compare_samplers(z, samplers, random_state=seed, progress=False, **options)


def mean_of_pairs(x, y=None):
    "By a loop over pairs of different rows."
    rows = x if y is None else y
    return np.mean([np.linalg.norm(a - b) for i, a in enumerate(x) for j, b in enumerate(rows) if y is not None or i != j])


class Clouds:
    "Clouds with a known answer."
    n, d = 2500, 12

    def normal(self, seed): return np.random.default_rng(seed).standard_normal((self.n, self.d))

    def gaussian(self, seed): return cloud(self.n, self.d, seed)

    def heavy(self, seed): return self.normal(seed) / np.sqrt(np.random.default_rng(seed + 1).chisquare(3, (self.n, 1)) / 3)

    def blobs(self, seed):
        z, rng = self.normal(seed), np.random.default_rng(seed + 1)
        tight = rng.random(self.n) < 0.4
        z[tight] = z[tight] * np.linspace(0.3, 1.5, self.d) + 2
        return z @ np.linalg.qr(rng.standard_normal((self.d, self.d)))[0]

    def equal_blobs(self, seed):
        z = self.normal(seed)
        z[:, 0] += np.where(np.arange(self.n) % 2, 3, -3)
        return z @ np.linalg.qr(z[: self.d])[0]

    def sphere(self, seed):
        z = self.normal(seed)
        return z / np.linalg.norm(z, axis=1, keepdims=True)

    def codes(self, seed): return np.random.default_rng(seed).integers(0, 5, (self.n, self.d))


class TheLaw(BaseEstimator):
    "Draws from N(0, I), whatever it is fitted to."

    def fit(self, z):
        self.width_ = z.shape[1]
        return self

    def sample(self, n, random_state=None): return np.random.default_rng(random_state).standard_normal((n, self.width_))


def test_the_true_law_is_at_chance_where_covariances_are_estimated_badly():
    "With 12 points for each component a sampler that reuses the covariance of the points must not look better than the law."
    z = np.random.default_rng(3).standard_normal((3000, 250))
    table = compare_samplers(z, {"law": TheLaw(), "gaussian": "gaussian"}, random_state=0, progress=False)
    assert table.energy_low["law"] <= table.energy_high[REAL] and table.energy["law"] < 1
    assert advise(table).sampler is not None


class TestEnergy:
    def aside(self, n=60, d=3, seed=0):
        z = cloud(n, d, seed)
        return choice._Aside(z[n // 3:], z[:n // 3], z, 50, np.random.default_rng(seed))

    def test_it_is_szekelys_and_rizzos(self):
        aside, x = self.aside(), cloud(20, 3, 5)
        row, _ = choice._measure(aside, x, np.random.default_rng(0))
        total = unit = 0
        for part in (0, 1):
            a, b = (np.reshape(aside.placed(v)[part], (20, -1)) for v in (x, aside.aside))
            scale = mean_of_pairs(b) if part == 0 else max(mean_of_pairs(b), np.sqrt(2 / np.pi))
            total += (2 * mean_of_pairs(a, b) - mean_of_pairs(a) - mean_of_pairs(b)) / scale
            unit += mean_of_pairs(b) / scale
        assert row["energy"] == pytest.approx(100 * total / unit)

    def test_resamples_are_those_of_rows_drawn_again(self):
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((15, 2)), rng.standard_normal((15, 2))
        counts = choice._resamples(15, 4, rng)
        assert (counts.sum(axis=0) == 15).all()
        again = [np.repeat(np.arange(15), column.astype(int)) for column in counts.T]
        across = choice._weighted_sums(counts, euclidean_distances(x, y), counts[:, ::-1]) / 15**2
        np.testing.assert_allclose(across, [mean_of_pairs(x[i], y[j]) for i, j in zip(again, again[::-1])])
        within = choice._resampled_within(euclidean_distances(x), counts) * 14 / 15
        np.testing.assert_allclose(within, [mean_of_pairs(x[i]) for i in again], rtol=1e-6)

    def test_chance_is_that_of_random_halves(self):
        z = np.random.default_rng(0).standard_normal((12, 2))
        found = choice._by_chance(euclidean_distances(z), 5, np.random.default_rng(3))
        rng = np.random.default_rng(3)
        for value in found:
            order = rng.permutation(12)
            a, b = z[order[:6]], z[order[6:]]
            assert value == pytest.approx(2 * mean_of_pairs(a, b) - mean_of_pairs(a) - mean_of_pairs(b))

    @pytest.mark.parametrize("change", [lambda x: x + 0.1, lambda x: x * 8 / 7])
    def test_what_a_quarter_of_a_per_cent_means(self, change):
        "The first part of the distance in many dimensions, as the chapter says."
        x, y = np.random.default_rng(0).standard_normal((2, 2000, 200))
        own = choice._mean_within(euclidean_distances(y))
        shifted = change(x)
        energy = 2 * euclidean_distances(shifted, y).mean() - choice._mean_within(euclidean_distances(shifted)) - own
        assert energy / own / 2 == pytest.approx(0.0025, rel=0.1)

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 1000), st.floats(-3, 3), st.floats(-100, 100))
    def test_shift_and_scale_of_components_change_nothing(self, seed, log_scale, shift):
        z = cloud(100, 4, seed, grid=2**10)
        scales = 10.0 ** (log_scale * np.array([1, -1, 0.5, 0]))
        one, two = (compare(x, ["gaussian"], seed, n_resamples=20) for x in (z, z * scales + shift))
        columns = ["energy", "coverage", "copies", "gap"]
        np.testing.assert_allclose(one.loc[REAL, columns], two.loc[REAL, columns], rtol=1e-4, atol=1e-4)

    def test_constant_components_are_those_of_nobody(self):
        z = np.c_[cloud(200, 3), np.full(200, 0.1)]
        table = compare(z, ["gaussian", "uniform"])
        assert np.isfinite(table["energy"]).all() and table.energy["uniform"] > table.energy["gaussian"]

    def test_coverage_is_that_of_the_metrics(self, monkeypatch):
        monkeypatch.setattr(choice, "_units", lambda real: (1.0, np.inf))  # lengths have no weight
        aside = self.aside(120)
        vectors = cloud(40, 3, 9)
        row, _ = choice._measure(aside, vectors, np.random.default_rng(0))
        assert row["coverage"] == density_and_coverage(aside.real[0], aside.at.scaled(vectors)).coverage

    def test_the_gap_is_to_the_nearest_value_of_the_component(self):
        aside, vectors = self.aside(), cloud(20, 3, 4, shift=5)
        gaps = abs(vectors[:, None] - aside.fitted[None]).min(axis=1) / aside.at.std
        assert choice._gap(aside, vectors) == pytest.approx(gaps.mean())


class TestAdvice:
    RIGHT = {"gaussian": {"gaussian"}, "heavy": {"radius"}, "blobs": {"mixture"}, "equal_blobs": {"copula", "mixture"},
             "sphere": {"radius"}, "codes": {None}}

    @pytest.mark.parametrize("name", RIGHT)
    def test_clouds_with_a_known_answer(self, name):
        table = compare(getattr(Clouds(), name)(7), ["gaussian", "scale", "radius", "mixture", "copula", "blend", "kernel", "independent", "uniform"], n_resamples=100)
        found = advise(table)
        assert found.sampler in self.RIGHT[name], found.words
        assert found.words.startswith("None of them" if found.sampler is None else f"Take {found.sampler}: ")
        assert found.words.count(". ") == 0 and found.words.endswith(".") and "nan" not in found.words

    def test_lengths_in_hundreds_of_dimensions(self):
        rng = np.random.default_rng(0)
        z = rng.standard_normal((3000, 200)) / np.sqrt(rng.chisquare(3, (3000, 1)) / 3)
        table = compare(z, ["gaussian", "radius", "scale", "elliptic"], n_resamples=100)
        assert advise(table).sampler in ("radius", "scale") and table.energy_low["gaussian"] > 5 * table.energy["radius"]

    def test_who_copies_is_found_out(self):
        class Copier(type(make_sampler("kernel"))):
            def _sample_white(self, n_samples, rng): return self.white_[rng.integers(len(self.white_), size=n_samples)].astype(float)

        z = Clouds().blobs(3)
        table = compare(z, {"copier": Copier(), "uniform": "uniform"})
        assert table.copies["copier"] > 0.95 and "of its vectors are as near to a fitted point as copies are" in advise(table).words
        both = compare(z, {"copier": Copier(), "mixture": "mixture"})
        assert advise(both).sampler == "mixture" and "copies" not in advise(both).words.replace("does not copy", "")

    def test_none_is_an_answer(self):
        table = compare(Clouds().gaussian(0), ["independent", "uniform", "elliptic"])
        assert advise(table).sampler is None and "chance gives at most" in advise(table).words

    def test_codes_that_are_drawn_as_codes_are_no_codes_to_complain_about(self):
        class Rounded(GaussianSampler):
            def _sample(self, n_samples, rng): return np.clip(np.rint(super()._sample(n_samples, rng)), 0, 2)

        z = np.random.default_rng(0).integers(0, 3, (1000, 4))
        assert advise(compare(z, ["gaussian"])).words.startswith("None of them: the components of z have few different values")
        assert compare(z, {"rounded": Rounded()}).gap["rounded"] == 0

    def test_points_stored_in_few_bits_are_no_codes(self):
        z = cloud(2000, 5).astype(np.float16).astype(np.float32)
        assert advise(compare(z, ["gaussian"])).sampler == "gaussian"

    def test_the_simplest_is_taken(self):
        near = {"energy": 0.0, "energy_low": -0.1, "energy_high": 0.1, "as_near": 1.0, "coverage": 1.0, "copies": 0.01, "gap": 0.0,
                "log_density": -1.0, "log_density_se": 0.1, "density_behind": 0.0, "density_behind_se": 0.001}
        table = lambda **rows: pd.DataFrame([near] + [near | row for row in rows.values()], index=[REAL, *rows])
        taken = lambda **rows: advise(table(**rows)).sampler
        assert taken(kernel={}, scale={}, gaussian={}) == "gaussian"
        assert taken(scale={}, gaussian={"as_near": 0.01}) == "scale"
        assert taken(scale={}, gaussian={"density_behind": 0.01}) == "scale"
        assert taken(scale={}, gaussian={"density_behind": 0.0005, "density_behind_se": 0}) == "gaussian"
        assert taken(scale={}, gaussian={"density_behind": 0.01, "density_behind_se": 0.01}) == "gaussian"
        assert taken(scale={}, gaussian={"copies": 0.2}) == "scale"
        assert taken(independent={}, mine={}) == "mine" and taken(independent={}, kernel={}) == "kernel"
        blind = {"log_density": np.nan, "log_density_se": np.nan, "density_behind": np.nan, "density_behind_se": np.nan}
        assert taken(mixture={}, radius=blind) == "radius"
        assert taken(mixture={}, radius=blind, gaussian={"density_behind": 0.1}) == "mixture"
        assert taken(mixture={}, radius=blind, gaussian={"density_behind": 0.1, "as_near": 0.0}) == "radius"
        assert taken(gaussian={"density_behind": 0.1}) == "gaussian"  # the best density may be that of a law that is far off
        assert taken(gaussian={"energy_low": 9}) == "gaussian" and taken(gaussian={"energy_low": 11}) is None
        assert "; but 20% of its vectors are as near to a fitted point as copies are" in advise(table(kernel={"copies": 0.2})).words

    def test_the_registry_says_what_is_simple(self):
        known = {name: entry.complexity for name, entry in SAMPLERS.items()}
        assert {name for name, value in known.items() if value is None} == {"independent", "range", "uniform"}
        assert min(filter(None, known.values())) == known["gaussian"] and max(filter(None, known.values())) == known["kernel"]

    @pytest.mark.parametrize("table", [None, "table", pd.DataFrame({"energy": [1.0]}), pd.DataFrame(columns=["energy", "as_near", "gap"])])
    def test_another_table_is_refused(self, table):
        with pytest.raises(TypeError, match="expected the table of compare_samplers"): advise(table)


class TestTable:
    def test_the_same_seed_gives_the_same_table(self):
        z = cloud(300, 4)
        one, two, three = (compare(z, QUICK, seed).drop(columns=SECONDS) for seed in (1, 1, 2))
        assert one.equals(two) and not one.equals(three) and advise(one) == advise(two)
        assert isinstance(advise(one), Advice) and not one.attrs

    def test_what_is_in_it(self):
        table = compare(cloud(300, 4), QUICK)
        assert table.index[0] == REAL and {*table.index[1:]} == {*QUICK} and table.index.name == "name"
        rows = table.iloc[1:]
        assert rows["energy"].is_monotonic_increasing and rows["as_near"].iloc[0] == 1 and table["as_near"].isna()[REAL]
        assert ((rows["energy_low"] < rows["energy"]) & (rows["energy"] < rows["energy_high"])).all()
        assert table["coverage"].between(0, 1).all() and (rows[SECONDS] >= 0).all(axis=None)
        assert table["log_density"].isna().sum() == 1 + sum(not hasattr(make_sampler(name), "score_samples") for name in QUICK)
        assert np.nanmin(table["density_behind"]) == 0 and table.dtypes.eq(float).all()
        assert readable_table(table).loc["gaussian", "energy"].count(" to ") == 1

    def test_densities_are_means_over_the_points_kept_aside(self):
        z = cloud(300, 4)
        table = compare(z, ["gaussian", "independent"], 5)
        order = np.random.default_rng(5).permutation(300)
        fitted = make_sampler("gaussian").fit(z[order[120:]])
        scores = fitted.score_samples(z[order[:60]]) / 4
        others = make_sampler("independent").fit(z[order[120:]]).score_samples(z[order[:60]]) / 4
        assert table.log_density["gaussian"] == pytest.approx(scores.mean())
        assert table.log_density_se["gaussian"] == pytest.approx(scores.std(ddof=1) / np.sqrt(60))
        assert table.density_behind["independent"] == pytest.approx((scores - others).mean())
        assert table.density_behind_se["independent"] == pytest.approx((scores - others).std(ddof=1) / np.sqrt(60))

    def test_which_are_compared(self):
        few, many, everything = (choice._to_compare(samplers, d) for samplers, d in ((None, 63), (None, 64), ("all", 64)))
        assert everything.keys() == SAMPLERS.keys() == few.keys() | {"flow"}
        assert few.keys() - many.keys() == {"mixture", "gaussianization"} and "flow" not in few

    @pytest.mark.parametrize("samplers, names", [
        ("gaussian", ["gaussian"]), (GaussianSampler(0.9), ["GaussianSampler"]), ({"a": "scale", "b": GaussianSampler(0.5)}, ["a", "b"]),
    ])
    def test_samplers_come_in_any_form(self, samplers, names):
        assert sorted(compare(cloud(100, 3), samplers, n_resamples=20).index[1:]) == names

    def test_a_fitted_sampler_is_fitted_anew_and_left_as_it_was(self):
        z = cloud(200, 3)
        fitted = GaussianSampler().fit(z + 1000)
        table = compare(z, {"old": fitted, "new": GaussianSampler()})
        assert table.log_density["old"] == table.log_density["new"] and fitted.mean_.mean() > 900

    def test_who_cannot_be_fitted_is_left_out_with_a_sentence(self):
        z = cloud(60, 55)
        with pytest.warns(UserWarning, match="gaussianization is left out: .*needs at least"):
            table = compare_samplers(z, ["gaussianization", "gaussian"], progress=False)
        assert list(table.index) == [REAL, "gaussian"]
        with pytest.raises(ValueError, match="no sampler could be fitted; gaussianization"):
            compare(z, "gaussianization")

    def test_without_keras_the_flow_is_left_out(self, monkeypatch):
        def absent(): raise ImportError("the flow needs Keras")
        monkeypatch.setattr("latentfaces.flow.load_keras", absent)
        with pytest.warns(UserWarning, match="the sampler flow is left out: the flow needs Keras"):
            assert "flow" not in compare_samplers(cloud(100, 3), ["flow", "gaussian"], progress=False).index


class Foreign(LatentSampler):
    "Draws vectors of another length."

    def __init__(self, random_state=None): self.random_state = random_state

    def _fit(self, points, rng): self.ready_ = True

    def _sample(self, n_samples, rng): return np.ones((n_samples, 2))


class TestBadInput:
    @pytest.mark.parametrize("z, words", [
        (cloud(49, 3), "minimum of 50"), (np.full((60, 3), np.nan), "NaN"), (np.ones((60, 3)), "expected z-points that differ"), (cloud(60, 3)[:, 0], "Reshape"),
    ])
    def test_points(self, z, words):
        with pytest.raises(ValueError, match=words): compare(z, "gaussian")

    @pytest.mark.parametrize("samplers, words", [
        (["magic"], "expected one of the samplers"), ([], "expected one sampler or more"), ({REAL: "gaussian"}, "none of them called"), (3, "expected names"),
        (GaussianSampler, "expected names"), ({"a": GaussianSampler}, "expected samplers such as"), ({"a": np.ones((5, 3))}, "expected samplers such as"),
        ({"a": None}, "expected samplers such as"),
    ])
    def test_samplers_are_looked_at_before_anything_is_fitted(self, samplers, words, monkeypatch):
        monkeypatch.setattr(choice, "_Aside", None)
        with pytest.raises((ValueError, TypeError), match=words): compare(cloud(60, 3), samplers)

    def test_images_are_no_z_points(self):
        from latentfaces.densities import EigenfaceSampler
        with pytest.raises(TypeError, match="learns from images"): compare(cloud(60, 3), EigenfaceSampler())

    @pytest.mark.parametrize("options", [{"n_points": 49}, {"n_aside": 9}, {"n_resamples": 1}, {"n_points": 1.5}, {"n_aside": True}])
    def test_counts(self, options):
        with pytest.raises((ValueError, TypeError), match="must be a whole number"): compare(cloud(60, 3), "gaussian", **options)

    @pytest.mark.parametrize("seed", ["x", -1, 1.5])
    def test_seeds(self, seed):
        with pytest.raises((ValueError, TypeError), match="random_state"): compare(cloud(60, 3), "gaussian", seed)

    def test_vectors_of_another_length_are_left_out(self):
        with pytest.raises(ValueError, match=r"expected z-vectors of shape \(12, 3\), got \(12, 2\)"): compare(cloud(60, 3), Foreign())

    @pytest.mark.parametrize("z", [
        np.tile(np.eye(10), (20, 1)), np.random.default_rng(0).integers(0, 2, (80, 5)), cloud(60, 80), cloud(60, 1), 1e90 * cloud(60, 3),
        np.r_[cloud(100, 3), np.zeros((100, 3))], cloud(80, 3).tolist(), pd.DataFrame(cloud(80, 3)),
    ], ids=["one-hot", "binary", "few points", "one component", "large", "half filled", "lists", "a table of pandas"])
    def test_strange_clouds_get_a_table_and_a_sentence(self, z):
        table = compare(z, ["gaussian", "blend", "radius", "uniform"], n_resamples=20)
        assert np.isfinite(table["energy"]).all() and len(advise(table).words) > 40
