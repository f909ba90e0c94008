"Attributes: planted directions and clusters, scale, what is held, files, wishes that come true and wishes that are refused."
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.utils.estimator_checks import check_estimator

from clouds import cloud
from latentfaces.attributes import (
    ConditionalSampler, Directions, _auc, _balanced_accuracy, _separation, _thresholds, _valley, attribute_directions, attribute_table)
from latentfaces.sampling import GaussianSampler, load_sampler, make_sampler
from strange import BAD_NUMBERS, BAD_POINTS, attempt, gridded, in_twenty_seconds, refused, told

METHODS = ("means", "lda", "logistic")


def planted(n=3000, d=6, seed=0):
    "A correlated cloud, and labels: two thresholds on directions that are oblique to each other, and one group that is shifted."
    rng = np.random.default_rng(seed)
    z = cloud(n, d, seed)
    axes = rng.standard_normal((2, d))
    read = (z - z.mean(axis=0)) @ axes.T
    labels = pd.DataFrame({"first": read[:, 0] > 0, "second": read[:, 1] > read[:, 1].std(), "shifted": rng.random(n) < 0.3})
    spread = z.std(axis=0)
    z[labels.shifted] += 4 * spread * np.eye(d)[1]
    return z, labels, axes


def blobs(n=4000, d=5, seed=0):
    "Independent groups six standard deviations apart, along an axis of its own each."
    rng = np.random.default_rng(seed)
    has = rng.random((n, 3)) < [0.5, 0.1, 0.4]
    return rng.standard_normal((n, d)) + 6 * has @ np.eye(d)[:3], pd.DataFrame(has, columns=["a", "b", "c"])


# ---------------------------------------------------------------------------------------------------------- directions

@pytest.mark.parametrize("method", ["lda", "logistic"])
def test_a_planted_direction_is_found(method):
    z, axis = cloud(3000, 6), np.random.default_rng(0).standard_normal(6)
    score = (z - z.mean(axis=0)) @ axis
    labels = pd.DataFrame({"first": score > 0})
    found = attribute_directions(z, labels, method)
    assert np.corrcoef(found.scores(z)["first"], score)[0, 1] > 0.99
    if method == "lda":
        theirs = LinearDiscriminantAnalysis().fit(z, labels["first"]).decision_function(z)
        assert np.corrcoef(found.scores(z)["first"], theirs)[0, 1] > 1 - 1e-9


def test_the_difference_of_means_is_lda_s_way_to_move():
    z, labels, _ = planted()
    difference = z[labels["first"]].mean(axis=0) - z[~labels["first"]].mean(axis=0)
    read, move = (attribute_directions(z, labels, method, follow) for method, follow in (("means", False), ("lda", True)))
    for vector in (read.normals[0], read.steps[0], move.steps[0]): assert np.allclose(vector / np.linalg.norm(vector), difference / np.linalg.norm(difference), atol=1e-9)
    assert abs(np.corrcoef(move.normals[0], difference)[0, 1]) < 0.99, "and reads along another one"


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_one_is_one_standard_deviation(method, follow):
    z, labels, _ = planted()
    found = attribute_directions(z * 1000 + 5, labels, method, follow)
    scores = found.scores(z * 1000 + 5)
    assert np.allclose(scores.mean(), 0, atol=1e-9) and np.allclose(scores.std(), 1)
    assert np.allclose(np.diag(found.effects()), 1)
    assert (scores[labels["shifted"]].mean() - scores[~labels["shifted"]].mean())["shifted"] > 0.5, "up is towards those who have it"
    moved = found.move(z * 1000 + 5, "second", 1.5)
    assert np.allclose(found.scores(moved) - scores, 1.5 * found.effects().loc["second"], atol=1e-8)
    assert np.allclose(found.scores(found.move(z, "second", np.arange(len(z)), absolute=True))["second"], np.arange(len(z)))


