// Puts the page together: the point in the middle, and everything that moves it or looks at it around.
import { confidenceLevel, pairsOutside, scaledSquares } from "./ellipse.js";
import { asJson, asPng, readJson, save } from "./files.js";
import { Grid } from "./grid.js";
import { Lengths } from "./lengths.js";
import { fromHash, toHash } from "./link.js";
import { FaceMap } from "./map.js";
import { Painter, show } from "./painter.js";
import { Photo } from "./photo.js";
import { Plane } from "./plane.js";
import { Point } from "./point.js";
import { Random } from "./random.js";
import { SAMPLERS } from "./samplers.js";
import { attributeSliders, componentSliders } from "./sliders.js";
import { openSpace } from "./space.js";
import { Walk } from "./walk.js";

const $ = (id) => document.getElementById(id);
const FIRST = { plane: { kind: "pc", i: 0, j: 1 }, sampler: "elliptic", factor: 0.7, ellipticFactor: 0.7, seed: 0 };
const sizes = JSON.parse($("sizes").textContent);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = false;
}

const painted = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
const idle = () => new Promise((resolve) => ("requestIdleCallback" in window ? requestIdleCallback(resolve, { timeout: 1500 }) : setTimeout(resolve)));
const breath = () => new Promise((resolve) => setTimeout(resolve));

function say(text) {
  $("kept-words").textContent = text;
}

// What a link asks for, where it makes sense here.
function stateOf(hash, space) {
  const asked = fromHash(hash, space.latent.dim);
  const state = structuredClone(FIRST);
  const count = asked.plane?.kind === "z" ? space.latent.dim : space.latent.rank;
  if (asked.plane && asked.plane.i !== asked.plane.j && Math.max(asked.plane.i, asked.plane.j) < count) state.plane = asked.plane;
  if (Object.hasOwn(SAMPLERS, asked.sampler ?? "")) Object.assign(state, { sampler: asked.sampler, factor: asked.factor, seed: asked.seed });
  if (state.sampler === "elliptic") state.ellipticFactor = state.factor;
  return { state, asked };
}

function facts(space) {
  const words = { dim: space.latent.dim, points: `${space.n_points.toLocaleString("en")}`, encoder: megabytes(sizes["encoder.onnx"]) };
  const [one, two, three] = [1, 2, 3].map((n) => Math.round(100 * confidenceLevel(n)));
  words.shares = `${one}, ${two} and ${three}`;
  for (const element of document.querySelectorAll("[data-fact]")) element.textContent = words[element.dataset.fact];
  $("terms").hidden = !space.celeba;
  $("attribute-card").hidden = !space.attributes.length;
}

class Page {
  constructor(space) {
    const { state, asked } = stateOf(location.hash, space);
    Object.assign(this, { space, state, asked });
    this.point = new Point(space.latent, asked.z ?? space.start);
    this.painter = new Painter(space.latent.dim, (bytes) => this.progress(bytes));
    this.started = this.painter.start();
  }

  // Part by part, with a breath between them, so that the page answers meanwhile.
  async build() {
    const { space, point, painter } = this;
    const parts = [
      () => (this.plane = new Plane($("plane"), space, point, this.state)),
      () => (this.lengths = new Lengths($("lengths"), $("length-words"), space, point)),
      () => this.samplers(),
      () => (this.map = new FaceMap($("map"), $("map-shown"), this.plane, painter)),
      () => (this.grid = new Grid($("grid"), space, point, painter)),
      () => attributeSliders($("attributes"), space, point),
      () => componentSliders($("components"), space, point),
      () => (this.walk = new Walk(document.querySelector(".two"), space, point, painter)),
      () => (this.photo = new Photo($("photo-card"), space, point, painter, (text) => ($("photo-words").textContent = text))),
      () => this.listen(),
    ];
    for (const part of parts) {
      part();
      await breath();
    }
  }

