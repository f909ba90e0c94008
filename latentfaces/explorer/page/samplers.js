// The samplers: what each is called, how far its vectors go, and how it draws one.
import { uniformPairRegion } from "./elliptic.js";

export const SAMPLERS = {
  elliptic: {
    label: "elliptic",
    knob: "factor of the ellipses",
    range: [0.1, 2, 0.05],
    factor: 0.7,
    words: "Inside the ellipses of all pairs of principal axes: the way of the series. Clean faces, near the average one.",
    draw: (space, factor, random) => {
      const { latent, halfWidths } = space;
      const u = uniformPairRegion(halfWidths.length, random);
      return latent.fromScores(u.map((x, i) => x * factor * halfWidths[i]));
    },
  },
  gaussian: {
    label: "Gaussian",
    knob: "scale of the spread",
    range: [0.1, 2, 0.05],
    factor: 1,
    words: "The normal distribution with mean and covariance of the z-points. A scale below 1 gives cleaner faces.",
    draw: ({ latent }, factor, random) => latent.fromScores(latent.std.map((s) => s * factor * random.normal())),
  },
  mixture: {
    label: "mixture",
    knob: null,
    factor: 1,
    words: "A mixture of Gaussians, which knows that the cloud is no single one: nearest to the z-points of those here.",
    draw: ({ latent, mixture }, factor, random) => latent.fromScores(mixture.draw(random)),
  },
  cube: {
    label: "cube",
    knob: "half the side of the cube",
    range: [0.5, 4, 0.1],
    factor: 1.5,
    words: "Every component uniform, around the origin: what one tries first, and what gives no faces.",
    draw: ({ latent }, factor, random) => latent.mean.map(() => factor * (2 * random.uniform() - 1)),
  },
};
