// The present point, who wants to know of it, and where it was before.

const MOST = 200;

export class Point extends EventTarget {
  constructor(latent, z) {
    super();
    this.latent = latent;
    this.past = [];
    this.future = [];
    this.take(z);
  }

  take(z) {
    this.z = z;
    this.scores = this.latent.scores(z);
  }

  // While something is being dragged: everybody follows, nothing is remembered.
  move(z) {
    this.held ??= this.z;
    this.take(z);
    this.dispatchEvent(new Event("change"));
  }

  // The end of a drag: where it began can be come back to.
  settle() {
    if (this.held && this.held.some((x, i) => x !== this.z[i])) {
      this.past.push(this.held);
      if (this.past.length > MOST) this.past.shift();
      this.future = [];
    }
    this.held = null;
    this.dispatchEvent(new Event("settle"));
  }

  jump(z) {
    this.move(z);
    this.settle();
  }

  undo() {
    this.step(this.past, this.future);
  }

  redo() {
    this.step(this.future, this.past);
  }

  step(from, to) {
    if (!from.length) return;
    to.push(this.z);
    this.take(from.pop());
    this.dispatchEvent(new Event("change"));
    this.dispatchEvent(new Event("settle"));
  }
}
