"Is it anybody? Copies are found, strangers are not, thresholds are what they say, and what does not belong together is refused."
import numpy as np
import pytest

from latentfaces import BlendSampler, Gallery, KernelSampler, build_gallery, identity_leak
from latentfaces.drawn import synthetic_faces
from latentfaces.features import Features

RNG = np.random.default_rng(0)
PEOPLE, STRANGERS = RNG.normal(size=(2000, 16)), RNG.normal(size=(3000, 16))


@pytest.fixture(scope="module")
def gallery(): return build_gallery(PEOPLE, STRANGERS, n_pairs=200_000)


def test_copies_are_their_sources_and_somebody(gallery):
    rows = np.arange(0, 400, 2)[:, None]
    found = identity_leak(PEOPLE[rows[:, 0]], rows, gallery)
    assert found.as_source.value == found.as_anyone.value == found.first.value == 1 and set(found.rank) == {1}
    np.testing.assert_array_equal(found.nearest, rows[:, 0])
    np.testing.assert_allclose(found.to_nearest, 0, atol=1e-3)


def test_strangers_are_somebody_as_often_as_the_thresholds_say(gallery):
    new = np.random.default_rng(1).normal(size=(20_000, 16))
    found = identity_leak(new, np.random.default_rng(2).integers(2000, size=(20_000, 1)), gallery)
    assert found.as_source.low < 0.001 < found.as_source.high and 0.0003 < found.as_anyone.value < 0.003
    assert found.by_chance.low < 0.001 < found.by_chance.high
    assert abs(np.median(found.rank) - 1000) < 30


def test_a_source_among_several_is_enough(gallery):
    sources = np.column_stack([np.full(50, 7), np.arange(50)])
    found = identity_leak(PEOPLE[:50], sources, gallery)
    by_hand = np.linalg.norm(gallery.vectors[sources] - PEOPLE[:50, None].astype(np.float32), axis=2).min(axis=1)
    np.testing.assert_allclose(found.to_source, by_hand)
    assert found.as_source.value == 1


def test_ranks_count_who_is_nearer(gallery):
    faces = np.random.default_rng(3).normal(size=(40, 16)).astype(np.float32)
    sources = np.random.default_rng(4).integers(2000, size=(40, 2))
    found = identity_leak(faces, sources, gallery)
    distances = np.linalg.norm(gallery.vectors - faces[:, None], axis=2)
    nearest = np.take_along_axis(distances, sources, 1).min(axis=1)
    np.testing.assert_allclose(found.rank, (distances < nearest[:, None]).sum(axis=1) + 1, atol=1)
    np.testing.assert_array_equal(found.nearest, distances.argmin(axis=1))


def test_thresholds_are_quantiles():
    found = build_gallery(PEOPLE, STRANGERS, false_matches=0.01, n_pairs=100_000)
    distances = np.linalg.norm(found.vectors - STRANGERS[:500, None].astype(np.float32), axis=2)
    assert abs((distances < found.pair_distance).mean() - 0.01) < 0.001
    nearest = np.concatenate([np.linalg.norm(found.vectors - rows[:, None], axis=2).min(axis=1) for rows in np.split(STRANGERS.astype(np.float32), 30)])
    assert found.nearest_distance == pytest.approx(np.quantile(nearest, 0.01), rel=1e-4)


def test_without_strangers_there_is_no_threshold_for_anyone_and_no_pair_of_a_face_with_itself():
    found = build_gallery(PEOPLE[:50], n_pairs=5000)
    assert np.isnan(found.nearest_distance) and found.pair_distance > 1
    leak = identity_leak(PEOPLE[:5], None, found)
    assert leak.as_anyone is leak.as_source is leak.by_chance is leak.first is None and leak.to_nearest.max() < 1e-3


def test_images_are_seen_by_the_features_of_the_gallery():
    faces, strangers = (synthetic_faces(60, size=64, random_state=seed)[0] for seed in (0, 1))
    features = Features()
    seen = build_gallery(faces, strangers, features, 0.05, n_pairs=1000)
    np.testing.assert_allclose(seen.vectors, features(faces), atol=1e-4)
    again = build_gallery(features(faces), features(strangers), None, 0.05, n_pairs=1000)
    assert again.pair_distance == pytest.approx(seen.pair_distance, rel=1e-4)
    found = identity_leak(faces[:5], np.arange(5)[:, None], seen)
    assert found.as_source.value == 1


def test_the_same_seed_gives_the_same():
    one, other, third = (build_gallery(PEOPLE, n_pairs=1000, random_state=seed).pair_distance for seed in (0, 0, 1))
    assert one == other != third


