// The faces of the plane, as a map under the cloud: what the present point would be at forty-nine places of it.
import { show } from "./painter.js";

const SIDE = 7;

export class FaceMap {
  constructor(canvas, box, plane, painter) {
    Object.assign(this, { canvas, box, plane, painter, turn: 0 });
    box.addEventListener("change", () => this.paint());
  }

  // Row by row, so that the face at the point never waits for long; given up when another one is asked for.
  async paint() {
    const turn = ++this.turn;
    const { canvas, plane } = this;
    canvas.classList.add("stale");
    if (!this.box.checked) {
      canvas.classList.remove("painted");
      return;
    }
    const { size } = plane.space;
    const whole = Object.assign(document.createElement("canvas"), { width: SIDE * size, height: SIDE * size });
    const tile = document.createElement("canvas");
    const pen = whole.getContext("2d");
    for (let row = 0; row < SIDE; row++) {
      const faces = await this.painter.decode(...this.places(row).map((place) => plane.moved(place)));
      if (turn !== this.turn) return;
      for (let column = 0; column < SIDE; column++) {
        show(tile, faces, size, column);
        medallion(pen, tile, column * size, row * size, size);
      }
    }
    canvas.width = canvas.height = SIDE * size;
    canvas.getContext("2d").drawImage(whole, 0, 0);
    canvas.classList.add("painted");
    canvas.classList.remove("stale");
  }

  places(row) {
    const { middle, extent } = this.plane;
    const at = (k) => (2 * (k + 0.5)) / SIDE - 1;
    return Array.from({ length: SIDE }, (_, column) => [middle[0] + at(column) * extent, middle[1] - at(row) * extent]);
  }
}

// A round picture with some air around it, so that the cloud shows between the faces.
function medallion(pen, tile, x, y, size) {
  const middle = size / 2;
  const radius = 0.41 * size;
  pen.save();
  pen.beginPath();
  pen.arc(x + middle, y + middle, radius, 0, 2 * Math.PI);
  pen.clip();
  pen.drawImage(tile, x + middle - radius, y + middle - radius, 2 * radius, 2 * radius);
  pen.restore();
}
