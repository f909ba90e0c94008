// The coordinate systems of the latent space: z itself, principal axes, and these in standard deviations.

export function dot(a, b, n = a.length) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

export class Latent {
  // mean (dim), axes (rank rows of dim) and std (rank), as LatentPCA learned them
  constructor(mean, axes, std) {
    this.mean = mean;
    this.std = std;
    this.dim = mean.length;
    this.rank = std.length;
    this.axes = Array.from(std, (_, i) => axes.subarray(i * this.dim, (i + 1) * this.dim));
  }

  // Coordinates along the principal axes, in the unit of z.
  scores(z) {
    const centred = new Float64Array(this.dim);
    for (let i = 0; i < this.dim; i++) centred[i] = z[i] - this.mean[i];
    return Float64Array.from(this.axes, (axis) => dot(axis, centred));
  }

  // The way back.
  fromScores(scores) {
    const z = Float64Array.from(this.mean);
    for (let i = 0; i < scores.length; i++) {
      if (scores[i] !== 0) for (let j = 0; j < this.dim; j++) z[j] += scores[i] * this.axes[i][j];
    }
    return z;
  }

  // z moved by so much along a vector.
  moved(z, amount, along) {
    return Float64Array.from(z, (value, i) => value + amount * along[i]);
  }

  // Mahalanobis length: standard deviations from the mean, over all axes.
  length(scores) {
    let sum = 0;
    for (let i = 0; i < this.rank; i++) sum += (scores[i] / this.std[i]) ** 2;
    return Math.sqrt(sum);
  }

  // Standard deviation of one component of z, and covariance of two.
  covariance(i, j) {
    let sum = 0;
    for (let k = 0; k < this.rank; k++) sum += this.axes[k][i] * this.axes[k][j] * this.std[k] ** 2;
    return sum;
  }
}

// From a to b: around the mean, so that the Mahalanobis length goes evenly; what the axes do not hold goes straight.
export function between(latent, zA, zB, t) {
  const [a, b] = [zA, zB].map((z) => latent.scores(z).map((x, i) => x / latent.std[i]));
  const straight = Float64Array.from(zA, (x, i) => x + t * (zB[i] - x));
  const round = arc(a, b, t);
  const bent = latent.fromScores(round.map((x, i) => (x - (a[i] + t * (b[i] - a[i]))) * latent.std[i]));
  return straight.map((x, i) => x + bent[i] - latent.mean[i]);
}

// Along the great circle of two directions; straight where one has none, or they are opposite.
export function arc(a, b, t) {
  const [la, lb] = [Math.sqrt(dot(a, a)), Math.sqrt(dot(b, b))];
  const line = a.map((x, i) => x + t * (b[i] - x));
  if (Math.min(la, lb) < 1e-6) return line;
  let apart = 0;
  let together = 0;
  for (let i = 0; i < a.length; i++) {
    apart += (a[i] / la - b[i] / lb) ** 2;
    together += (a[i] / la + b[i] / lb) ** 2;
  }
  const omega = 2 * Math.atan2(Math.sqrt(apart), Math.sqrt(together));
  if (Math.PI - omega < 1e-6) return line;
  const [fa, fb] = omega > 1e-6 ? [Math.sin((1 - t) * omega) / Math.sin(omega), Math.sin(t * omega) / Math.sin(omega)] : [1 - t, t];
  const length = (1 - t) * la + t * lb;
  return a.map((x, i) => length * ((fa * x) / la + (fb * b[i]) / lb));
}
