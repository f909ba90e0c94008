"The one cloud of made-up z-points that all tests share: correlated, off-centre, and skewed or heavy-tailed where a test asks for it."
import numpy as np


def cloud(n=400, d=6, seed=0, *, fall=0.2, shift=2.0, heavy=0.0, skew=0.0, scale=1.0, grid=None):
    """n points in d dimensions: axes turned at random, their widths falling by the factor exp(-fall) from one to the next.

    `shift`: standard deviation of the components of the mean, not scaled. `heavy`: standard deviation of the logarithm of a
    scale that each point has of its own. `skew`: share of an exponential variable in the widest axis. `grid`: numbers per
    unit, a power of two: then adding a large number to the points is exact.
    """
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, d))
    z[:, 0] = (1 - skew) * z[:, 0] + skew * rng.exponential(size=n)
    z *= scale * np.exp(heavy * rng.standard_normal((n, 1)) - fall * np.arange(d))
    z = z @ np.linalg.qr(rng.standard_normal((d, d)))[0] + rng.normal(0, shift, d)
    return z if grid is None else np.rint(z * grid) / grid
