// Reads a file of arrays in the safetensors format: the length of a header, the header (JSON), then the numbers.
import { fromHalves } from "./half.js";

export function readTensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const found = { meta: JSON.parse(header.__metadata__.page) };
  for (const [name, { dtype, shape, data_offsets: ends }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const bytes = buffer.slice(8 + length + ends[0], 8 + length + ends[1]);
    const data = dtype === "F16" ? fromHalves(new Uint16Array(bytes)) : new Float32Array(bytes);
    found[name] = { data, shape };
  }
  return found;
}