  listen() {
    this.buttons();
    this.keeping();
    this.dropping();
    this.point.addEventListener("change", () => this.follow());
    this.point.addEventListener("settle", () => this.settled());
    this.walk.addEventListener("change", () => this.remember());
    this.showState();
    for (const name of ["a", "b"]) if (this.asked[name]) this.walk.set(name, this.asked[name]);
    if (location.hash.includes("z=") && !this.asked.z) trouble("This link is not whole: here is the face that the page begins with.");
  }

  // ---- the face

  progress(bytes) {
    this.loaded = (this.loaded ?? 0) + bytes;
    this.drawing ??= requestAnimationFrame(() => this.showProgress());
  }

  showProgress() {
    this.drawing = null;
    const all = sizes["runtime/ort-wasm-simd-threaded.wasm.gz"] + sizes["decoder.onnx"];
    $("progress").value = Math.min(1, this.loaded / all);
    const part = `loading the network, ${megabytes(this.loaded)} of ${megabytes(all)}`;
    $("loading-words").textContent = this.loaded < all ? part : "starting the network";
  }

  async start() {
    try {
      await this.started;
    } catch (error) {
      trouble(`The decoder could not be loaded (${error.message}): reload the page, or try another browser.`);
      return;
    }
    this.ready = true;
    await this.follow();
    $("loading").hidden = true;
    $("still").parentElement.classList.add("ready");
    document.documentElement.dataset.ready = "";
    if (!location.hash) $("handle").classList.add("hint");
    this.fillGrid();
    this.drawMap();
  }

  // The map holds while the point moves in its plane, and is painted anew when anything else of it has changed.
  drawMap() {
    if (!this.ready) return;
    const { middle } = this.plane;
    const rest = [JSON.stringify(this.state.plane), Array.from(this.plane.moved(middle), (x) => x.toFixed(3))].join();
    if (rest === this.rest) return;
    this.rest = rest;
    this.map.paint();
  }

  follow() {
    this.describe();
    if (!this.ready) return null;
    return this.painter.follow(this.point.z, (face) => {
      this.face = face;
      show($("face"), face, this.space.size);
    });
  }

  // Inside or outside of the ellipses, in one sentence.
  describe() {
    const { halfWidths } = this.space;
    $("where").textContent = this.plane.words;
    const squares = scaledSquares(this.point.scores, halfWidths, this.state.ellipticFactor);
    const pairs = (halfWidths.length * (halfWidths.length - 1)) / 2;
    const outside = pairsOutside(squares);
    if (!pairs) return; // a single axis has none
    const all = pairs.toLocaleString("en");
    const far = `of the ${all} ellipses, one for each pair of directions: the map shows one pair, in others this point lies far out`;
    const where = outside ? `<b>Outside ${outside.toLocaleString("en")}</b> ${far}` : `<b>Inside all ${all} ellipses</b>, one for each pair of directions: here are faces`;
    $("verdict").innerHTML = where;
  }

  settled() {
    $("undo").disabled = !this.point.past.length;
    $("redo").disabled = !this.point.future.length;
    say("");
    this.drawMap();
    this.remember();
  }

  // ---- drawing

  samplers() {
    for (const [name, { label }] of Object.entries(SAMPLERS)) {
      const choice = document.createElement("label");
      choice.innerHTML = `<input type="radio" name="sampler" value="${name}"><span></span>`;
      choice.lastChild.textContent = label;
      choice.firstChild.addEventListener("change", () => this.choose(name));
      $("samplers").append(choice);
    }
    $("factor").addEventListener("input", () => this.setFactor(Number($("factor").value)));
    $("factor").addEventListener("change", () => {
      this.point.settle();
      this.fillGrid();
    });
    $("seed").addEventListener("change", () => {
      const seed = Math.floor(Number($("seed").value));
      this.state.seed = seed >= 0 && seed < 2 ** 32 ? seed : 0;
      this.drawOne(this.state.seed);
      this.fillGrid();
    });
    $("draw").addEventListener("click", () => this.drawOne(this.state.seed + 1));
    $("draw-grid").addEventListener("click", () => {
      this.state.seed += this.grid.length;
      this.fillGrid();
      this.showState();
      this.remember();
    });
  }

