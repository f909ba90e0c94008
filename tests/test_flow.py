"The normalising flow: an invertible map with the right determinant, a density that integrates to one, training that helps, files, bad input."
import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from latentfaces.flow import FlowSampler, _backwards, _build_flow, _forwards, _stacked_weights
from latentfaces.sampling import GaussianSampler, load_sampler, make_sampler
from strange import BAD_POINTS, assert_right_draws, attempt, fit_and_draw, frozen, gridded, refused, same

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # asked for by few epochs, but where it is what is tested

QUICK = FlowSampler(n_couplings=3, n_hidden=16, dropout=0.0, max_epochs=3, learning_rate=5e-3, progress=False, random_state=0)


def banana(n, seed=0):
    z = np.random.default_rng(seed).standard_normal((n, 2))
    z[:, 1] = 0.3 * z[:, 1] + z[:, 0] ** 2
    return z


@pytest.fixture(scope="module")
def bent():
    "A flow that has learned the banana."
    return FlowSampler(n_hidden=32, dropout=0.0, max_epochs=25, learning_rate=3e-3, random_state=0).fit(banana(3000))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), d=st.integers(2, 9), hidden=st.integers(1, 12), n_couplings=st.integers(1, 5))
def test_there_and_back_and_the_determinant(seed, d, hidden, n_couplings):
    rng = np.random.default_rng(seed)
    kept, changed = d // 2, d - d // 2
    shapes = [(kept, hidden), (hidden,), (hidden, hidden), (hidden,), (hidden, 2 * changed), (2 * changed,)]
    couplings = [[rng.normal(0, 0.5, shape) for shape in shapes] for _ in range(n_couplings)]
    orders = [rng.permutation(d) for _ in range(n_couplings)]
    x = rng.standard_normal((3, d))
    u, stretch = _forwards(x, orders, couplings)
    assert np.allclose(_backwards(u, orders, couplings), x, atol=1e-8)
    h = np.concatenate([np.eye(d), -np.eye(d)]) * 1e-6
    moved = _forwards(x[0] + h, orders, couplings)[0]
    jacobian = (moved[:d] - moved[d:]) / 2e-6
    kink = abs(_forwards(x[0] + h, orders, couplings)[1] - stretch[0]).max() > 1e-4  # a ReLU turns within the step
    if not kink: assert np.linalg.slogdet(jacobian)[1] == pytest.approx(stretch[0], abs=1e-3)


def test_keras_and_numpy_agree():
    rng = np.random.default_rng(0)
    orders = np.array([rng.permutation(7) for _ in range(4)])
    model = _build_flow(orders, 10, sigma=0.4)
    for weight in model.trainable_weights: weight.assign(rng.normal(0, 0.4, weight.shape))
    sampler = FlowSampler(n_couplings=4, n_hidden=10)
    sampler.orders_, sampler.sigma_ = orders, 0.4
    sampler.w1_, sampler.b1_, sampler.w2_, sampler.b2_, sampler.w3_, sampler.b3_ = _stacked_weights(model)
    x = rng.standard_normal((50, 7)).astype(np.float32)
    assert np.allclose(np.asarray(model(x))[:, 0], sampler._score_white(x.astype(np.float64)), atol=1e-3)


def test_an_untrained_flow_is_the_scale_mixture():
    x = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    model = _build_flow(np.array([[0, 2, 1, 3], [3, 1, 0, 2]]), 8, sigma=0.0)
    assert np.allclose(np.asarray(model(x))[:, 0], stats.multivariate_normal(np.zeros(4)).logpdf(x), atol=1e-4)


def test_the_density_integrates_to_one(bent):
    x, y = np.linspace(-8, 8, 250), np.linspace(-6, 25, 450)
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.exp(bent.score_samples(grid)).sum() * (x[1] - x[0]) * (y[1] - y[0])
    assert mass == pytest.approx(1, abs=0.02)


def test_it_learns_what_no_gaussian_has(bent):
    new = banana(4000, seed=5)
    truth = -0.5 - np.log(2 * np.pi) - np.log(0.3) - 0.5
    assert GaussianSampler().fit(banana(3000)).score(new) + 0.5 < bent.score(new) < truth + 0.1
    drawn = bent.sample(4000, random_state=0)
    assert np.corrcoef(drawn[:, 0] ** 2, drawn[:, 1])[0, 1] > 0.8
    assert bent.score(drawn) == pytest.approx(bent.score(new), abs=0.25), "drawn vectors are as probable as new points"


def test_the_best_epoch_is_kept(bent):
    assert bent.history_.shape[1] == 2 and len(bent.history_) <= 25
    stopped = FlowSampler(n_hidden=64, dropout=0.0, max_epochs=60, patience=2, learning_rate=5e-3, random_state=0).fit(np.random.default_rng(0).standard_normal((120, 6)))
    assert len(stopped.history_) < 60, "no gain on points kept aside ends it"
    assert stopped.history_[:, 1].argmax() >= len(stopped.history_) - 3


