// What is saved and opened: the face as PNG, the numbers as JSON, which `latentfaces decode` reads.

export function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export const asPng = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));

export function asJson(z, space) {
  const text = JSON.stringify({ z: [Array.from(z, (x) => Number(Math.fround(x).toPrecision(9)))], decoder: space.decoder });
  return new Blob([text + "\n"], { type: "application/json" });
}

// The first z-vector of a file; one sentence where there is none.
export function readJson(text, dim) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error("This file is no JSON: open one that this page saved.");
  }
  const rows = Array.isArray(found) ? found : found?.z;
  const z = Array.isArray(rows?.[0]) ? rows[0] : rows;
  if (Array.isArray(z) && z.length === dim && z.every(Number.isFinite)) return Float64Array.from(z);
  throw new Error(`This file holds no list z of ${dim} numbers: open one that this page saved from the same networks.`);
}
