// Says the value of the cell of a heat map that is pointed at, or that the arrow keys went to.

class Grid {
  constructor(plot, grid) {
    Object.assign(this, { plot, grid, at: null });
    this.svg = plot.querySelector("svg");
    this.image = [...this.svg.querySelectorAll("image")].at(-1); // the one before it is the color bar
    const alt = plot.getAttribute("aria-label");
    plot.setAttribute("role", "group");
    for (const [name, value] of Object.entries({ tabindex: 0, role: "img", "aria-label": `${alt} Arrow keys: values.` })) {
      this.svg.setAttribute(name, value);
    }
    this.cell = add(plot, "div", { class: "cell", hidden: "" });
    this.tip = add(plot, "div", { class: "tip", role: "status", hidden: "" });
    const events = {
      pointerdown: (event) => this.point(event),
      pointermove: (event) => this.point(event),
      pointerleave: (event) => event.pointerType === "touch" || this.show(null),
      blur: () => this.show(null),
      keydown: (event) => this.type(event),
    };
    for (const [name, act] of Object.entries(events)) this.svg.addEventListener(name, act);
  }

  get box() { // of all cells
    return this.image.getBoundingClientRect();
  }
  point({ clientX, clientY }) {
    const { left, top, width, height } = this.box, { names, steps } = this.grid;
    const row = Math.floor(((clientY - top) / height) * names.length);
    const column = Math.floor(((clientX - left) / width) * steps.length);
    this.show(names[row] !== undefined && steps[column] !== undefined ? { row, column } : null);
  }
  show(at) {
    this.at = at;
    this.tip.hidden = this.cell.hidden = !at;
    if (!at) return;
    const { names, steps, values, percent } = this.grid, value = values[at.row][at.column];
    const said = value === null ? "not measured" : typeof value === "string" ? value : written(value, percent, 3);
    this.tip.textContent = "";
    add(this.tip, "p", {}, `${short(names[at.row], 40)}, step ${steps[at.column].toLocaleString("en-US")}`);
    add(this.tip, "b", {}, said);
    this.place(at);
  }
  place({ row, column }) {
    const { left, top, width, height } = this.box, outer = this.plot.getBoundingClientRect();
    const [wide, tall] = [width / this.grid.steps.length, height / this.grid.names.length];
    const x = left - outer.left + column * wide, y = top - outer.top + row * tall;
    const { style } = this.cell;
    [style.left, style.top, style.width, style.height] = [x, y, wide, tall].map((length) => `${length}px`);
    const room = outer.width - this.tip.offsetWidth, below = y + tall + 8;
    this.tip.style.left = `${inside(x + wide / 2 - this.tip.offsetWidth / 2, [0, Math.max(0, room)])}px`;
    this.tip.style.top = `${row * 2 < this.grid.names.length ? below : y - this.tip.offsetHeight - 8}px`;
  }
  type(event) {
    const last = { row: this.grid.names.length - 1, column: this.grid.steps.length - 1 };
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    if (event.key === "Escape") return this.show(null);
    if (!moves[event.key]) return;
    event.preventDefault();
    const [down, right] = this.at ? moves[event.key] : [0, 0], { row, column } = this.at ?? { row: 0, column: 0 };
    this.show({ row: inside(row + down, [0, last.row]), column: inside(column + right, [0, last.column]) });
  }
}
