// The plane of two components: the density of the cloud, the ellipses, and the point that one drags.
import { confidenceEllipse } from "./ellipse.js";
import { densityOn, direction } from "./mixture.js";

const CELLS = 72; // of the density, along each side
const REACH = 6; // standard deviations of the wider component, from the middle to the border

export class Plane {
  constructor(root, space, point, state) {
    Object.assign(this, { root, space, point, state });
    this.handle = root.querySelector("#handle");
    this.canvas = root.querySelector("#cloud");
    this.svg = root.querySelector("svg");
    this.listen();
    this.turn();
    point.addEventListener("change", () => this.place());
  }

  // Another pair of components.
  turn() {
    const { latent, mixture } = this.space;
    const { kind, i, j } = this.state.plane;
    const pair = [i, j];
    this.variance = kind === "pc" ? pair.map((k) => latent.std[k] ** 2) : pair.map((k) => latent.covariance(k, k));
    this.covariance = kind === "pc" ? 0 : latent.covariance(i, j);
    this.sigma = this.variance.map(Math.sqrt);
    this.middle = kind === "pc" ? [0, 0] : pair.map((k) => latent.mean[k]);
    this.extent = REACH * Math.max(...this.sigma);
    const [directions, offsets] = [0, 1].map((n) => pair.map((k) => direction(latent, kind, k)[n]));
    this.law = mixture.marginal(directions, offsets);
    this.paintCloud();
    this.drawEllipses();
    this.place();
  }

  paintCloud() {
    const at = Float64Array.from({ length: CELLS }, (_, k) => ((2 * k + 1) / CELLS - 1) * this.extent);
    const values = densityOn(this.law, at.map((x) => this.middle[0] + x), at.map((y) => this.middle[1] - y));
    const top = values.reduce((a, b) => Math.max(a, b), 0);
    const [red, green, blue] = getComputedStyle(this.root).getPropertyValue("--cloud").trim().split(/\s+/).map(Number);
    const pixels = new Uint8ClampedArray(4 * values.length);
    for (let k = 0; k < values.length; k++) {
      pixels[4 * k] = red;
      pixels[4 * k + 1] = green;
      pixels[4 * k + 2] = blue;
      pixels[4 * k + 3] = 215 * Math.sqrt(values[k] / top);
    }
    this.canvas.width = this.canvas.height = CELLS;
    this.canvas.getContext("2d").putImageData(new ImageData(pixels, CELLS, CELLS), 0, 0);
  }

  drawEllipses() {
    const { kind, i, j } = this.state.plane;
    const { halfWidths } = this.space;
    const { semiAxes, angle } = confidenceEllipse(this.variance[0], this.covariance, this.variance[1]);
    const shapes = ['<path class="cross" d="M-1 0H1M0 -1V1"/>'];
    const ellipse = (rx, ry, turn, name) =>
      `<ellipse class="${name}" rx="${rx / this.extent}" ry="${ry / this.extent}" transform="rotate(${(-turn * 180) / Math.PI})"/>`;
    for (const n of [1, 2, 3]) shapes.push(ellipse(n * semiAxes[0], n * semiAxes[1], angle, n < 3 ? "sigma" : "sigma far"));
    this.hasOwn = kind === "pc" && Math.max(i, j) < halfWidths.length;
    const factor = this.state.ellipticFactor;
    if (this.hasOwn) shapes.push(ellipse(factor * halfWidths[i], factor * halfWidths[j], 0, "own"));
    shapes.push('<line class="thread" x1="0" y1="0" x2="0" y2="0"/>');
    this.svg.innerHTML = shapes.join("");
  }

  // Where the point is in the plane.
  coordinates() {
    const { kind, i, j } = this.state.plane;
    const values = kind === "pc" ? this.point.scores : this.point.z;
    return [values[i], values[j]];
  }

  place() {
    const at = this.coordinates().map((x, k) => (x - this.middle[k]) / this.extent);
    const [x, y] = at.map((u) => Math.max(-1, Math.min(1, u)));
    this.handle.style.left = `${50 + 50 * x}%`;
    this.handle.style.top = `${50 - 50 * y}%`;
    const sigmas = this.coordinates().map((value, k) => (value - this.middle[k]) / this.sigma[k]);
    const words = sigmas.map((s) => (Math.round(10 * s) / 10 + 0).toFixed(1).replace("-", "−")); // + 0: no -0.0
    this.handle.setAttribute("aria-valuenow", sigmas[0].toFixed(1));
    this.handle.setAttribute("aria-valuetext", `across ${words[0]}, up ${words[1]} standard deviations`);
    const line = this.svg.querySelector(".thread");
    line.setAttribute("x2", x);
    line.setAttribute("y2", -y);
    this.words = `${words[0]} σ across, ${words[1]} σ up`;
  }

  // The point at another place of the plane; all else of it stays.
  moved(goal) {
    const { kind, i, j } = this.state.plane;
    const { latent } = this.space;
    const now = this.coordinates();
    const z = Float64Array.from(this.point.z);
    if (kind === "pc") return latent.moved(latent.moved(z, goal[0] - now[0], latent.axes[i]), goal[1] - now[1], latent.axes[j]);
    [z[i], z[j]] = goal;
    return z;
  }

  moveTo(target) {
    const limit = (x, k) => Math.max(this.middle[k] - this.extent, Math.min(this.middle[k] + this.extent, x));
    this.point.move(this.moved(target.map(limit)));
    this.handle.classList.remove("hint");
  }

  // A place on the screen as a place of the plane.
  under({ clientX, clientY }) {
    const box = this.root.getBoundingClientRect();
    const u = [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
    return [this.middle[0] + (2 * u[0] - 1) * this.extent, this.middle[1] - (2 * u[1] - 1) * this.extent];
  }

  listen() {
    const { root, handle, point } = this;
    let from = null; // how far from the point's middle the pointer took hold
    root.addEventListener("pointerdown", (event) => {
      const onHandle = event.target === handle;
      if (event.button !== 0 || (event.pointerType === "touch" && !onHandle)) return;
      const [now, at] = [this.coordinates(), this.under(event)];
      from = onHandle ? [now[0] - at[0], now[1] - at[1]] : [0, 0];
      root.setPointerCapture(event.pointerId);
      root.classList.add("dragged");
      if (!onHandle) this.moveTo(at);
      handle.focus({ preventScroll: true });
      event.preventDefault();
    });
    root.addEventListener("pointermove", (event) => {
      if (from) this.moveTo(this.under(event).map((x, k) => x + from[k]));
    });
    const end = () => {
      if (!from) return;
      from = null;
      root.classList.remove("dragged");
      point.settle();
    };
    root.addEventListener("pointerup", end);
    root.addEventListener("pointercancel", end);
    root.addEventListener("click", (event) => {
      if (event.pointerType !== "touch" || event.target === handle) return;
      this.moveTo(this.under(event));
      point.settle();
    });
    handle.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
      if (!way && event.key !== "Home") return;
      event.preventDefault();
      const step = event.shiftKey ? 0.5 : 0.1;
      const now = this.coordinates();
      this.moveTo(way ? now.map((x, k) => x + way[k] * step * this.sigma[k]) : this.middle);
    });
    handle.addEventListener("keyup", () => point.held && point.settle());
  }
}
