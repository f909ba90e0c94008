// Numbers of 16 bits (IEEE 754 binary16): the mixture is kept in them, and links hold z in them.

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer); // the same 32 bits

export function fromHalf(h) {
  const exponent = h & 0x7c00;
  if (exponent === 0) return (h & 0x8000 ? -1 : 1) * (h & 1023) * 2 ** -24;
  if (exponent === 0x7c00) return h & 1023 ? NaN : h & 0x8000 ? -Infinity : Infinity;
  word[0] = ((h & 0x8000) << 16) | ((h & 0x7fff) * 0x2000 + 0x38000000); // the exponent counts from 127, not 15
  return float[0];
}

export function fromHalves(words) {
  const out = new Float32Array(words.length);
  for (let i = 0; i < out.length; i++) out[i] = fromHalf(words[i]);
  return out;
}

// Rounded to the nearest, to the even one of two that are as near.
export function toHalf(value) {
  const size = Math.abs(value);
  float[0] = value;
  const sign = (word[0] >>> 16) & 0x8000;
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(Math.floor(Math.log2(size || 1e-30)), -14);
  const steps = roundToEven(size / 2 ** (exponent - 10)); // 1024 to 2048, below that for the smallest
  return sign | (steps + (exponent + 14) * 1024);
}

function roundToEven(x) {
  const low = Math.floor(x);
  const rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
}
