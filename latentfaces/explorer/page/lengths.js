// How long the present z is, in the histogram of the z-points' lengths: a shell, and how far inside it elliptic vectors lie.

export class Lengths {
  constructor(canvas, words, space, point) {
    Object.assign(this, { canvas, words, space, point });
    point.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  draw() {
    const { canvas, space, point } = this;
    const { points, elliptic, top, medians } = space.lengths;
    const length = space.latent.length(point.scores);
    this.words.textContent = `length ${length.toFixed(1)}: real faces have about ${medians[0].toFixed(1)}, elliptic ones, which are smoother, ${medians[1].toFixed(1)}`;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const [left, base, ceiling] = [2, height - 18, 20];
    const x = (value) => left + (Math.min(value, top) / top) * (width - 2 * left);
    const outline = (counts) => {
      const most = Math.max(...counts);
      const path = new Path2D();
      path.moveTo(x(0), base);
      counts.forEach((count, k) => {
        const y = base - (count / most) * (base - ceiling);
        path.lineTo(x((k * top) / counts.length), y);
        path.lineTo(x(((k + 1) * top) / counts.length), y);
      });
      path.lineTo(x(top), base);
      return path;
    };
    pen.fillStyle = `rgb(${colour("--cloud")} / 38%)`;
    pen.fill(outline(points));
    pen.strokeStyle = colour("--own");
    pen.lineWidth = 1.6;
    pen.stroke(outline(elliptic));
    pen.font = `12px ${style.fontFamily}`;
    pen.textAlign = "center";
    pen.fillStyle = colour("--own");
    pen.fillText("elliptic", Math.max(24, x(medians[1])), 12);
    pen.fillStyle = colour("--accent");
    pen.fillText("real faces", Math.min(width - 28, x(medians[0])), 12);
    pen.fillStyle = colour("--soft");
    pen.textAlign = "left";
    pen.fillText("0, the mean", left, height - 3);
    pen.textAlign = "right";
    pen.fillText(`${top.toFixed(0)} σ`, width - left, height - 3);
    pen.strokeStyle = pen.fillStyle = colour("--accent");
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x(length), ceiling - 4);
    pen.lineTo(x(length), base);
    pen.stroke();
    pen.beginPath();
    pen.arc(x(length), base, 5, 0, 2 * Math.PI);
    pen.fill();
  }
}
