// Draws the line charts of the page from the numbers embedded in it, in place of the pictures, and lets the reader
// switch arms on and off, choose the x axis and see each seed.

const data = JSON.parse(document.getElementById("data").textContent);
const state = { off: new Set(), axis: "steps", seeds: false, zooms: {} };
const AXES = {
  steps: { label: "training step", of: (step) => step },
  epochs: { label: "epoch", of: (step, arm) => (step * arm.batch) / data.examples },
  examples: { label: "training examples seen", of: (step, arm) => step * arm.batch },
  seconds: { label: "seconds of training", of: (step, arm) => secondsAt(arm.clock, step) },
};
recall();
const charts = [...document.querySelectorAll(".plot[data-chart]")].map(
  (plot) => new Chart(plot, data.charts[plot.dataset.chart]),
);

// What the reader chose is kept while the page is open, for a page that is read anew while a study runs.
function keep() {
  const off = [...state.off].map((place) => data.arms[place].name);
  try {
    sessionStorage.setItem(document.title, JSON.stringify({ ...state, off }));
  } catch {} // a browser may keep nothing for a file
}
function recall() {
  try {
    const { off, axis, seeds, zooms } = JSON.parse(sessionStorage.getItem(document.title));
    const places = off.map((name) => data.arms.findIndex((arm) => arm.name === name));
    const known = axis in AXES ? axis : "steps";
    Object.assign(state, { off: new Set(places.filter((place) => place >= 0)), axis: known, seeds, zooms });
  } catch {} // nothing was kept
}

function checkbox(parent, checked, change) {
  const label = add(parent, "label"), box = add(label, "input", { type: "checkbox" });
  box.checked = checked;
  box.addEventListener("change", () => {
    change(box.checked);
    update();
  });
  return label;
}

function armControls(bar) {
  const arms = add(bar, "div", { class: "arms", role: "group", "aria-label": "Arms" });
  data.arms.forEach((arm, place) => {
    const label = checkbox(arms, !state.off.has(place), (on) => (on ? state.off.delete(place) : state.off.add(place)));
    sample(label, arm.name, arm);
  });
}

function axisControl(bar) {
  const begun = data.arms.filter((arm) => arm.clock[0].length); // an arm may have no run with a result
  const batches = begun.length > 0 && begun.every((arm) => arm.batch);
  const clocks = begun.some((arm) => arm.clock[0].length > 1);
  const known = { steps: true, epochs: batches && Boolean(data.examples), examples: batches, seconds: clocks };
  const select = add(add(bar, "label", {}, "x axis "), "select");
  for (const name of Object.keys(AXES)) if (known[name]) add(select, "option", { value: name }, name);
  if (!known[state.axis]) state.axis = "steps";
  select.value = state.axis;
  select.addEventListener("change", () => {
    state.axis = select.value;
    keep();
    for (const chart of charts.filter((each) => !each.chart.ticks)) {
      chart.at = null;
      chart.zoomTo(null);
    }
  });
}

function update() {
  for (const part of document.querySelectorAll("figure[data-arm], .key [data-arm]")) {
    part.classList.toggle("off", state.off.has(Number(part.dataset.arm)));
  }
  for (const chart of charts) chart.draw();
  keep();
}

for (const plot of document.querySelectorAll(".plot[data-grid]")) new Grid(plot, data.grids[plot.dataset.grid]);

function controls(bar) {
  if (data.arms.length > 1) armControls(bar);
  const options = add(bar, "div", { class: "options" });
  axisControl(options);
  if (charts.some(({ chart }) => chart.lines.some((line) => line.seeds.length > 1))) {
    add(checkbox(options, state.seeds, (on) => (state.seeds = on)), "span", {}, "each seed");
  }
  bar.hidden = false;
  update();
}
if (charts.length) controls(document.getElementById("controls"));
