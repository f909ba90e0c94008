"""Speed of the elliptic sampler and of the Gaussian one as ratios measured in one run: python benchmarks/sampling.py

Elliptic: K = 105 of 256 components, 10,000 vectors, turned back to z-vectors. The literal pair loop, in NumPy as the series
describes it, is timed on a few vectors and scaled up. Gaussian: fit to 8,500 points of 256 components in float32 and 4,000
vectors, against `np.cov` and `Generator.multivariate_normal(method="cholesky")`, with one thread if OMP_NUM_THREADS=1.
All contestants take turns, and the median counts; of the Gaussian the median of the ratios, turn by turn.
"""
import argparse
import itertools
import math
import time

import numpy as np

from latentfaces.sampling import EllipticSampler, GaussianSampler

LATENT_DIM, N_COMPONENTS, N_POINTS = 256, 105, 4_000


def z_points(rng, n_points=N_POINTS):
    "Points of a correlated normal cloud away from the origin."
    axes = np.linalg.qr(rng.standard_normal((LATENT_DIM, LATENT_DIM)))[0]
    return rng.standard_normal((n_points, LATENT_DIM)) * np.exp(-np.arange(LATENT_DIM) / 60) @ axes + rng.normal(0, 1, LATENT_DIM)


def literal_pair_loop(sampler, n_samples, rng):
    "The published algorithm, pair after pair, in the coordinates of the principal axes; then back."
    limits, k = sampler.factor * sampler.half_widths_, sampler.n_components_
    pairs = np.array(list(itertools.combinations(range(k), 2)))
    vectors = rng.uniform(-limits, limits, (n_samples, k))
    for x in vectors:
        for i, j in rng.permuted(pairs[rng.permutation(len(pairs))], axis=1):
            if (x[i] / limits[i])**2 + (x[j] / limits[j])**2 > 1:
                c = limits[j] * math.sqrt(1 - (x[i] / limits[i])**2)
                x[j] = rng.uniform(-c, c)
    return sampler.pca_.inverse_transform(vectors)


def literal_pair_loop_in_plain_python(sampler, n_samples, rng):
    "The same with every trick that plain Python allows: scaled components, lists, floats."
    k = sampler.n_components_
    pairs = np.array(list(itertools.combinations(range(k), 2)))
    vectors = []
    for _ in range(n_samples):
        u = rng.uniform(-1, 1, k).tolist()
        first, second = rng.permuted(pairs[rng.permutation(len(pairs))], axis=1).T.tolist()
        for i, j in zip(first, second):
            if u[i] * u[i] + u[j] * u[j] > 1: u[j] = rng.uniform(-1, 1) * math.sqrt(1 - u[i] * u[i])
        vectors.append(u)
    return sampler.pca_.inverse_transform(np.array(vectors) * (sampler.factor * sampler.half_widths_))


def gaussian_ratio(rng, repeats):
    "Fit and 4,000 draws of `GaussianSampler` over the same with NumPy: the median of the ratios."
    z, ratios = z_points(rng, 8_500).astype(np.float32), []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        GaussianSampler().fit(z).sample(4_000, random_state=rng)
        middle = time.perf_counter()
        rng.multivariate_normal(z.mean(axis=0), np.cov(z.T), 4_000, method="cholesky")
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return np.median(ratios[1:])  # the first round warms up


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=10_000, help="vectors per measurement (10000)")
    parser.add_argument("--literal", type=int, default=30, help="vectors per measurement of the literal loops, scaled up (30)")
    parser.add_argument("--repeats", type=int, default=9, help="rounds of all contestants (9)")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    z = z_points(rng)
    uniform, sequential = [EllipticSampler(N_COMPONENTS, method=method).fit(z) for method in ("uniform", "sequential")]
    gaussian = GaussianSampler().fit(z)
    n, few = args.vectors, args.literal
    contestants = {
        "uniform": (lambda: uniform.sample(n, random_state=rng), n),
        "sequential": (lambda: sequential.sample(n, random_state=rng), n),
        "multivariate_normal": (lambda: rng.multivariate_normal(gaussian.mean_, gaussian.covariance_, n, method="cholesky"), n),
        "literal": (lambda: literal_pair_loop(uniform, few, rng), few),
        "plain": (lambda: literal_pair_loop_in_plain_python(uniform, few, rng), few),
    }
    seconds = {name: [] for name in contestants}
    for round_ in range(args.repeats + 1):
        for name, (draw, count) in contestants.items():
            start = time.perf_counter()
            draw()
            if round_: seconds[name].append((time.perf_counter() - start) / count)  # the first round warms up
    each = {name: np.median(values) for name, values in seconds.items()}
    print(f"{n:,} vectors, {N_COMPONENTS} of {LATENT_DIM} components, back-transform included; median of {args.repeats}; literal loops timed on {few} vectors and scaled")
    for name, value in each.items(): print(f"  {name:20} {1 / value:12,.0f} vectors a second")
    print(f"uniform / literal pair loop: {each['literal'] / each['uniform']:,.0f} times as fast (at least 1,000 asked for)")
    print(f"uniform / Generator.multivariate_normal(method='cholesky'): {each['multivariate_normal'] / each['uniform']:.1f} times as fast (at least 1 asked for)")
    print(f"sequential / literal pair loop: {each['literal'] / each['sequential']:,.0f} times as fast (at least 50 asked for)")
    print(f"GaussianSampler, fit and 4,000 vectors / np.cov and multivariate_normal: {gaussian_ratio(rng, 5 * args.repeats):.2f} times the time (at most 1.1 asked for)")
    print(f"for comparison, against the loop in plain Python: uniform {each['plain'] / each['uniform']:,.0f} times, sequential {each['plain'] / each['sequential']:,.0f} times")


if __name__ == "__main__": main()
