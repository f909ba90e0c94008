// Ellipses in the plane of two components: those of a covariance, and those of the elliptic sampler.

// Semi-axes of one standard deviation, the long one first, and the angle of the long one in radians.
export function confidenceEllipse(varX, covariance, varY) {
  const middle = (varX + varY) / 2;
  const half = Math.hypot((varX - varY) / 2, covariance);
  const angle = covariance === 0 && varX >= varY ? 0 : Math.atan2(2 * covariance, varX - varY) / 2;
  return { semiAxes: [Math.sqrt(middle + half), Math.sqrt(Math.max(middle - half, 0))], angle };
}

// Share of a Gaussian cloud inside the ellipse of so many standard deviations.
export const confidenceLevel = (nStd) => 1 - Math.exp((-nStd * nStd) / 2);

// Squares of the scaled coordinates x / (f a): every pair of them must sum to 1 at most.
export const scaledSquares = (scores, halfWidths, factor) =>
  Float64Array.from(halfWidths, (a, i) => (scores[i] / (factor * a)) ** 2);

// How many pairs lie outside their ellipse. `slack` is for rounding at the edge.
export function pairsOutside(squares, slack = 1e-9) {
  let count = 0;
  for (let i = 1; i < squares.length; i++) for (let j = 0; j < i; j++) if (squares[i] + squares[j] > 1 + slack) count++;
  return count;
}