def test_a_followed_step_is_the_shortest_in_the_cloud():
    z, labels, _ = planted()
    inverse = np.linalg.inv(np.cov(z.T))
    lengths = {follow: [s @ inverse @ s for s in attribute_directions(z, labels, follow=follow).steps] for follow in (True, False)}
    assert np.allclose(lengths[True], 1) and min(lengths[False]) > 1.01
    held = attribute_directions(z, labels).holding("second").steps[0]
    rng, normals = np.random.default_rng(0), attribute_directions(z, labels).normals
    for _ in range(20):  # any other step with the same scores is longer
        other = rng.standard_normal(len(held))
        other -= np.linalg.pinv(normals[:2]) @ (normals[:2] @ other)
        assert (held + 0.1 * other) @ inverse @ (held + 0.1 * other) > held @ inverse @ held


@pytest.mark.parametrize("follow", [True, False])
def test_what_is_held_stays(follow):
    z, labels, _ = planted()
    free = attribute_directions(z, labels, follow=follow)
    held = free.holding("second", "shifted")
    assert abs(free.effects().loc["first", "second"]) > 0.01, "or there is nothing to hold"
    assert np.allclose(held.effects().loc["first"], [1, 0, 0], atol=1e-9)
    assert np.allclose(held.effects().loc["second", ["second", "shifted"]], [1, 0], atol=1e-9)
    assert np.array_equal(free.holding().steps, free.steps) and np.array_equal(held.normals, free.normals)
    if not follow:  # InterFaceGAN's projection, word for word
        one, other = free.normals[0], free.normals[1] / np.linalg.norm(free.normals[1])
        projected, step = one - (one @ other) * other, free.holding("second").steps[0]
        assert np.allclose(projected / np.linalg.norm(projected), step / np.linalg.norm(step))


def test_nothing_is_left_of_an_attribute_that_is_held_by_its_double():
    z, labels, _ = planted()
    found = attribute_directions(z, labels.assign(again=labels["first"]))
    assert "nothing of the direction of first is left with again held" in refused(lambda: found.holding("again"))


