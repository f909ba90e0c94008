// A photograph, placed by hand under an outline, and encoded on this device.
import { show } from "./painter.js";

const START = { x: 0, y: 0, scale: 0, turn: 0 }; // scale in powers of two, turn in degrees, x and y in shares of the frame

export class Photo {
  constructor(root, space, point, painter, say) {
    Object.assign(this, { space, point, painter, say, root });
    const find = (id) => root.querySelector(`#${id}`);
    [this.frame, this.picture, this.seen, this.kept, this.take] = ["frame", "picture", "seen", "kept", "photo-take"].map(find);
    this.knobs = { scale: find("photo-scale"), turn: find("photo-turn") };
    find("outline").innerHTML = outline(space.guide);
    for (const [name, input] of Object.entries(this.knobs)) {
      input.addEventListener("input", () => this.place({ [name]: Number(input.value) }));
    }
    find("photo-file").addEventListener("change", (event) => event.target.files[0] && this.open(event.target.files[0]));
    this.take.addEventListener("click", () => this.z && point.jump(this.z));
    this.listen();
  }

  async open(file) {
    try {
      this.image = await createImageBitmap(file, { imageOrientation: "from-image" });
    } catch {
      this.say(`${file.name} is not a picture that this browser reads: choose a JPEG or a PNG.`);
      return;
    }
    this.say("");
    this.root.querySelector("#photo").hidden = false;
    this.placed = { ...START };
    this.place({});
    this.root.scrollIntoView({ block: "nearest" });
  }

  place(change) {
    Object.assign(this.placed, change);
    for (const [name, input] of Object.entries(this.knobs)) input.value = this.placed[name];
    this.paint(this.picture);
    this.look();
  }

  // The photograph in a square canvas, the shorter side as wide as the frame when nothing was scaled.
  paint(canvas) {
    const pen = canvas.getContext("2d");
    const side = canvas.width;
    const { x, y, scale, turn } = this.placed;
    pen.save();
    pen.fillStyle = "#808080";
    pen.fillRect(0, 0, side, side);
    pen.imageSmoothingQuality = "high";
    pen.translate(side * (0.5 + x), side * (0.5 + y));
    pen.rotate((turn * Math.PI) / 180);
    const factor = (side / Math.min(this.image.width, this.image.height)) * 2 ** scale;
    pen.scale(factor, factor);
    pen.drawImage(this.image, -this.image.width / 2, -this.image.height / 2);
    pen.restore();
  }

  // What the encoder is shown: the mean of squares of pixels, as a camera would see it.
  pixels() {
    const { size } = this.space;
    const over = 4;
    const large = Object.assign(document.createElement("canvas"), { width: size * over, height: size * over });
    this.paint(large);
    const source = large.getContext("2d").getImageData(0, 0, size * over, size * over).data;
    const out = new Float32Array(size * size * 3);
    for (let row = 0; row < size * over; row++) {
      for (let column = 0; column < size * over; column++) {
        const to = 3 * (Math.floor(row / over) * size + Math.floor(column / over));
        const from = 4 * (row * size * over + column);
        for (let c = 0; c < 3; c++) out[to + c] += source[from + c] / (255 * over * over);
      }
    }
    return out;
  }

  // Encode and paint again; while that lasts, only the newest placement is remembered.
  async look() {
    this.waiting = true;
    if (this.looking) return;
    this.looking = true;
    try {
      while (this.waiting) {
        this.waiting = false;
        const pixels = this.pixels();
        show(this.seen, pixels, this.space.size);
        const z = Float64Array.from(await this.painter.encode(pixels, this.space.size));
        show(this.kept, await this.painter.decode(z), this.space.size);
        this.z = z;
        this.take.disabled = false;
      }
    } catch (error) {
      this.say(`The encoder could not be run (${error.message}): reload the page.`);
    } finally {
      this.looking = false;
    }
  }

  listen() {
    const { frame } = this;
    const fingers = new Map();
    frame.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      frame.setPointerCapture(event.pointerId);
    });
    frame.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) return;
      const before = [...fingers.values()];
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      this.place(this.dragged(before, [...fingers.values()]));
    });
    for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, (event) => fingers.delete(event.pointerId));
    frame.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.place({ scale: limited(this.placed.scale - event.deltaY / 500, this.knobs.scale) });
    }, { passive: false });
    frame.addEventListener("keydown", (event) => {
      const { x, y, scale, turn } = this.placed;
      const changes = { ArrowLeft: { x: x - 0.01 }, ArrowRight: { x: x + 0.01 }, ArrowUp: { y: y - 0.01 }, ArrowDown: { y: y + 0.01 },
        "+": { scale: scale + 0.05 }, "-": { scale: scale - 0.05 }, ",": { turn: turn - 1 }, ".": { turn: turn + 1 } };
      if (!changes[event.key]) return;
      event.preventDefault();
      this.place(changes[event.key]);
    });
  }

  // One finger moves; two scale and turn as well.
  dragged(before, after) {
    const side = this.frame.clientWidth;
    const middle = (points, k) => points.reduce((sum, p) => sum + p[k], 0) / points.length;
    const { x, y, scale, turn } = this.placed;
    const change = { x: x + (middle(after, 0) - middle(before, 0)) / side, y: y + (middle(after, 1) - middle(before, 1)) / side };
    if (after.length !== 2) return change;
    const apart = ([p, q]) => [q[0] - p[0], q[1] - p[1]];
    const [a, b] = [apart(before), apart(after)];
    change.scale = limited(scale + Math.log2(Math.hypot(...b) / Math.hypot(...a)), this.knobs.scale);
    change.turn = limited(turn + ((Math.atan2(b[1], b[0]) - Math.atan2(a[1], a[0])) * 180) / Math.PI, this.knobs.turn);
    return change;
  }
}

const limited = (value, input) => Math.max(Number(input.min), Math.min(Number(input.max), value));

// An oval, and rings for the eyes and a line for the mouth where it is known where they belong.
function outline(guide) {
  if (!guide) return '<ellipse cx=".5" cy=".5" rx=".33" ry=".44"/>';
  const ring = ([x, y]) => `<circle cx="${x}" cy="${y}" r=".05"/>`;
  const [x, y] = guide.mouth;
  return `<ellipse cx=".5" cy=".58" rx=".31" ry=".42"/>${ring(guide.left)}${ring(guide.right)}<path d="M${x - 0.1} ${y}h.2"/>`;
}
