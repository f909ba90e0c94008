// The elliptic law: uniform on the region in which every pair of scaled components lies in the unit disc.
// The region is a cube with a spike on each face; chapter 10 (Sampling) proves the closed form.

const TERMS = 64;

// Exponents and weights of the powers of s = 1 - m^2 of which the density of a spike's height m is a mixture.
export function spikeWeights(n) {
  const exponents = new Float64Array(TERMS);
  const weights = new Float64Array(TERMS);
  let binomial = 1; // of 2 j over j, divided by 8^j
  for (let j = 0; j < TERMS; j++) {
    exponents[j] = (n + 1) / 2 + j;
    weights[j] = binomial / exponents[j];
    binomial *= ((2 * j + 1) * 2) / (j + 1) / 8;
  }
  return { exponents, weights };
}

// Volume of all spikes as a share of the region.
export function spikeShare(n) {
  const ratio = (n / Math.sqrt(8)) * spikeWeights(n).weights.reduce((sum, w) => sum + w, 0);
  return ratio / (1 + ratio);
}

// One vector of n scaled components.
export function uniformPairRegion(n, random) {
  let side = Math.SQRT2;
  let spike = -1;
  let height = 0;
  if (random.uniform() < spikeShare(n)) {
    const { exponents, weights } = spikeWeights(n);
    const s = 0.5 * random.uniform() ** (1 / exponents[random.choice(weights)]);
    side = 2 * Math.sqrt(s);
    spike = random.below(n);
    height = Math.sqrt(1 - s) * (random.uniform() < 0.5 ? -1 : 1);
  }
  const u = Float64Array.from({ length: n }, () => side * (random.uniform() - 0.5));
  if (spike >= 0) u[spike] = height;
  return u;
}
