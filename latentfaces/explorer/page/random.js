// Random numbers of the page's own: the same seed gives the same faces here, but others than in Python.

export class Random {
  // sfc32 by Chris Doty-Humphrey, its state filled from the seed.
  constructor(seed) {
    this.state = Uint32Array.of(0x9e3779b9, 0x243f6a88, 0xb7e15162, seed >>> 0);
    this.spare = null;
    for (let i = 0; i < 15; i++) this.bits();
  }

  bits() {
    const s = this.state;
    const t = (s[0] + s[1] + s[3]) >>> 0;
    s[3] = s[3] + 1;
    s[0] = s[1] ^ (s[1] >>> 9);
    s[1] = s[2] + (s[2] << 3);
    s[2] = ((s[2] << 21) | (s[2] >>> 11)) + t;
    return t;
  }

  uniform() {
    return ((this.bits() >>> 5) * 67108864 + (this.bits() >>> 6)) / 9007199254740992;
  }

  normal() {
    if (this.spare !== null) {
      const kept = this.spare;
      this.spare = null;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  below(n) {
    return Math.floor(this.uniform() * n);
  }

  // An index, each with the probability of its weight.
  choice(weights) {
    let rest = this.uniform() * weights.reduce((sum, w) => sum + w, 0);
    for (let k = 0; k < weights.length - 1; k++) {
      rest -= weights[k];
      if (rest < 0) return k;
    }
    return weights.length - 1;
  }
}