@pytest.mark.parametrize("value, text", [((0.25, 0.2, 0.31), "25% (20% to 31%)"), ((0.002, 0.001, 0.004), "0.2% (0.1% to 0.4%)")])
def test_shares_are_readable(value, text):
    from latentfaces.identity import Share
    assert str(Share(*value)) == text


@pytest.mark.parametrize("faces, sources, says", [
    (PEOPLE[:3, :5], None, "16 numbers each"), (np.zeros((3, 4, 4, 3), np.uint8), None, "as finite vectors"), (np.full((3, 16), np.nan), None, "finite"),
    (PEOPLE[:0], None, "at least one"), ([["a", "b"]], None, "as finite vectors"), (PEOPLE[:3], [1, 2, 3], r"shape \(3, n_sources\)"), (PEOPLE[:3], [[1], [2]], r"shape \(3, n_sources\)"),
    (PEOPLE[:3], [[0.5]] * 3, "whole numbers"), (PEOPLE[:3], [[2000]] * 3, "among the 2,000 faces"), (PEOPLE[:3], [[-1]] * 3, "among the 2,000 faces"),
])  # fmt: skip
def test_what_does_not_belong_together_is_refused(gallery, faces, sources, says):
    with pytest.raises(ValueError, match=says) as error: identity_leak(faces, sources, gallery)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("options, error, says", [
    ({"strangers": PEOPLE[:1000, :3]}, ValueError, "16 numbers each"), ({"false_matches": 0}, ValueError, "false_matches"), ({"false_matches": 2}, ValueError, "false_matches"),
    ({"n_pairs": 5}, ValueError, "n_pairs"), ({"n_pairs": 500}, ValueError, "at least 1,000 pairs"), ({"strangers": PEOPLE[:500]}, ValueError, "at least 1,000 strangers"),
    ({"features": "dlib"}, TypeError, "expected Features, got str"), ({"strangers": [[1], [1, 2]]}, (TypeError, ValueError), "strangers"), ({"random_state": "x"}, (TypeError, ValueError), "random_state|seed"),
])  # fmt: skip
def test_bad_galleries_are_refused(options, error, says):
    with pytest.raises(error, match=says): build_gallery(PEOPLE[:20], **options)


def test_one_face_is_no_gallery():
    with pytest.raises(ValueError, match="at least 2 faces in a gallery, got 1"): build_gallery(PEOPLE[:1])


def test_another_gallery_than_a_gallery_is_refused():
    with pytest.raises(TypeError, match="expected a Gallery, got ndarray"): identity_leak(PEOPLE[:2], None, PEOPLE)


@pytest.mark.parametrize("sampler", [KernelSampler(0.5), BlendSampler(), BlendSampler(3)])
def test_samplers_say_what_their_vectors_are_made_of(sampler):
    z = np.random.default_rng(0).normal(size=(200, 6)) + 5
    vectors, sources = sampler.fit(z).sample_with_sources(2000, random_state=1)
    np.testing.assert_array_equal(vectors, sampler.sample(2000, random_state=1))
    made_of = (z[sources] - z.mean(axis=0)).sum(axis=1)
    assert np.corrcoef(vectors.ravel() - 5, made_of.ravel())[0, 1] > 0.85
    assert sources.shape == (2000, getattr(sampler, "n_parents", 1)) and len(np.unique(sources)) == 200


def test_a_gallery_can_be_made_by_hand():
    by_hand = Gallery(PEOPLE.astype(np.float32), 1.0, 0.5, 0.001)
    found = identity_leak(PEOPLE[:10] + 0.2, np.arange(10)[:, None], by_hand)
    np.testing.assert_allclose(found.to_source, 0.8, rtol=1e-5)
    assert found.as_source.value == 1 and found.as_anyone.value == 0


def test_chance_is_not_the_draw_of_a_sampler_with_the_same_seed():
    z = np.random.default_rng(0).normal(size=(500, 16))
    vectors, sources = KernelSampler(0.2).fit(z).sample_with_sources(300, random_state=0)
    found = identity_leak(vectors, sources, build_gallery(z, n_pairs=50_000))
    assert found.as_source.value > 0.9 and found.by_chance.high < 0.05


def test_others_are_never_the_sources():
    people = np.random.default_rng(0).normal(size=(1000, 16))
    found = identity_leak(people[:50], np.column_stack([np.arange(50), np.arange(50) + 500]), build_gallery(people))
    assert found.as_source.value == 1 and found.by_chance.high < 0.1