def test_directions_are_the_same_from_a_file(tmp_path):
    z, labels, _ = planted()
    found = attribute_directions(z, labels).holding("shifted")
    again = Directions.load(found.save(tmp_path / "new" / "d.npz"))
    assert again.names == found.names and all(np.array_equal(getattr(again, x), getattr(found, x)) for x in ("mean", "normals", "steps"))
    content = (tmp_path / "new" / "d.npz").read_bytes()
    (tmp_path / "bad.npz").write_bytes(content[: len(content) // 2])
    np.savez(tmp_path / "other.npz", names=np.array(["a"]), mean=np.zeros(3), normals=np.zeros((2, 3)), steps=np.zeros((2, 3)))
    np.savez(tmp_path / "nan.npz", names=np.array(["a"]), mean=np.zeros(3), normals=np.full((1, 3), np.nan), steps=np.zeros((1, 3)))
    for name in ("bad", "other", "nan"): assert "holds no directions" in refused(lambda: Directions.load(tmp_path / f"{name}.npz"))
    assert "there is no file" in refused(lambda: Directions.load(tmp_path / "none.npz"))


LABELS = planted(40, 5)[1]
BAD_LABELS = {
    "an array": LABELS.to_numpy(), "nothing": None, "a Series": LABELS["first"], "one row less": LABELS[1:], "no columns": LABELS[[]], "-1 and 1": LABELS * 2 - 1, "texts": LABELS.astype(str),
    "a gap": LABELS.astype(float).where(LABELS.index.to_series() != 3, axis=0), "twice": LABELS.set_axis(["a", "a", "b"], axis=1), "all": LABELS | True, "none": LABELS & False, "dates": LABELS.assign(d=pd.Timestamp("2020-01-01")),
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_bad_labels(name):
    for call in (attribute_directions, attribute_table, lambda z, y: ConditionalSampler("gaussian", {"first": True}).fit(z, y)): refused(lambda: call(gridded(), BAD_LABELS[name]))
    assert attempt(lambda: attribute_directions(gridded(), LABELS)) is not None, "so it is the labels that are refused"


def test_labels_may_be_numbers_and_stand_in_any_index():
    z, labels, _ = planted(300)
    found = attribute_directions(z, labels)
    for same in (labels.astype(int), labels.astype(float), labels.set_axis([f"{i}.jpg" for i in range(300)]), labels.astype("boolean")):
        assert np.allclose(attribute_directions(pd.DataFrame(z), same).steps, found.steps, atol=1e-9)


@pytest.mark.parametrize("name", BAD_POINTS)
def test_bad_points(name):
    for call in (attribute_directions, attribute_table, lambda z, y: attribute_directions(gridded(), LABELS).scores(z)):
        if name != "one point" or call in (attribute_directions, attribute_table): refused(lambda: call(BAD_POINTS[name], LABELS))


def test_bad_choices():
    found = attribute_directions(gridded(), LABELS)
    assert '"lda", "means" or "logistic"' in refused(lambda: attribute_directions(gridded(), LABELS, "svm"))
    for name in ("third", None, 3): assert "expected one of the attributes first, second, shifted" in refused(lambda: found.move(gridded(), name, 1))
    for amount in (np.nan, "far", [1, 2], None, np.inf): refused(lambda: found.move(gridded(), "first", amount))
    assert "5 components" in refused(lambda: found.scores(gridded(9, 4)))
    for n in (1, 0, 2.5, None): refused(lambda: attribute_table(gridded(), LABELS, n_clusters=n))


def test_few_points_and_dead_columns():
    rng = np.random.default_rng(0)
    z, has = rng.standard_normal((12, 30)), pd.DataFrame({"x": np.arange(12) < 5})
    found = attribute_directions(z, has)
    assert np.isfinite(found.steps).all() and (found.scores(z)["x"].to_numpy()[:5] > found.scores(z)["x"].to_numpy()[5:].max()).all()
    dead = np.insert(gridded(), 2, 7.0, axis=1)
    assert np.allclose(attribute_directions(dead, LABELS).steps[:, 2], 0, atol=1e-9)


# ----------------------------------------------------------------------------------------------------------- the table

def test_measures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores, truth = rng.standard_normal((300, 4)).round(1), rng.random((300, 4)) < 0.3
    scores += truth
    assert np.allclose(_auc(scores, truth), [roc_auc_score(truth[:, i], scores[:, i]) for i in range(4)])
    cut = _thresholds(scores, truth)
    found = _balanced_accuracy(scores, truth, cut)
    assert np.allclose(found, [balanced_accuracy_score(truth[:, i], scores[:, i] > cut[i]) for i in range(4)])
    for i in range(4):
        best = max(balanced_accuracy_score(truth[:, i], scores[:, i] > t) for t in np.unique(scores[:, i]) - 1e-9)
        assert found[i] >= best - 0.02
    with_it, without = scores[truth[:, 0], 0], scores[~truth[:, 0], 0]
    assert _separation(scores, truth)[0] == pytest.approx((with_it.mean() - without.mean()) / np.sqrt((with_it.var() + without.var()) / 2))


@pytest.mark.parametrize("distance, low, high", [(0, 0, 0.02), (1, 0, 0.02), (3, 0.2, 0.45), (6, 0.75, 1)])
def test_the_valley_between_two_bells(distance, low, high):
    rng = np.random.default_rng(0)
    assert low <= _valley(rng.standard_normal(20000) + distance * (rng.random(20000) < 0.5)) <= high


def test_clusters_are_told_from_directions():
    z, labels = blobs()
    rng = np.random.default_rng(1)
    cut = attribute_table(rng.standard_normal((4000, 5)), pd.DataFrame({"cut": rng.random(4000) < 0.5})).iloc[0]
    one = attribute_table(z[:, [0, 3, 4]], labels[["a"]]).iloc[0]
    assert min(one.kmeans, one.mixture) > 0.95 and one.valley > 0.75 and one.auc > 0.999 and one.separation == pytest.approx(6, abs=0.4)
    assert abs(cut.auc - 0.5) < 0.06 and abs(one.auc_shuffled - 0.5) < 0.06 and max(cut.valley, cut.kmeans, one.kmeans_shuffled, one.mixture_shuffled) < 0.03
    table = attribute_table(z, labels)
    assert table.auc.is_monotonic_decreasing and table.share["b"] == labels["b"].mean() and set(table.index) == {"a", "b", "c"}
    assert attribute_table(z, labels).equals(table), "the same seed"


# ---------------------------------------------------------------------------------------------------------- the sampler

def test_it_draws_what_was_asked_for():
    z, labels = blobs()
    for wish in ({"a": True}, {"a": False, "b": True}, {"a": True, "b": True, "c": False}):
        vectors = ConditionalSampler("gaussian", wish, random_state=0).fit(z, labels).sample(500)
        for name, value in wish.items(): assert np.mean((vectors[:, "abc".index(name)] > 3) == value) > 0.97
    assert np.mean(vectors[:, 3]) == pytest.approx(0, abs=0.5), "what was not asked for is as it was"
    free = ConditionalSampler("gaussian", {"a": True}, random_state=0).fit(z, labels).sample(2000)
    assert np.mean(free[:, 2] > 3) == pytest.approx(labels["c"].mean(), abs=0.05)


def test_too_few_are_made_up_by_others_that_were_moved():
    rng = np.random.default_rng(0)
    z, labels = blobs(2000, 40)
    labels["rare"] = rng.random(2000) < 0.03
    z[labels.rare] += 6 * np.eye(40)[30]
    sampler = ConditionalSampler("gaussian", {"rare": True}, random_state=0).fit(z, labels)
    assert 50 <= labels.rare.sum() < 160 and sampler.sampler_.moments_.count == 160 and sampler.sampler_.rank_ == 40
    assert np.mean(sampler.sample(400)[:, 30] > 3) > 0.95


def test_joint_shares_are_those_of_the_data():
    z, labels = blobs()
    labels["d"] = labels["a"] & labels["c"]  # attributes that are not independent
    labels["unheld"] = np.random.default_rng(0).random(len(z)) < 0.5
    sampler = ConditionalSampler("gaussian", "as in the data", random_state=0).fit(z, labels)
    assert list(sampler.left_out_) == ["unheld"] and list(sampler.names_) == ["a", "b", "c", "d"]
    vectors, asked = sampler.sample_with_attributes(4000)
    assert np.allclose(asked.mean(), labels[list("abcd")].mean(), atol=0.03)
    assert (asked["d"] == (asked["a"] & asked["c"])).all()
    assert np.mean((vectors[:, :3] > 3) == asked[["a", "b", "c"]]) > 0.97
    plain = GaussianSampler(random_state=0).fit(z).sample(4000)
    assert np.mean(abs(plain[:, 1] - 3) < 1) > 2 * np.mean(abs(vectors[:, 1] - 3) < 1), "a plain Gaussian fills the gap"


@pytest.mark.parametrize("name", ["elliptic", "gaussian", "blend", "scale"])
def test_without_a_wish_it_is_the_sampler_itself(name):
    z, labels = blobs(300)
    sampler = ConditionalSampler(name, random_state=3).fit(z, labels)
    assert np.array_equal(sampler.sample(5), make_sampler(name).fit(z).sample(5, random_state=3))
    assert "got None" in refused(lambda: sampler.sample_with_attributes(2))


def test_strength_goes_further_and_is_read_when_sampling():
    z, labels = blobs()
    for wish in ({"a": True}, "as in the data"):
        sampler = ConditionalSampler("gaussian", wish, random_state=0).fit(z, labels)
        plain = sampler.sample(500)
        strong = sampler.set_params(strength=2.0).sample(500)
        further = strong[:, 0] - plain[:, 0]
        if wish == "as in the data": assert np.median(abs(strong[:, 0] - z[:, 0].mean())) > 1.6 * np.median(abs(plain[:, 0] - z[:, 0].mean()))
        else: assert np.allclose(further, z[labels.a, 0].mean() - z[:, 0].mean(), rtol=0.05)


def test_seeds_and_files(tmp_path):
    z, labels = blobs(600)
    for inner, wish in (("elliptic", {"a": True}), (make_sampler("gaussian", factor=0.7), "as in the data"), ("blend", None)):
        sampler = ConditionalSampler(inner, wish, random_state=1).fit(z, labels)
        again = ConditionalSampler(inner, wish, random_state=1).fit(z, labels)
        assert np.array_equal(sampler.sample(4), again.sample(4)) and not np.array_equal(sampler.sample(4), sampler.sample(4, random_state=2))
        read = load_sampler(sampler.save(tmp_path / "s.npz"))
        assert type(read) is ConditionalSampler and read.attributes == wish and np.array_equal(read.sample(4), sampler.sample(4))
    sampler = ConditionalSampler("gaussian", {"a": True}, random_state=1).fit(z, labels)
    assert not hasattr(sampler.set_params(attributes=None).fit(z), "names_"), "an earlier wish is forgotten"


def test_wishes_that_are_refused():
    z, labels = blobs()
    labels["unheld"] = np.random.default_rng(0).random(len(z)) < 0.5
    labels["contrary"] = ~labels["a"]

    def told_for(wish, **options): return refused(lambda: ConditionalSampler("gaussian", wish, random_state=0, **options).fit(z, labels))

    assert "at least 50 z-points fulfil, got a True and contrary True, of 0" in told_for({"a": True, "contrary": True})
    assert "expected attributes among a, b, c" in told_for({"beauty": True})
    assert re.search(r"unheld \(0\.\d\d\): ask for others, or set insist=True", told_for({"a": True, "unheld": True}))
    assert ConditionalSampler("gaussian", {"unheld": True}, insist=True, random_state=0).fit(z, labels).accuracy_[0] < 0.6
    for wish in ({}, {"a": 1}, {"a": "yes"}, "everything", ["a"], 3): assert "expected attributes such as" in told_for(wish)
    for strength in (0, -1, np.nan, None): told_for({"a": True}, strength=strength)
    labels["rare"] = np.arange(len(z)) < 30
    assert "of 30: ask for less" in told_for({"rare": True})
    for inner in ("magic", 5, GaussianSampler, None): refused(lambda: ConditionalSampler(inner, {"a": True}).fit(z, labels))
    assert "learns from" in refused(lambda: ConditionalSampler(make_sampler_of_images(), {"a": True}).fit(z, labels))
    assert "labels as a DataFrame" in refused(lambda: ConditionalSampler("gaussian", {"a": True}).fit(z))


def make_sampler_of_images():
    from latentfaces.densities import EigenfaceSampler
    return EigenfaceSampler(4)


@pytest.mark.parametrize("name", ["sampler", "attributes", "strength", "insist", "random_state"])
def test_bad_parameters(name):
    z, labels = blobs(300)
    for value in BAD_NUMBERS:
        found = attempt(lambda: ConditionalSampler("gaussian", {"a": True}).set_params(**{name: value}).fit(z, labels).sample(2, random_state=0))
        if found is not None: assert found.shape == (2, 5) and np.isfinite(found).all(), told(value)


@pytest.mark.parametrize("name", BAD_POINTS)
def test_the_sampler_refuses_bad_points(name): refused(lambda: ConditionalSampler("gaussian").fit(BAD_POINTS[name]))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_is_a_scikit_learn_estimator():
    results = check_estimator(ConditionalSampler(), on_fail=None)
    assert {r["status"] for r in results} <= {"passed", "skipped"}, [r for r in results if r["status"] == "failed"]
    assert sum(r["status"] == "passed" for r in results) > 30
