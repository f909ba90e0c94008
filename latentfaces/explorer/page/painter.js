// Asks the worker for faces. While a point is dragged only the newest one is painted.

export class Painter {
  constructor(dim, onProgress = () => {}) {
    this.dim = dim;
    this.waiting = new Map();
    this.number = 0;
    this.worker = new Worker(new URL("paint-worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => {
      if (data.loaded) return onProgress(data.loaded);
      const { resolve, reject } = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error) return reject(new Error(data.error));
      this.ms = data.ms;
      return resolve(data.result);
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.values()) reject(new Error(event.message ?? "the worker did not start"));
    };
  }

  ask(task, message = {}, transfer = []) {
    const id = this.number++;
    this.worker.postMessage({ id, task, ...message }, transfer);
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  start() {
    return this.ask("start");
  }

  // The pictures of several z, one after the other in one array.
  decode(...zs) {
    const z = new Float32Array(zs.length * this.dim);
    zs.forEach((row, i) => z.set(row, i * this.dim));
    return this.ask("decode", { z, dim: this.dim }, [z.buffer]);
  }

  encode(pixels, size) {
    return this.ask("encode", { pixels, size }, [pixels.buffer]);
  }

  // Paint a point as soon as there is time, and forget those that came between.
  follow(z, show) {
    this.next = { z, show };
    if (!this.busy) this.busy = this.keepUp().finally(() => (this.busy = null));
    return this.busy;
  }

  async keepUp() {
    while (this.next) {
      const { z, show } = this.next;
      this.next = null;
      show(await this.decode(z));
    }
  }
}

// A picture of floats in [0, 1] on a canvas.
export function show(canvas, floats, size, at = 0) {
  const pixels = new Uint8ClampedArray(4 * size * size);
  const start = at * size * size * 3;
  for (let i = 0; i < size * size; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = 255 * floats[start + 3 * i + c];
    pixels[4 * i + 3] = 255;
  }
  if (canvas.width !== size) canvas.width = canvas.height = size;
  canvas.getContext("2d").putImageData(new ImageData(pixels, size, size), 0, 0);
}
