// Sliders in standard deviations, for the leading principal components and for attributes, which may be held fixed.

const signed = (x) => (Math.round(10 * x) / 10 + 0).toFixed(1).replace("-", "−"); // + 0: no -0.0

function slider(name, reach, hold) {
  const row = document.createElement("div");
  row.className = "slider";
  const label = document.createElement("label");
  label.innerHTML = `<span class="name"><span></span><output>0.0</output></span>`;
  label.querySelector("span span").textContent = name;
  const input = Object.assign(document.createElement("input"), { type: "range", min: -reach, max: reach, step: 0.05, value: 0 });
  label.append(input);
  row.append(label);
  if (hold) {
    const box = document.createElement("label");
    box.className = "hold";
    box.innerHTML = `<input type="checkbox">hold`;
    box.firstChild.setAttribute("aria-label", `hold ${name} fixed`);
    row.append(box);
  }
  return { row, input, output: row.querySelector("output"), box: row.querySelector(".hold input") };
}

function listen(input, point, move) {
  input.addEventListener("input", () => move(Number(input.value)));
  input.addEventListener("change", () => point.settle());
}

function showValue({ input, output }, value) {
  if (document.activeElement !== input || Math.abs(Number(input.value) - value) > 0.03) input.value = value;
  output.textContent = signed(value);
}

export function componentSliders(root, { latent }, point, count = 20) {
  const rows = Array.from({ length: Math.min(count, latent.rank) }, (_, i) => slider(`component ${i + 1}`, 6, false));
  rows.forEach(({ row, input }, i) => {
    root.append(row);
    listen(input, point, (value) => point.move(latent.moved(point.z, value * latent.std[i] - point.scores[i], latent.axes[i])));
  });
  const update = () => rows.forEach((row, i) => showValue(row, point.scores[i] / latent.std[i]));
  point.addEventListener("change", update);
  update();
}

export function attributeSliders(root, { directions, latent }, point) {
  const rows = directions.names.map((name) => slider(name, 5, true));
  const held = () => rows.flatMap(({ box }, k) => (box.checked ? [k] : []));
  rows.forEach(({ row, input }, i) => {
    root.append(row);
    listen(input, point, (value) => {
      const step = directions.heldStep(i, held());
      if (step) point.move(latent.moved(point.z, value - directions.scores(point.z)[i], step));
    });
  });
  const update = () => directions.scores(point.z).forEach((score, i) => showValue(rows[i], score));
  point.addEventListener("change", update);
  update();
}
