// A dozen drawn faces, each a button that takes its point.
import { show } from "./painter.js";

export class Grid {
  constructor(root, space, point, painter, count = 12) {
    Object.assign(this, { root, space, point, painter });
    this.buttons = Array.from({ length: count }, (_, k) => {
      const button = Object.assign(document.createElement("button"), { type: "button", disabled: true });
      button.setAttribute("aria-label", `Drawn face ${k + 1}`);
      button.append(Object.assign(document.createElement("canvas"), { width: space.size, height: space.size }));
      button.addEventListener("click", () => point.jump(this.vectors[k]));
      root.append(button);
      return button;
    });
    point.addEventListener("change", () => this.mark());
  }

  get length() {
    return this.buttons.length;
  }

  async fill(vectors) {
    this.vectors = vectors;
    const faces = await this.painter.decode(...vectors);
    if (this.vectors !== vectors) return; // others were drawn meanwhile
    this.buttons.forEach((button, k) => {
      button.disabled = false;
      show(button.firstChild, faces, this.space.size, k);
    });
    this.mark();
  }

  mark() {
    this.buttons.forEach((button, k) => button.setAttribute("aria-pressed", this.vectors?.[k] === this.point.z));
  }
}