def test_same_seed_same_vectors_and_file(tmp_path):
    z = np.random.default_rng(3).standard_normal((200, 5)) ** 3
    a, b = clone(QUICK).fit(z), clone(QUICK).fit(z)
    assert np.array_equal(a.sample(6, random_state=1), b.sample(6, random_state=1))
    assert not np.array_equal(a.sample(6, random_state=1), a.sample(6, random_state=2))
    back = load_sampler(a.save(tmp_path / "flow.npz"))
    assert np.array_equal(back.sample(6, random_state=1), a.sample(6, random_state=1))
    assert np.array_equal(back.score_samples(z), a.score_samples(z))


def test_is_a_scikit_learn_estimator():
    results = check_estimator(FlowSampler(n_couplings=1, n_hidden=2, max_epochs=1), on_fail=None)
    # one check fits 1 feature, which a coupling cannot halve; it accepts the message that says so
    assert {r["status"] for r in results} <= {"passed", "skipped"}, [r for r in results if r["status"] == "failed"]
    assert sum(r["status"] == "passed" for r in results) > 30


def test_a_constant_component_and_a_long_scale():
    z = np.insert(np.random.default_rng(0).standard_normal((80, 3)) * 1e4, 1, 7.0, axis=1)
    drawn = clone(QUICK).fit(z).sample(30, random_state=0)
    assert np.allclose(drawn[:, 1], 7) and np.isfinite(drawn).all() and 1e3 < drawn[:, 0].std() < 1e5


@pytest.mark.parametrize("sampler, points, error, message", [
    (QUICK, np.zeros((20, 1)) + np.arange(20)[:, None], ValueError, "needs at least two axes"),
    (QUICK, np.random.default_rng(0).random((9, 3)), ValueError, "needs at least 10 z-points, got 9"),
    (FlowSampler(n_couplings=0), banana(50), ValueError, "n_couplings must be a whole number of at least 1, got 0"),
    (FlowSampler(n_hidden=2.5), banana(50), TypeError, "n_hidden must be a whole number of at least 1, got 2.5"),
    (FlowSampler(dropout=1), banana(50), ValueError, "dropout must be at least 0 and below 1, got 1"),
    (FlowSampler(held_out=0), banana(50), ValueError, "held_out must be above 0 and below 1, got 0"),
    (FlowSampler(learning_rate=np.nan), banana(50), ValueError, "learning_rate must be a positive number, got nan"),
    (FlowSampler(batch_size=0), banana(50), ValueError, "batch_size must be a whole number of at least 1, got 0"),
    (QUICK, np.where(np.arange(50)[:, None] == 3, np.nan, banana(50)), ValueError, "NaN or infinite values in 1 of 50 z-points"),
])
def test_bad_input(sampler, points, error, message):
    sampler = clone(sampler)
    with pytest.raises(error, match=message) as caught: sampler.fit(points)
    assert "\n" not in str(caught.value)
    with pytest.raises(NotFittedError): sampler.sample(1)


def test_convergence_is_said(bent):
    z = banana(60)
    with pytest.warns(ConvergenceWarning, match="the flow had not settled after 2 epochs: raise max_epochs"):
        short = FlowSampler(n_couplings=1, n_hidden=4, max_epochs=2, progress=False, random_state=0).fit(z)
    assert short.n_iter_ == len(short.history_) == 2 and not short.converged_
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        settled = FlowSampler(n_couplings=1, n_hidden=4, dropout=0.0, max_epochs=60, patience=1, learning_rate=0.1, progress=False, random_state=0).fit(z)
    assert settled.converged_ and settled.n_iter_ == len(settled.history_) < 60
    assert not bent.converged_ or bent.n_iter_ < 25


def test_by_its_name_it_follows_its_seed():
    from test_sampling import check_seeds
    short = dict(n_couplings=1, n_hidden=4, max_epochs=1, progress=False)
    check_seeds(lambda seed: make_sampler("flow", random_state=seed, **short).fit(gridded(20)))


def test_strange_points_files_and_parameters(tmp_path):
    quick, z = FlowSampler(n_couplings=1, n_hidden=4, dropout=0, max_epochs=1, progress=False), gridded()
    for form in (frozen(z)[::-1], z * 2.0**-100, np.asfortranarray((z + 2.0**10).astype(np.float32))):
        before = form.copy()
        fitted, drawn = attempt(lambda: fit_and_draw(quick, form))
        assert same(form, before)
        assert_right_draws(quick, form, drawn)
        assert not np.isnan(attempt(lambda: fitted.score_samples(form))).any()
    content = fitted.save(tmp_path / "flow.npz").read_bytes()
    for one in (content[:-9], content[:200] + b"\xff" + content[201:], content[:len(content) // 2]):
        (tmp_path / "s.npz").write_bytes(one)
        refused(lambda: load_sampler(tmp_path / "s.npz"))
    for name in ("NaN", "masked", "one point", "a row", "texts", "ragged", "empty"): refused(lambda: clone(quick).fit(BAD_POINTS[name]))
    bad = {"n_hidden": (0, 1.5, None), "dropout": (1, -1, np.nan, np.array([0, 1])), "held_out": (0, 1, "x"), "batch_size": (0,), "learning_rate": (0, np.inf),
           "max_epochs": (True,), "random_state": ("x", -1)}
    for parameter, values in bad.items():
        for value in values: refused(lambda: clone(quick).set_params(**{parameter: value}).fit(z))
