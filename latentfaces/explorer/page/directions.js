// Directions of attributes: what to read along, what to move along, and how to hold others where they are.
import { dot } from "./latent.js";

export class Directions {
  constructor(names, mean, normals, steps) {
    this.names = names;
    this.mean = mean;
    const rows = (data) => names.map((_, i) => data.subarray(i * mean.length, (i + 1) * mean.length));
    this.normals = rows(normals);
    this.steps = rows(steps);
  }

  // In standard deviations of the z-points from their mean.
  scores(z) {
    const centred = Float64Array.from(z, (x, i) => x - this.mean[i]);
    return this.normals.map((normal) => dot(normal, centred));
  }

  // A step that raises score i by 1 and leaves the held ones; null where nothing of the direction is left.
  heldStep(i, held) {
    const used = [i, ...held.filter((j) => j !== i)];
    const effects = used.map((row) => used.map((column) => dot(this.normals[row], this.steps[column])));
    const weights = solve(effects, used.map((_, k) => (k === 0 ? 1 : 0)));
    if (!weights) return null;
    return Float64Array.from(this.mean, (_, j) => used.reduce((sum, k, n) => sum + weights[n] * this.steps[k][j], 0));
  }
}

// Linear equations by elimination with row pivots; null for a matrix that is as good as singular.
export function solve(matrix, right) {
  const n = right.length;
  const rows = matrix.map((row, i) => [...row, right[i]]);
  for (let i = 0; i < n; i++) {
    let best = i;
    for (let k = i + 1; k < n; k++) if (Math.abs(rows[k][i]) > Math.abs(rows[best][i])) best = k;
    [rows[i], rows[best]] = [rows[best], rows[i]];
    if (Math.abs(rows[i][i]) < 1e-6) return null;
    for (let k = i + 1; k < n; k++) {
      const share = rows[k][i] / rows[i][i];
      for (let j = i; j <= n; j++) rows[k][j] -= share * rows[i][j];
    }
  }
  const found = new Array(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let rest = rows[i][n];
    for (let j = i + 1; j < n; j++) rest -= rows[i][j] * found[j];
    found[i] = rest / rows[i][i];
  }
  return found;
}
