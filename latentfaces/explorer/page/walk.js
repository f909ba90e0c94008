// From A to B, by hand or by itself.
import { between } from "./latent.js";
import { show } from "./painter.js";

const SECONDS = 5;

export class Walk extends EventTarget {
  constructor(root, space, point, painter) {
    super();
    Object.assign(this, { space, point, painter, ends: {} });
    this.buttons = { a: root.querySelector("#set-a"), b: root.querySelector("#set-b") };
    this.slider = root.querySelector("#walk");
    this.play = root.querySelector("#play");
    for (const name of ["a", "b"]) this.buttons[name].addEventListener("click", () => this.set(name, point.z));
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.slider.addEventListener("change", () => point.settle());
    this.play.addEventListener("click", () => (this.running ? this.stop() : this.run()));
  }

  async set(name, z) {
    this.ends[name] = z;
    this.slider.disabled = this.play.disabled = !(this.ends.a && this.ends.b);
    this.buttons[name].classList.add("set");
    this.dispatchEvent(new Event("change"));
    show(this.buttons[name].firstElementChild, await this.painter.decode(z), this.space.size);
  }

  clear() {
    if (this.running) this.stop();
    this.ends = {};
    this.slider.value = 0;
    this.slider.disabled = this.play.disabled = true;
    for (const button of Object.values(this.buttons)) {
      button.classList.remove("set");
      const picture = button.firstElementChild;
      picture.getContext("2d").clearRect(0, 0, picture.width, picture.height);
    }
    this.dispatchEvent(new Event("change"));
  }

  go(t) {
    this.slider.value = t;
    this.point.move(between(this.space.latent, this.ends.a, this.ends.b, t));
  }

  run() {
    this.play.textContent = "Stop";
    let begun = null;
    const step = (now) => {
      begun ??= now;
      const share = (now - begun) / (1000 * SECONDS);
      this.go(Math.min(1, share));
      if (share < 1) this.running = requestAnimationFrame(step);
      else this.stop();
    };
    this.running = requestAnimationFrame(step);
  }

  stop() {
    cancelAnimationFrame(this.running);
    this.running = null;
    this.play.textContent = "Walk";
    this.point.settle();
  }
}
