// The whole state as the part of a link behind #, and back. z is written in 16 bits a number.
import { fromHalf, toHalf } from "./half.js";

export function packed(z) {
  const words = Uint16Array.from(z, toHalf);
  let text = "";
  for (const word of words) text += String.fromCharCode(word & 255, word >> 8);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// null where it does not hold so many finite numbers.
export function unpacked(text, dim) {
  let bytes;
  try {
    bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return null;
  }
  if (bytes.length !== 2 * dim) return null;
  const z = Float64Array.from({ length: dim }, (_, i) => fromHalf(bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8)));
  return z.every(Number.isFinite) ? z : null;
}

export function toHash({ z, plane, sampler, factor, seed, a, b }) {
  const parts = [`z=${packed(z)}`, `plane=${plane.kind}.${plane.i}.${plane.j}`, `sampler=${sampler}.${factor}.${seed}`];
  if (a) parts.push(`a=${packed(a)}`);
  if (b) parts.push(`b=${packed(b)}`);
  return `#${parts.join("&")}`;
}

// What a link says, without the parts that make no sense.
export function fromHash(hash, dim) {
  const parts = Object.fromEntries(hash.replace(/^#/, "").split("&").map((part) => part.split("=", 2)));
  const found = {};
  for (const name of ["z", "a", "b"]) {
    const z = parts[name] && unpacked(parts[name], dim);
    if (z) found[name] = z;
  }
  const plane = /^(pc|z)\.(\d+)\.(\d+)$/.exec(parts.plane ?? "");
  if (plane) found.plane = { kind: plane[1], i: Number(plane[2]), j: Number(plane[3]) };
  const sampler = /^([a-z]+)\.(\d+(?:\.\d+)?)\.(\d+)$/.exec(parts.sampler ?? "");
  if (sampler) Object.assign(found, { sampler: sampler[1], factor: Number(sampler[2]), seed: Number(sampler[3]) });
  return found;
}
