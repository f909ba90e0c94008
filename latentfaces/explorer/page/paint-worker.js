// Runs the networks beside the page, so that dragging stays smooth. One thread, no special headers.
import * as ort from "./runtime/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";
let decoder = null;
let encoder = null;
let queue = Promise.resolve();

async function fetched(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  const reader = answer.body.getReader();
  const parts = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    postMessage({ loaded: value.length });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

// Some servers unpack what ends in .gz by themselves.
async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const session = (bytes) => ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });

async function start() {
  const [runtime, network] = await Promise.all([fetched("runtime/ort-wasm-simd-threaded.wasm.gz"), fetched("decoder.onnx")]);
  ort.env.wasm.wasmBinary = await unpacked(runtime);
  decoder = await session(network);
}

async function run(network, data, shape) {
  const input = new ort.Tensor("float32", data, shape);
  const output = await network.run({ [network.inputNames[0]]: input });
  return output[network.outputNames[0]].data.slice();
}

const TASKS = {
  start,
  decode: ({ z, dim }) => run(decoder, z, [z.length / dim, dim]),
  encode: async ({ pixels, size }) => {
    encoder ??= await session(await fetched("encoder.onnx"));
    return run(encoder, pixels, [1, size, size, 3]);
  },
};

onmessage = ({ data }) => {
  queue = queue.then(async () => {
    const before = performance.now();
    try {
      const result = await TASKS[data.task](data);
      postMessage({ id: data.id, result, ms: performance.now() - before }, result ? [result.buffer] : []);
    } catch (error) {
      postMessage({ id: data.id, error: String(error?.message ?? error) });
    }
  });
};
