// A mixture of Gaussians in whitened coordinates: the law of a sampler, and, for any two components, the density of the plane.
import { dot } from "./latent.js";

export class Mixture {
  // weights (m), means (m rows of r), cholesky (m lower triangles, row by row). Axes beyond the first r are standard normal.
  constructor(latent, weights, means, cholesky) {
    this.latent = latent;
    this.weights = weights;
    this.r = means.length / weights.length;
    const packed = (this.r * (this.r + 1)) / 2;
    this.means = Array.from(weights, (_, k) => means.subarray(k * this.r, (k + 1) * this.r));
    this.factors = Array.from(weights, (_, k) => cholesky.subarray(k * packed, (k + 1) * packed));
  }

  // Principal coordinates of one new vector.
  draw(random) {
    const { latent, r } = this;
    const k = random.choice(this.weights);
    const noise = Float64Array.from({ length: latent.rank }, () => random.normal());
    const white = Float64Array.from(noise);
    for (let i = 0; i < r; i++) {
      white[i] = this.means[k][i] + dot(this.factors[k].subarray((i * (i + 1)) / 2), noise, i + 1);
    }
    return white.map((x, i) => x * latent.std[i]);
  }

  // The marginal law of two directions: a weight, a mean and a covariance for each Gaussian.
  marginal(directions, offsets) {
    return this.factors.map((factor, k) => {
      const spread = directions.map((a) => this.throughFactor(factor, a));
      return {
        weight: this.weights[k],
        mean: directions.map((a, i) => offsets[i] + dot(this.means[k], a)),
        covariance: [dot(spread[0], spread[0]), dot(spread[0], spread[1]), dot(spread[1], spread[1])],
      };
    });
  }

  // L^T a, and a itself where the axes are standard normal.
  throughFactor(factor, a) {
    const out = Float64Array.from(a);
    out.fill(0, 0, this.r);
    for (let i = 0; i < this.r; i++) {
      if (a[i] === 0) continue;
      const start = (i * (i + 1)) / 2;
      for (let j = 0; j <= i; j++) out[j] += factor[start + j] * a[i];
    }
    return out;
  }
}

// What a component is in whitened coordinates: its direction, and where its mean lies.
export function direction(latent, kind, i) {
  if (kind === "z") return [Float64Array.from(latent.std, (s, k) => s * latent.axes[k][i]), latent.mean[i]];
  const a = new Float64Array(latent.rank);
  a[i] = latent.std[i];
  return [a, 0];
}

// Density of a marginal law on a grid, row by row.
export function densityOn(law, xs, ys) {
  const out = new Float64Array(xs.length * ys.length);
  for (const { weight, mean, covariance: [a, b, c] } of law) {
    const determinant = a * c - b * b;
    const [p, q, r] = [c / determinant, b / determinant, a / determinant];
    const top = weight / (2 * Math.PI * Math.sqrt(determinant));
    for (let row = 0, at = 0; row < ys.length; row++) {
      const dy = ys[row] - mean[1];
      for (let column = 0; column < xs.length; column++, at++) {
        const dx = xs[column] - mean[0];
        out[at] += top * Math.exp((-p * dx * dx + 2 * q * dx * dy - r * dy * dy) / 2);
      }
    }
  }
  return out;
}
