// A line chart, drawn into its place in the page and drawn anew when something changes.

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = [ // the markers of the arms, around 0
  "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "M-3.5-3.5h7v7h-7z", "M0-4.5l4.3 8h-8.6z", "M0-5l4 5l-4 5l-4-5z",
  "M0 4.5l4.3-8h-8.6z", "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
  "M-4-2l2-2l2 2l2-2l2 2l-2 2l2 2l-2 2l-2-2l-2 2l-2-2l2-2z", "M-4.5 0l8-4.3v8.6z",
];
const [UP, DOWN] = [SHAPES[2], SHAPES[4]];
const CROSS = "M-4-4l8 8M4-4l-8 8"; // where a run diverged
const ROWS = 12; // most rows of the readout
const spans = new Map(); // from the least to the greatest x of all charts over training, by the kind of axis

function add(parent, name, attributes = {}, text = "") {
  const drawn = parent.namespaceURI === SVG || name === "svg";
  const made = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== "") made.textContent = text;
  return parent.appendChild(made);
}

const ink = (colour) => `var(--nw-${colour.slice(1)}, ${colour})`;

function mark(parent, shape, x, y) {
  add(parent, "path", { class: "mark", d: shape, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
}

// A piece of a line with its marker, and a name, as in a key.
function sample(parent, name, { colour, marker = null, dashed = false, cross = false }, most = 30) {
  const look = { width: 24, height: 12, viewBox: "0 0 24 12", "aria-hidden": "true", class: "line" };
  const svg = add(parent, "svg", look);
  if (colour) svg.style.color = ink(colour);
  if (cross) add(svg, "path", { class: "cross", d: CROSS, transform: "translate(12 6)" });
  else add(svg, "path", { class: dashed ? "mean dashed" : "mean", d: "M0 6H24" });
  if (marker !== null) mark(svg, SHAPES[marker % 8], 12, 6);
  const shown = short(name, most);
  add(parent, "span", shown === name ? {} : { title: name }, shown);
}

// At most `most` of the items, evenly spaced, the first and the last among them.
function spread(items, most) {
  if (items.length <= most) return items;
  return Array.from({ length: most }, (_, at) => items[Math.round((at * (items.length - 1)) / (most - 1))]);
}

class Chart {
  constructor(plot, chart) {
    const name = plot.dataset.chart, zoom = state.zooms[name] ?? null;
    Object.assign(this, { chart, name, zoom, at: null, from: null, pointer: null, hovered: null });
    const alt = plot.getAttribute("aria-label");
    plot.setAttribute("role", "group");
    plot.classList.add("has-live");
    this.live = add(plot, "div", { class: "live" });
    this.addKey();
    const said = `${alt} Arrow keys: values at a step.`;
    this.svg = add(this.live, "svg", { tabindex: 0, role: "img", "aria-label": said });
    this.tip = add(this.live, "div", { class: "tip", role: "status", hidden: "" });
    this.reset = add(this.live, "button", { type: "button", class: "reset" }, "Reset zoom");
    this.reset.hidden = !zoom;
    this.reset.addEventListener("click", () => this.zoomTo(null));
    const events = {
      dblclick: () => this.zoomTo(null),
      pointerdown: (event) => this.press(event),
      pointermove: (event) => this.move(event),
      pointerup: (event) => this.release(event),
      pointercancel: () => this.drop(),
      pointerleave: (event) => this.leave(event),
      blur: () => this.show(null),
      keydown: (event) => this.type(event),
    };
    for (const [name, act] of Object.entries(events)) this.svg.addEventListener(name, act);
    new ResizeObserver(() => this.draw()).observe(this.live);
  }

  firsts(what) {
    const { lines } = this.chart;
    return lines.filter((line, at) => lines.findIndex((other) => other[what] === line[what]) === at);
  }

  addKey() {
    const names = this.firsts("name"), parts = this.firsts("part");
    const { crosses } = this.chart;
    if (names.length * parts.length < 2 && !crosses.length) return; // one line needs no key
    const list = add(this.live, "ul", { class: "key" });
    const shown = names[0].marker === null ? spread(names, 5) : names;
    for (const line of shown) {
      const item = add(list, "li", { "data-arm": line.arm });
      sample(item, line.name, { ...line, dashed: false });
      item.addEventListener("pointerenter", () => this.hover(line.arm));
      item.addEventListener("pointerleave", () => this.hover(null));
    }
    if (parts.length > 1) for (const { part, dashed } of parts) sample(add(list, "li"), part, { dashed });
    if (crosses.length) sample(add(list, "li"), "diverged", { cross: true });
  }

  get label() {
    return this.chart.ticks ? this.chart.xLabel : AXES[state.axis].label;
  }
  x(line, at) {
    return this.chart.ticks ? at : AXES[state.axis].of(at, data.arms[line.arm]);
  }
  y(value) {
    return this.chart.log ? Math.log10(Math.max(value, 1e-300)) : value;
  }

  // Sizes, limits, and the way from values to pixels (sx, sy) and back.
  measure() {
    this.width = Math.max(this.live.clientWidth, 200);
    this.height = Math.round(inside(0.58 * this.width, [230, 330]));
    this.box = { left: 56, right: this.width - 20, top: 24, bottom: this.height - 40 };
    this.lines = this.chart.lines.filter((line) => !state.off.has(line.arm));
    this.xs = this.zoom?.x ?? this.wholeX();
    this.ys = this.zoom?.y ?? this.chart.limits.map((limit) => this.y(limit));
    const { left, right, top, bottom } = this.box;
    const part = (value, [low, high]) => (value - low) / (high - low);
    this.sx = (at) => left + part(at, this.xs) * (right - left);
    this.sy = (value) => inside(bottom - part(this.y(value), this.ys) * (bottom - top), [-1e6, 1e6]);
    this.edge = (value) => inside(this.sy(value), [top, bottom]);
    this.seen = (at) => finite(at) && at >= this.xs[0] && at <= this.xs[1];
    this.atX = (pixel) => this.xs[0] + part(pixel, [left, right]) * (this.xs[1] - this.xs[0]);
    this.atY = (pixel) => this.ys[0] + part(pixel, [bottom, top]) * (this.ys[1] - this.ys[0]);
  }
  wholeX() { // all charts over training have one x axis
    const { ticks } = this.chart, charts = Object.values(data.charts).filter((chart) => !chart.ticks);
    if (!ticks && !spans.has(state.axis)) spans.set(state.axis, this.span(charts));
    const [least, most] = ticks ? this.span([this.chart]) : spans.get(state.axis);
    if (least > most) return [0, 1];
    const room = least === most ? 0.5 : ticks ? 0.1 * (most - least) : 0;
    return [least - room, most + room];
  }
  span(charts) {
    let [least, most] = [Infinity, -Infinity];
    for (const { lines, crosses } of charts) {
      const points = lines.flatMap((line) => line.x.map((at) => this.x(line, at)));
      points.push(...crosses.map(([arm, step]) => this.x({ arm }, step)));
      for (const at of points.filter(finite)) [least, most] = [Math.min(least, at), Math.max(most, at)];
    }
    return [least, most];
  }

  draw() {
    if (!this.live.clientWidth) return;
    this.measure();
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.setAttribute("height", this.height);
    this.reset.style.top = `${this.down()}px`;
    this.drawAxes();
    const { left, right, top, bottom } = this.box;
    const clip = add(add(this.svg, "defs"), "clipPath", { id: `clip-${this.name}` });
    add(clip, "rect", { x: left, y: top - 1, width: right - left, height: bottom - top + 2 });
    const inner = add(this.svg, "g", { "clip-path": `url(#clip-${this.name})` }), outer = add(this.svg, "g");
    const many = this.chart.spread && new Set(this.lines.map((line) => line.arm)).size > 3;
    this.svg.classList.toggle("many", many);
    this.drawLevel(inner);
    for (const line of this.lines) this.drawLine(inner, outer, line);
    for (const cross of this.chart.crosses) if (!state.off.has(cross[0])) this.drawCross(outer, ...cross);
    this.hover(this.hovered);
    this.cursor = add(this.svg, "g", { class: "cursor" });
    this.frame = add(this.svg, "rect", { class: "frame", visibility: "hidden" });
    this.show(this.at);
  }

  drawAxes() {
    const { left, right, top, bottom } = this.box;
    const middle = { "text-anchor": "middle" };
    for (const at of this.chart.log ? powerTicks(...this.ys) : roundTicks(...this.ys, 5)) {
      const value = this.chart.log ? 10 ** at : at, y = this.sy(value);
      add(this.svg, "path", { class: "grid", d: `M${left} ${y}H${right}` });
      add(this.svg, "text", { x: left - 7, y: y + 4, "text-anchor": "end" }, tickText(value, this.chart));
    }
    const least = ["steps", "examples"].includes(state.axis) ? 1 : 0; // no fractions of a step
    const numbers = () => roundTicks(...this.xs, Math.max(3, this.width / 90), least).map((at) => [at, written(at)]);
    const every = Math.ceil((this.chart.ticks?.length ?? 0) / Math.max(2, Math.floor(this.width / 80))) || 1;
    for (const [at, text] of this.chart.ticks?.filter((_, place) => place % every === 0) ?? numbers()) {
      if (at < this.xs[0] || at > this.xs[1]) continue;
      add(this.svg, "path", { class: "tick", d: `M${this.sx(at)} ${bottom}v4` });
      add(this.svg, "text", { x: this.sx(at), y: bottom + 17, ...middle }, text);
    }
    add(this.svg, "path", { class: "axis", d: `M${left} ${top - 4}V${bottom}H${right}` });
    add(this.svg, "text", { class: "label", x: (left + right) / 2, y: this.height - 5, ...middle }, this.label);
    add(this.svg, "text", { class: "label", x: 2, y: 12 }, this.chart.label);
  }

  drawLevel(parent) { // what guessing scores
    const y = finite(this.chart.level) ? this.sy(this.chart.level) : NaN, { left, right, top, bottom } = this.box;
    if (!(y > top + 12 && y < bottom)) return;
    add(parent, "path", { class: "level", d: `M${left} ${y}H${right}` });
    add(parent, "text", { class: "label", x: right - 2, y: y - 4, "text-anchor": "end" }, "chance");
  }

  path(line, x, y) {
    let pen = "M";
    const pieces = x.map((at, index) => {
      const place = this.x(line, at);
      if (!finite(y[index]) || !finite(place)) return (pen = "M"), "";
      const piece = `${pen}${this.sx(place).toFixed(1)} ${this.sy(y[index]).toFixed(1)}`;
      pen = "L";
      return piece;
    });
    return pieces.join("");
  }

  drawLine(parent, outer, line) {
    const look = { class: "line", "data-arm": line.arm, style: `color:${ink(line.colour)}` };
    const group = add(parent, "g", look);
    if (line.low.some((low, at) => low !== line.high[at])) this.drawSpread(group, line);
    if (state.seeds) for (const [x, y] of line.seeds) add(group, "path", { class: "seed", d: this.path(line, x, y) });
    const mean = line.joined ? (line.dashed ? "mean dashed" : "mean") : "mean apart";
    add(group, "path", { class: mean, d: this.path(line, line.x, line.y) });
    const marks = add(outer, "g", { ...look, class: "marks" });
    this.drawMarks(marks, line);
    this.drawRings(marks, line);
  }
  drawSpread(group, line) { // whiskers at single values, else a band
    const there = [...line.x.keys()].filter((at) => finite(line.low[at]) && finite(line.high[at]));
    const [x, low, high] = [line.x, line.low, line.high].map((values) => there.map((at) => values[at]));
    if (this.chart.ticks) {
      x.forEach((at, index) => {
        add(group, "path", { class: "whisker", d: this.path(line, [at, at], [low[index], high[index]]) });
      });
    } else if (x.length) {
      const d = `${this.path(line, x, high)}L${this.path(line, x.toReversed(), low.toReversed()).slice(1)}Z`;
      add(group, "path", { class: "band", d, opacity: this.chart.spread ? 0.15 : Math.min(0.15, 0.5 / this.lines.length) });
    }
  }
  drawMarks(group, line) { // the arm's marker here and there, and a triangle where the line leaves the axes
    const marked = this.marked(line);
    let before = 0;
    line.x.forEach((at, index) => {
      const place = this.x(line, at), value = this.y(line.y[index]);
      if (!finite(line.y[index]) || !this.seen(place)) return;
      const beyond = value < this.ys[0] ? -1 : value > this.ys[1] ? 1 : 0;
      if (beyond && beyond !== before) mark(group, beyond < 0 ? DOWN : UP, this.sx(place), this.edge(line.y[index]));
      else if (!beyond && marked.has(index)) mark(group, SHAPES[line.marker % 8], this.sx(place), this.sy(line.y[index]));
      before = beyond;
    });
  }
  drawRings(group, line) { // the best step of each run: on the mean, or on its own line where that is shown
    line.best.forEach((step, run) => {
      const [x, y] = (state.seeds && line.seeds[run]) || [line.x, line.y], index = x.indexOf(step);
      const place = this.x(line, step), down = index < 0 || !finite(y[index]) ? NaN : this.sy(y[index]);
      if (!this.seen(place) || !(down >= this.box.top && down <= this.box.bottom)) return;
      add(group, "circle", { class: "ring", r: 5, cx: this.sx(place), cy: down });
    });
  }
  marked(line) { // which points have the marker: every value of a sweep, else seven, evenly spaced on the axis
    if (line.marker === null) return new Set();
    if (this.chart.ticks) return new Set(line.x.keys());
    const shift = ((line.marker % 8) + 0.5) / 8;
    const places = [0, 1, 2, 3, 4, 5, 6].map((at) => this.xs[0] + ((at + shift) / 7) * (this.xs[1] - this.xs[0]));
    const last = this.x(line, line.x.at(-1));
    return new Set(places.map((to) => (to > last ? -1 : line.x.findLastIndex((at) => this.x(line, at) <= to))));
  }
  drawCross(parent, arm, step, value) {
    const place = this.x({ arm }, step);
    if (!this.seen(place)) return;
    const x = this.sx(place), y = finite(value) ? this.edge(value) : this.box.bottom;
    const { name, colour } = data.arms[arm];
    const look = { class: "cross", d: CROSS, style: `color:${ink(colour)}` };
    add(add(parent, "path", { ...look, transform: `translate(${x} ${y})` }), "title", {}, `${name}: diverged`);
  }

  // Of each line that is on, the visible point nearest to an x value, if it is near enough.
  nearest(at) {
    const points = this.lines.map((line) => {
      const gaps = line.x.map((x, index) => {
        const place = this.x(line, x);
        return finite(line.y[index]) && this.seen(place) ? Math.abs(place - at) : Infinity;
      });
      const index = gaps.indexOf(Math.min(...gaps.filter(finite)));
      return { line, index, gap: gaps[index], x: this.x(line, line.x[index]) };
    }).filter((point) => finite(point.gap));
    const first = points.toSorted((a, b) => a.gap - b.gap)[0];
    const reach = 0.03 * (this.xs[1] - this.xs[0]);
    const close = (x) => (this.chart.ticks ? this.tick(x) === this.tick(first.x) : Math.abs(x - first.x) <= reach);
    return first ? [first, ...points.filter((point) => point !== first && close(point.x))] : [];
  }
  tick(x) { // the label of the nearest tick
    return this.chart.ticks.toSorted((a, b) => Math.abs(a[0] - x) - Math.abs(b[0] - x))[0][1];
  }

  // Show the values at an x value; none for null.
  show(at) {
    this.at = at;
    this.cursor?.replaceChildren();
    const points = at === null || !this.lines ? [] : this.nearest(at);
    this.tip.hidden = !points.length;
    if (!points.length) return;
    const x = this.sx(points[0].x);
    add(this.cursor, "path", { d: `M${x} ${this.box.top}V${this.box.bottom}` });
    for (const point of points) {
      const place = { cx: this.sx(point.x), cy: this.sy(point.line.y[point.index]) };
      if (place.cy >= this.box.top && place.cy <= this.box.bottom) add(this.cursor, "circle", { r: 3.5, ...place, style: `fill:${ink(point.line.colour)}` });
    }
    this.fillTip(points);
    this.placeTip(x);
    this.hoverNearest(points);
  }
  fillTip(points) {
    const parts = this.firsts("part").map((line) => line.part);
    const names = this.ordered(points), place = this.chart.ticks ? this.tick(points[0].x) : written(points[0].x);
    this.tip.replaceChildren();
    add(this.tip, "p", {}, `${this.label} ${place}`);
    const table = add(this.tip, "table");
    if (parts.length > 1) {
      const head = add(table, "tr");
      for (const part of ["", ...parts]) add(head, "th", {}, part);
    }
    for (const name of names.slice(0, ROWS)) {
      const row = add(table, "tr"), found = points.filter(({ line }) => line.name === name);
      sample(add(row, "th"), name, { ...found[0].line, dashed: false }, 20);
      for (const part of parts) add(row, "td", {}, this.value(found.find(({ line }) => line.part === part)));
    }
    if (names.length > ROWS) add(this.tip, "p", {}, `… ${names.length - ROWS} more`);
  }
  ordered(points) { // the names in the order of their first values, the best first; as in the key where none is better
    const values = new Map();
    for (const { line, index } of points) if (!values.has(line.name)) values.set(line.name, line.y[index]);
    const names = this.firsts("name").map((line) => line.name).filter((name) => values.has(name));
    const sign = { highest: 1, lowest: -1 }[this.chart.first] ?? 0;
    return sign ? names.toSorted((a, b) => sign * (values.get(b) - values.get(a))) : names;
  }
  value(point) {
    if (!point) return "–";
    const { line, index } = point, digits = this.chart.spread ? 3 : 4;
    const write = (value) => written(value, this.chart.percent, digits);
    const spread = this.chart.spread ? ` (${write(line.low[index])} to ${write(line.high[index])})` : "";
    const note = line.notes[index] ? ` at ${line.notes[index]}` : "";
    return write(line.y[index]) + spread + note;
  }
  placeTip(x) { // beside the cursor, on its emptier side; below the chart where there is no room
    const { left, right, top, bottom } = this.box;
    this.tip.style.left = "0px"; // for its own width
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    const below = this.width < 480 || width > Math.min(0.6 * this.width, Math.max(x, this.width - x) - 12);
    const place = x < (left + right) / 2 ? x + 12 : x - 12 - width;
    this.tip.style.left = `${inside(place, [0, Math.max(0, this.width - width)])}px`;
    const beside = inside((this.pointer ?? top) - height / 2, [top, Math.max(top, bottom - height)]);
    this.tip.style.top = `${this.down() + (below ? this.height : beside)}px`;
  }

  down() { // how far below the key the chart begins
    return this.svg.getBoundingClientRect().top - this.live.getBoundingClientRect().top;
  }

  // The arm whose band is shown where bands of all would cover each other.
  hover(arm) {
    this.hovered = arm;
    for (const group of this.svg.querySelectorAll("g.line")) {
      group.classList.toggle("hovered", Number(group.dataset.arm) === arm);
    }
  }
  hoverNearest(points) {
    if (this.pointer === null) return;
    const gap = ({ line, index }) => Math.abs(this.edge(line.y[index]) - this.pointer);
    const nearest = points.toSorted((a, b) => gap(a) - gap(b))[0];
    this.hover(gap(nearest) < 24 ? nearest.line.arm : null);
  }

  // Zoom: to what is selected by dragging; a flat selection leaves the y axis as it is.
  pixel(event) {
    const { left, top } = this.svg.getBoundingClientRect(), { box } = this;
    return [inside(event.clientX - left, [box.left, box.right]), inside(event.clientY - top, [box.top, box.bottom])];
  }
  press(event) {
    if (event.button !== 0) return;
    const to = this.pixel(event);
    if (event.pointerType === "touch") { // a tap shows the values, and they stay
      for (const chart of charts) if (chart !== this) chart.show(null);
      this.show(this.atX(to[0]));
      return;
    }
    this.from = to;
    this.svg.setPointerCapture(event.pointerId);
  }
  leave(event) {
    if (this.from || event.pointerType === "touch") return;
    this.pointer = null;
    this.hover(null);
    this.show(null);
  }
  selection(to) {
    const tall = Math.abs(to[1] - this.from[1]) > 40;
    const ys = tall ? [this.from[1], to[1]] : [this.box.top, this.box.bottom];
    const x = Math.min(this.from[0], to[0]), y = Math.min(...ys);
    return { x, y, width: Math.abs(to[0] - this.from[0]), height: Math.abs(ys[0] - ys[1]), tall };
  }
  move(event) {
    const to = this.pixel(event);
    this.pointer = event.pointerType === "touch" ? null : to[1];
    this.show(this.atX(to[0]));
    if (!this.from) return;
    const { x, y, width, height } = this.selection(to);
    for (const [key, value] of Object.entries({ x, y, width, height })) this.frame.setAttribute(key, value);
    this.frame.setAttribute("visibility", width > 8 ? "visible" : "hidden");
  }
  release(event) {
    if (!this.from) return;
    const { x, y, width, height, tall } = this.selection(this.pixel(event));
    this.drop();
    const ys = tall ? [this.atY(y + height), this.atY(y)] : this.zoom?.y;
    if (width > 8) this.zoomTo({ x: [this.atX(x), this.atX(x + width)], y: ys });
  }
  drop() {
    this.from = null;
    this.frame.setAttribute("visibility", "hidden");
  }
  zoomTo(zoom) {
    this.zoom = zoom;
    if (zoom) state.zooms[this.name] = zoom;
    else delete state.zooms[this.name];
    this.reset.hidden = !zoom;
    this.draw();
    keep();
  }

  type(event) {
    const all = this.lines.flatMap((line) => line.x.map((at) => this.x(line, at)));
    const seen = all.filter((at) => this.seen(at)).toSorted((a, b) => a - b);
    this.pointer = null;
    const now = this.at ?? this.xs[0], quarter = (this.xs[1] - this.xs[0]) / 4;
    const show = (at) => this.show(at ?? null);
    const acts = {
      ArrowRight: () => show(seen.find((at) => at > now + 1e-9) ?? seen.at(-1)),
      ArrowLeft: () => show(seen.findLast((at) => at < now - 1e-9) ?? seen[0]),
      Home: () => show(seen[0]),
      End: () => show(seen.at(-1)),
      "+": () => this.zoomTo({ x: [inside(now - quarter, this.xs), inside(now + quarter, this.xs)], y: this.zoom?.y }),
      "-": () => this.zoomTo(null),
      Escape: () => (this.at === null ? this.zoomTo(null) : this.show(null)),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }
}
