"use strict";
// Draws the line charts of the page from the numbers embedded in it, in place of the pictures: values under the
// pointer or at the arrow keys, zoom by dragging, arms switched on and off, a choice of x axis.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const state = { off: new Set(), axis: "steps", seeds: false };
  const charts = [];

  const AXES = {
    steps: { label: "training step", of: (step) => step },
    epochs: { label: "epoch", of: (step, arm) => (step * arm.batch) / data.examples },
    examples: { label: "training examples seen", of: (step, arm) => step * arm.batch },
    seconds: { label: "seconds of training", of: (step, arm) => secondsAt(arm.clock, step) },
  };
  const SHAPES = [ // the markers of the arms, around 0
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "M-3.5-3.5h7v7h-7z", "M0-4.5l4.3 8h-8.6z", "M0-5l4 5l-4 5l-4-5z",
    "M0 4.5l4.3-8h-8.6z", "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "M-4-2l2-2l2 2l2-2l2 2l-2 2l2 2l-2 2l-2-2l-2 2l-2-2l2-2z", "M-4.5 0l8-4.3v8.6z",
  ];

  function secondsAt([steps, seconds], step) {
    const next = steps.findIndex((known) => known >= step);
    if (next < 0) return NaN;
    if (next === 0 || steps[next] === step) return seconds[next];
    const part = (step - steps[next - 1]) / (steps[next] - steps[next - 1]);
    return seconds[next - 1] + part * (seconds[next] - seconds[next - 1]);
  }

  function add(parent, name, attributes = {}, text = "") {
    const svg = parent.namespaceURI === "http://www.w3.org/2000/svg" || name === "svg";
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== "") made.textContent = text;
    return parent.appendChild(made);
  }

  const ink = (colour) => `var(--nw-${colour.slice(1)}, ${colour})`;
  const finite = (value) => value !== null && Number.isFinite(value);
  const inside = (value, [low, high]) => Math.min(Math.max(value, low), high);

  // Numbers as they are written.
  function power(value) {
    const [digits, exponent] = value.toExponential(1).split("e");
    const raised = String(Number(exponent)).replace(/./g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);
    return digits === "1.0" ? `10${raised}` : `${digits.replace(".0", "")}·10${raised}`;
  }
  function written(value, percent) {
    if (!finite(value)) return "–";
    if (percent) return `${(100 * value).toFixed(1)} %`;
    const size = Math.abs(value);
    if (size && (size < 1e-3 || size >= 1e6)) return power(value);
    return value.toLocaleString("en-US", { maximumSignificantDigits: size >= 1000 ? 6 : 4 }).replace("-", "−");
  }
  function tickText(value, chart) {
    if (chart.percent) return `${Number((100 * value).toPrecision(6))} %`;
    return chart.log && (chart.limits[0] < 2e-4 || chart.limits[1] > 2e4) ? power(value) : written(value, false);
  }

  // Ticks at round numbers, about `count` of them.
  function round(low, high, count) {
    const rough = (high - low) / count;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((times) => times * unit >= rough);
    const found = [];
    for (let place = Math.ceil(low / step); place <= Math.floor(high / step); place++) found.push(place * step);
    return found;
  }
  function powers(low, high) { // between two logarithms
    const every = Math.max(1, Math.ceil((high - low) / 7));
    const found = [];
    for (let place = Math.floor(low); place <= high; place++) {
      for (const times of high - low > 2.3 ? [1] : [1, 2, 5]) {
        const at = place + Math.log10(times);
        if (place % every === 0 && at >= low && at <= high) found.push(at);
      }
    }
    return found;
  }

  class Chart {
    constructor(plot, chart) {
      Object.assign(this, { plot, chart, name: plot.dataset.chart, zoom: null, at: null });
      const alt = plot.getAttribute("aria-label");
      plot.setAttribute("role", "group");
      plot.classList.add("has-live");
      this.live = add(plot, "div", { class: "live" });
      this.key();
      this.svg = add(this.live, "svg", { tabindex: 0, role: "img", "aria-label": `${alt} Arrow keys: values at a step.` });
      this.tip = add(this.live, "div", { class: "tip", role: "status", hidden: "" });
      this.reset = add(this.live, "button", { type: "button", class: "reset", hidden: "" }, "Reset zoom");
      this.reset.addEventListener("click", () => this.zoomTo(null));
      this.svg.addEventListener("dblclick", () => this.zoomTo(null));
      this.svg.addEventListener("pointerdown", (event) => this.press(event));
      this.svg.addEventListener("pointermove", (event) => this.move(event));
      this.svg.addEventListener("pointerup", (event) => this.release(event));
      this.svg.addEventListener("pointercancel", () => this.drop());
      this.svg.addEventListener("pointerleave", () => this.from || this.show(null));
      this.svg.addEventListener("blur", () => this.show(null));
      this.svg.addEventListener("keydown", (event) => this.type(event));
      new ResizeObserver(() => this.draw()).observe(this.live);
    }

    key() {
      const firsts = (what) => this.chart.lines.filter((line, at, all) => all.findIndex((one) => one[what] === line[what]) === at);
      const names = firsts("name"), parts = firsts("part");
      if (names.length * parts.length < 2) return;
      const list = add(this.live, "ul", { class: "key" });
      const shown = names[0]?.marker === null && names.length > 6 ? [0, 1, 2, 3].map((third) =>
        names[Math.round((third * (names.length - 1)) / 3)]) : names;
      for (const line of shown) sample(add(list, "li", { "data-arm": line.arm }), line, line.name, false);
      if (parts.length < 2) return;
      for (const line of parts) sample(add(list, "li"), { ...line, colour: null, marker: null }, line.part, line.dashed);
    }

    x(line, at) {
      return this.chart.ticks ? at : AXES[state.axis].of(at, data.arms[line.arm]);
    }
    y(value) {
      return this.chart.log ? Math.log10(Math.max(value, 1e-300)) : value;
    }

    // Where things are, in pixels: `sx` and `sy` from values, `back` from pixels to an x value.
    measure() {
      this.width = Math.max(this.live.clientWidth, 200);
      this.height = Math.round(inside(0.58 * this.width, [230, 330]));
      this.box = { left: 56, right: this.width - 20, top: 24, bottom: this.height - 40 };
      this.lines = this.chart.lines.filter((line) => !state.off.has(line.arm));
      const all = this.chart.lines.flatMap((line) => line.x.map((at) => this.x(line, at))).filter(finite);
      const [least, most] = all.reduce(([low, high], at) => [Math.min(low, at), Math.max(high, at)], [Infinity, -Infinity]);
      const room = this.chart.ticks ? 0.1 * (most - least) || 0.5 : 0;
      this.xs = this.zoom?.x ?? (least < most || room ? [least - room, most + room] : [(all[0] ?? 0) - 0.5, (all[0] ?? 0) + 0.5]);
      this.ys = this.zoom?.y ?? this.chart.limits.map((limit) => this.y(limit));
      const { left, right, top, bottom } = this.box;
      this.sx = (at) => left + ((at - this.xs[0]) / (this.xs[1] - this.xs[0])) * (right - left);
      this.sy = (value) => bottom - ((inside(this.y(value), this.ys) - this.ys[0]) / (this.ys[1] - this.ys[0])) * (bottom - top);
      this.back = (pixel) => this.xs[0] + ((pixel - left) / (right - left)) * (this.xs[1] - this.xs[0]);
    }

    draw() {
      if (!this.live.clientWidth) return;
      this.measure();
      this.svg.replaceChildren();
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      this.svg.setAttribute("height", this.height);
      this.drawAxes();
      const clip = add(add(this.svg, "defs"), "clipPath", { id: `clip-${this.name}` });
      const { left, right, top, bottom } = this.box;
      add(clip, "rect", { x: left, y: top - 6, width: right - left, height: bottom - top + 12 });
      const inner = add(this.svg, "g", { "clip-path": `url(#clip-${this.name})` });
      for (const line of this.lines) this.drawLine(inner, line);
      for (const [arm, step, value] of this.chart.crosses) if (!state.off.has(arm)) this.drawCross(arm, step, value);
      this.cursor = add(this.svg, "g", { class: "cursor" });
      this.frame = add(this.svg, "rect", { class: "frame", visibility: "hidden" });
      this.show(this.at);
    }

    drawAxes() {
      const { left, right, top, bottom } = this.box;
      const yTicks = this.chart.log ? powers(...this.ys) : round(...this.ys, 5);
      for (const at of yTicks) {
        const value = this.chart.log ? 10 ** at : at;
        add(this.svg, "path", { class: "grid", d: `M${left} ${this.sy(value)}H${right}` });
        add(this.svg, "text", { x: left - 7, y: this.sy(value) + 4, "text-anchor": "end" }, tickText(value, this.chart));
      }
      const ticks = this.chart.ticks ?? round(...this.xs, Math.max(3, this.width / 90)).map((at) => [at, written(at, false)]);
      for (const [at, text] of ticks.filter(([place]) => place >= this.xs[0] && place <= this.xs[1])) {
        add(this.svg, "path", { class: "tick", d: `M${this.sx(at)} ${bottom}v4` });
        add(this.svg, "text", { x: this.sx(at), y: bottom + 17, "text-anchor": "middle" }, text);
      }
      add(this.svg, "path", { class: "axis", d: `M${left} ${top - 4}V${bottom}H${right}` });
      const label = this.chart.ticks ? this.chart.xLabel : AXES[state.axis].label;
      add(this.svg, "text", { class: "label", x: (left + right) / 2, y: this.height - 5, "text-anchor": "middle" }, label);
      add(this.svg, "text", { class: "label", x: 2, y: 12 }, this.chart.label);
    }

    path(line, x, y) {
      let pen = "M";
      return x.map((at, index) => {
        if (!finite(y[index]) || !finite(this.x(line, at))) return (pen = "M"), "";
        const piece = `${pen}${this.sx(this.x(line, at)).toFixed(1)} ${this.sy(y[index]).toFixed(1)}`;
        pen = "L";
        return piece;
      }).join("");
    }

    drawLine(parent, line) {
      const group = add(parent, "g", { class: "line", "data-arm": line.arm, "data-part": line.part, style: `color:${ink(line.colour)}` });
      const both = line.x.map((_, at) => finite(line.low[at]) && finite(line.high[at]));
      if (line.low.length && line.low.some((low, at) => low !== line.high[at])) {
        if (this.chart.ticks) {
          line.x.forEach((at, place) => both[place] && add(group, "path", { class: "whisker", d: this.path(line, [at, at], [line.low[place], line.high[place]]) }));
        } else {
          const x = line.x.filter((_, at) => both[at]), low = line.low.filter((_, at) => both[at]), high = line.high.filter((_, at) => both[at]);
          const there = this.path(line, x, high), again = this.path(line, x.toReversed(), low.toReversed());
          const opacity = Math.min(0.15, 0.5 / this.lines.length);
          if (there) add(group, "path", { class: "band", d: `${there}L${again.slice(1)}Z`, opacity });
        }
      }
      if (state.seeds) for (const [x, y] of line.seeds) add(group, "path", { class: "seed", d: this.path(line, x, y) });
      add(group, "path", { class: line.dashed ? "mean dashed" : "mean", d: this.path(line, line.x, line.y) });
      const every = this.chart.ticks ? 1 : Math.max(1, Math.floor(line.x.length / 7));
      const first = this.chart.ticks ? 0 : Math.floor((every * (line.arm % 8)) / 8);
      line.x.forEach((at, index) => {
        if (!finite(line.y[index])) return;
        const value = this.y(line.y[index]), place = this.sx(this.x(line, at));
        const under = value < this.ys[0] && !(this.y(line.y[index - 1] ?? Infinity) < this.ys[0]);
        const over = value > this.ys[1] && !(this.y(line.y[index - 1] ?? -Infinity) > this.ys[1]);
        if (under || over) this.mark(group, under ? SHAPES[4] : SHAPES[2], place, under ? this.box.bottom : this.box.top);
        else if (line.marker !== null && index % every === first) this.mark(group, SHAPES[line.marker % 8], place, this.sy(line.y[index]));
      });
    }

    mark(parent, shape, x, y) {
      add(parent, "path", { class: "mark", d: shape, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    }

    drawCross(arm, step, value) {
      const x = this.sx(this.x({ arm }, step)), y = finite(value) ? this.sy(value) : this.box.bottom;
      if (!finite(x) || x < this.box.left - 1 || x > this.box.right + 1) return;
      const look = { class: "cross", d: "M-4-4l8 8M4-4l-8 8", transform: `translate(${x} ${y})`, style: `color:${ink(data.arms[arm].colour)}` };
      add(add(this.svg, "path", look), "title", {}, `${data.arms[arm].name}: diverged`);
    }

    // The points of the visible lines that are nearest to an x value: [line, index] each.
    nearest(at) {
      const close = this.lines.map((line) => {
        const gaps = line.x.map((x, index) => (finite(line.y[index]) ? Math.abs(this.x(line, x) - at) : Infinity));
        const index = gaps.reduce((best, gap, place) => (gap < gaps[best] ? place : best), 0);
        return { line, index, gap: gaps[index] ?? Infinity, x: this.x(line, line.x[index]) };
      }).filter((found) => finite(found.gap));
      const first = close.reduce((best, found) => (best && best.gap <= found.gap ? best : found), null);
      const reach = this.chart.ticks ? 0.08 * (this.xs[1] - this.xs[0]) : 0.03 * (this.xs[1] - this.xs[0]);
      return { first, close: close.filter((found) => Math.abs(found.x - first.x) <= reach) };
    }

    show(at) {
      this.at = at;
      this.cursor?.replaceChildren();
      const { first, close } = at === null || !this.lines ? { first: null } : this.nearest(at);
      this.tip.hidden = !first;
      if (!first) return;
      const x = this.sx(first.x);
      add(this.cursor, "path", { d: `M${x} ${this.box.top}V${this.box.bottom}` });
      for (const { line, index, x: place } of close) {
        add(this.cursor, "circle", { r: 3.5, cx: this.sx(place), cy: this.sy(line.y[index]), style: `fill:${ink(line.colour)}` });
      }
      this.fill(first, close);
      const right = x < (this.box.left + this.box.right) / 2;
      this.tip.style.left = right ? `${Math.min(x + 12, this.width - this.tip.offsetWidth)}px` : `${Math.max(0, x - 12 - this.tip.offsetWidth)}px`;
      const top = this.svg.getBoundingClientRect().top - this.live.getBoundingClientRect().top;
      this.tip.style.top = `${top + (this.width < 480 ? this.height : this.box.top)}px`; // below it where there is no room beside
    }

    fill(first, close) {
      const parts = [...new Set(this.chart.lines.map((line) => line.part))];
      const names = [...new Set(close.map(({ line }) => line.name))];
      const shown = names.length > 12 ? names.filter((_, at) => at % Math.ceil(names.length / 12) === 0 || at === names.length - 1) : names;
      this.tip.replaceChildren();
      const label = this.chart.ticks ? this.chart.xLabel : AXES[state.axis].label;
      const tick = this.chart.ticks && this.chart.ticks.reduce((a, b) => (Math.abs(b[0] - first.x) < Math.abs(a[0] - first.x) ? b : a))[1];
      add(this.tip, "p", {}, `${label} ${tick || written(first.x, false)}`);
      const table = add(this.tip, "table");
      const head = add(table, "tr", parts.length > 1 ? {} : { hidden: "" });
      for (const part of ["", ...parts]) add(head, "th", {}, part);
      for (const name of shown) {
        const row = add(table, "tr"), cells = parts.map((part) => close.find(({ line }) => line.name === name && line.part === part));
        sample(add(row, "th"), { ...cells.find(Boolean).line, dashed: false }, name, false);
        for (const cell of cells) add(row, "td", {}, cell ? written(cell.line.y[cell.index], this.chart.percent) : "–");
      }
    }

    place(event) {
      const frame = this.svg.getBoundingClientRect();
      const { left, right, top, bottom } = this.box;
      return [inside(event.clientX - frame.left, [left, right]), inside(event.clientY - frame.top, [top, bottom])];
    }
    press(event) {
      if (event.button !== 0) return;
      this.from = this.place(event);
      this.svg.setPointerCapture(event.pointerId);
    }
    move(event) {
      const to = this.place(event);
      this.show(this.back(to[0]));
      if (!this.from) return;
      const { x, y, width, height } = this.selection(to);
      for (const [key, value] of Object.entries({ x, y, width, height })) this.frame.setAttribute(key, value);
      this.frame.setAttribute("visibility", width > 8 ? "visible" : "hidden");
    }
    // A selection that is flat spans the whole height: then only the x axis is zoomed.
    selection(to) {
      const tall = Math.abs(to[1] - this.from[1]) > 40;
      const [top, bottom] = tall ? [this.from[1], to[1]].sort((a, b) => a - b) : [this.box.top, this.box.bottom];
      const x = Math.min(this.from[0], to[0]);
      return { x, y: top, width: Math.abs(to[0] - this.from[0]), height: bottom - top, tall };
    }
    release(event) {
      if (!this.from) return;
      const { x, y, width, height, tall } = this.selection(this.place(event));
      this.drop();
      if (width <= 8) return;
      const value = (pixel) => this.ys[0] + ((this.box.bottom - pixel) / (this.box.bottom - this.box.top)) * (this.ys[1] - this.ys[0]);
      this.zoomTo({ x: [this.back(x), this.back(x + width)], y: tall ? [value(y + height), value(y)] : (this.zoom?.y ?? null) });
    }
    drop() {
      this.from = null;
      this.frame.setAttribute("visibility", "hidden");
    }
    zoomTo(zoom) {
      this.zoom = zoom;
      this.reset.hidden = !zoom;
      this.draw();
    }

    type(event) {
      const xs = [...new Set(this.lines.flatMap((line) => line.x.map((at) => this.x(line, at))))].filter(finite).sort((a, b) => a - b);
      const seen = xs.filter((at) => at >= this.xs[0] && at <= this.xs[1]);
      const now = this.at ?? this.xs[0];
      const half = (this.xs[1] - this.xs[0]) / 4;
      const acts = {
        ArrowRight: () => this.show(seen.find((at) => at > now + 1e-9) ?? seen.at(-1) ?? null),
        ArrowLeft: () => this.show(seen.findLast((at) => at < now - 1e-9) ?? seen[0] ?? null),
        Home: () => this.show(seen[0] ?? null),
        End: () => this.show(seen.at(-1) ?? null),
        "+": () => this.zoomTo({ x: [Math.max(this.xs[0], now - half), Math.min(this.xs[1], now + half)], y: this.zoom?.y ?? null }),
        "-": () => this.zoomTo(null),
        Escape: () => (this.at === null ? this.zoomTo(null) : this.show(null)),
      };
      if (!acts[event.key]) return;
      event.preventDefault();
      acts[event.key]();
    }
  }

  // A piece of a line, with its marker and name, as in a key.
  function sample(parent, line, name, dashed) {
    const svg = add(parent, "svg", { width: 24, height: 12, viewBox: "0 0 24 12", "aria-hidden": "true", class: "line" });
    if (line.colour) svg.style.color = ink(line.colour);
    add(svg, "path", { class: dashed ? "mean dashed" : "mean", d: "M0 6H24" });
    if (line.marker !== null && line.marker !== undefined) add(svg, "path", { class: "mark", d: SHAPES[line.marker % 8], transform: "translate(12 6)" });
    add(parent, "span", {}, name);
  }

  function option(parent, text, checked, change) {
    const label = add(parent, "label"), box = add(label, "input", { type: "checkbox" });
    box.checked = checked;
    box.addEventListener("change", () => (change(box.checked), update()));
    if (text) add(label, "span", {}, text);
    return label;
  }

  function controls() {
    const bar = document.getElementById("controls");
    if (data.arms.length > 1) {
      const arms = add(bar, "div", { class: "arms", role: "group", "aria-label": "Arms" });
      data.arms.forEach((arm, place) => {
        const label = option(arms, "", true, (on) => (on ? state.off.delete(place) : state.off.add(place)));
        sample(label, arm, arm.name, false);
      });
    }
    const options = add(bar, "div", { class: "options" });
    const known = { steps: true, seconds: data.arms.every((arm) => arm.clock[0].length > 1) };
    known.examples = data.arms.every((arm) => arm.batch);
    known.epochs = known.examples && Boolean(data.examples);
    const label = add(options, "label", {}, "x axis "), select = add(label, "select");
    for (const name of Object.keys(AXES)) if (known[name]) add(select, "option", { value: name }, name);
    select.addEventListener("change", () => {
      state.axis = select.value;
      for (const chart of charts) if (!chart.chart.ticks) chart.at = null, chart.zoom = null, chart.reset.hidden = true;
      update();
    });
    const several = charts.some(({ chart }) => chart.lines.some((line) => line.seeds.length > 1));
    if (several) option(options, "each seed", false, (on) => (state.seeds = on));
    bar.hidden = false;
  }

  function update() {
    for (const figure of document.querySelectorAll("[data-arm]:not(.line)")) {
      figure.classList.toggle("off", state.off.has(Number(figure.dataset.arm)));
    }
    for (const chart of charts) chart.draw();
  }

  for (const plot of document.querySelectorAll(".plot[data-chart]")) charts.push(new Chart(plot, data.charts[plot.dataset.chart]));
  controls();
  update();
})();
