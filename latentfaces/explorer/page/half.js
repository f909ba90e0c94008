// Numbers of 16 bits (IEEE 754 binary16): the mixture is kept in them, and links hold z in them.

const word = new DataView(new ArrayBuffer(4));

export function fromHalf(h) {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 31;
  const fraction = h & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// Rounded to the nearest, to the even one of two that are as near.
export function toHalf(value) {
  const size = Math.abs(value);
  word.setFloat32(0, value);
  const sign = (word.getUint32(0) >>> 16) & 0x8000;
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
