// What the page knows of a bundle: read from one file.
import { Directions } from "./directions.js";
import { Latent } from "./latent.js";
import { Mixture } from "./mixture.js";
import { readTensors } from "./safetensors.js";

export function openSpace(buffer) {
  const t = readTensors(buffer);
  const latent = new Latent(t.mean.data, t.axes.data, t.std.data);
  return {
    ...t.meta,
    latent,
    start: Float64Array.from(t.start.data),
    halfWidths: t.half_widths.data,
    mixture: new Mixture(latent, t.weights.data, t.means.data, t.cholesky.data),
    directions: new Directions(t.meta.attributes, t.mean.data, t.normals.data, t.steps.data),
  };
}