  choose(name) {
    Object.assign(this.state, { sampler: name, factor: name === "elliptic" ? this.state.ellipticFactor : SAMPLERS[name].factor });
    this.showState();
    this.fillGrid();
    if (this.drawn !== undefined && this.point.z === this.drawnZ) this.drawOne(this.drawn);
    this.remember();
  }

  // The same draw with another factor, where the point still is what was drawn.
  setFactor(factor) {
    this.state.factor = factor;
    if (this.state.sampler === "elliptic") this.state.ellipticFactor = factor;
    this.showState();
    if (this.drawn !== undefined && this.point.z === this.drawnZ) this.point.move((this.drawnZ = this.vector(this.drawn)));
    else this.describe();
  }

  vector(seed) {
    const { sampler, factor } = this.state;
    return Float64Array.from(SAMPLERS[sampler].draw(this.space, factor, new Random(seed)));
  }

  drawOne(seed) {
    this.state.seed = this.drawn = seed;
    this.drawnZ = this.vector(seed);
    this.showState();
    this.point.jump(this.drawnZ);
  }

  fillGrid() {
    if (!this.ready) return;
    const seeds = this.grid.buttons.map((_, k) => this.state.seed + 1 + k);
    this.grid.fill(seeds.map((seed) => this.vector(seed))).catch((error) => trouble(`The faces could not be painted (${error.message}): reload the page.`));
    const { label, knob } = SAMPLERS[this.state.sampler];
    $("grid-words").textContent = `Drawn by the ${label} sampler${knob ? `, ${knob} ${this.state.factor}` : ""}, seeds ${seeds[0]} to ${seeds.at(-1)}. Take one by clicking on it.`;
  }

  // ---- what the controls show

  showState() {
    const { plane, sampler, factor, seed, ellipticFactor } = this.state;
    const entry = SAMPLERS[sampler];
    document.querySelector(`#samplers input[value=${sampler}]`).checked = true;
    $("sampler-words").textContent = entry.words;
    $("factor").disabled = !entry.knob;
    $("factor").closest(".knob").hidden = !entry.knob;
    $("knob-words").textContent = entry.knob ?? "";
    if (entry.range) [$("factor").min, $("factor").max, $("factor").step] = entry.range;
    $("factor").value = factor;
    $("factor-out").textContent = entry.knob ? factor : "";
    $("seed").value = seed;
    $("kind").value = plane.kind;
    const count = plane.kind === "z" ? this.space.latent.dim : this.space.latent.rank;
    for (const name of ["i", "j"]) {
      $(`axis-${name}`).value = plane[name] + 1;
      $(`axis-${name}`).max = count;
    }
    this.plane.drawEllipses();
    this.plane.place();
    $("own-key").hidden = !this.plane.hasOwn;
    $("own-words").textContent = `the sampler’s, factor ${ellipticFactor}`;
    this.describe();
  }

  turnPlane(change) {
    const plane = { ...this.state.plane, ...change };
    const count = plane.kind === "z" ? this.space.latent.dim : this.space.latent.rank;
    plane.i = Math.max(0, Math.min(count - 1, Math.floor(plane.i) || 0));
    plane.j = Math.max(0, Math.min(count - 1, Math.floor(plane.j) || 0));
    if (plane.i === plane.j) plane.j = plane.i === 0 ? 1 : plane.i - 1;
    this.state.plane = plane;
    this.plane.turn();
    this.showState();
    this.drawMap();
    this.remember();
  }

  buttons() {
    $("kind").addEventListener("change", () => this.turnPlane({ kind: $("kind").value }));
    for (const name of ["i", "j"]) $(`axis-${name}`).addEventListener("change", (event) => this.turnPlane({ [name]: event.target.value - 1 }));
    $("undo").addEventListener("click", () => this.point.undo());
    $("redo").addEventListener("click", () => this.point.redo());
    $("mean").addEventListener("click", () => this.point.jump(Float64Array.from(this.space.latent.mean)));
    $("reset").addEventListener("click", () => {
      Object.assign(this.state, structuredClone(FIRST));
      this.drawn = undefined;
      for (const box of document.querySelectorAll(".hold input")) box.checked = false;
      this.walk.clear();
      this.plane.turn();
      this.showState();
      this.point.jump(Float64Array.from(this.space.start));
      this.fillGrid();
    });
    $("scheme").addEventListener("click", () => this.otherScheme());
    addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || event.target.type === "number") return;
      event.preventDefault();
      if (event.shiftKey) this.point.redo();
      else this.point.undo();
    });
  }

  // Dark or light, as the rest of the site keeps it.
  otherScheme() {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
    const scheme = (document.documentElement.dataset.scheme = dark ? "default" : "alternate");
    try {
      localStorage.setItem("smalldocs-scheme", scheme);
    } catch {} // a private window
    this.repaint();
  }

  repaint() {
    this.plane.paintCloud();
    this.lengths.draw();
  }

  // ---- what is kept

  keeping() {
    $("copy").addEventListener("click", async () => {
      this.write();
      try {
        await navigator.clipboard.writeText(location.href);
        say("The link is copied.");
      } catch {
        say("The link stands in the address bar.");
      }
    });
    $("png").addEventListener("click", async () => {
      save(await asPng($("face")), "face.png");
      say("Saved face.png.");
    });
    $("json").addEventListener("click", () => {
      save(asJson(this.point.z, this.space), "face.json");
      say("Saved face.json.");
    });
    $("json-file").addEventListener("change", (event) => event.target.files[0] && this.open(event.target.files[0]));
    addEventListener("hashchange", () => this.fromLink());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
  }

  async open(file) {
    if (file.type.startsWith("image/")) return this.photo.open(file);
    try {
      this.point.jump(readJson(await file.text(), this.space.latent.dim));
      say(`Opened ${file.name}.`);
    } catch (error) {
      say(error.message);
    }
    return null;
  }

  dropping() {
    const over = (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      document.body.classList.add("dropping");
    };
    addEventListener("dragenter", over);
    addEventListener("dragover", over);
    addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      if (event.dataTransfer.files[0]) this.open(event.dataTransfer.files[0]);
    });
  }

  remember() {
    clearTimeout(this.later);
    this.later = setTimeout(() => this.write(), 250);
  }

  write() {
    const { plane, sampler, factor, seed } = this.state;
    this.hash = toHash({ z: this.point.z, plane, sampler, factor, seed, ...this.walk.ends });
    history.replaceState(null, "", this.hash);
  }

  fromLink() {
    if (location.hash === this.hash) return;
    const { state, asked } = stateOf(location.hash, this.space);
    Object.assign(this.state, state);
    this.plane.turn();
    this.showState();
    if (asked.z) this.point.jump(asked.z);
    for (const name of ["a", "b"]) if (asked[name]) this.walk.set(name, asked[name]);
  }
}

if (typeof WebAssembly !== "object" || typeof DecompressionStream === "undefined") {
  $("loading").hidden = true;
  trouble("This browser has no WebAssembly, with which the faces are painted: try a newer one. The chapters show the same in pictures.");
} else {
  try {
    await painted(); // words first, what is large afterwards
    await painted();
    await idle();
    const answer = await fetch("space.safetensors");
    if (!answer.ok) throw new Error(`${answer.status}`);
    const space = openSpace(await answer.arrayBuffer());
    facts(space);
    await breath();
    const page = new Page(space);
    window.explorer = page; // for the curious, in the console
    await page.build();
    page.start();
  } catch (error) {
    trouble(`The page could not be opened (${error.message}): reload it.`);
    throw error;
  }
}
