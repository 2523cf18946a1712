// The list of cases. Only the rows in view exist, so thousands of cases are as fast as ten.

export const ROW = 104; // px, as in review.css

export class Worklist {
  // `fill(row, case)` writes a case into a row's element; `open(case)` is called for Enter and a click.
  constructor(box, rows, { fill, open }) {
    Object.assign(this, { box, rows, fill, open, cases: [], active: 0, elements: new Map() });
    box.addEventListener("scroll", () => this.draw());
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) this.choose(Number(row.dataset.index));
    });
    new ResizeObserver(() => this.draw()).observe(box);
  }

  // Keeps the active case where it is still in the list.
  setCases(cases) {
    const before = this.cases[this.active];
    this.cases = cases;
    this.active = Math.max(0, cases.indexOf(before));
    this.rows.style.height = `${cases.length * ROW}px`;
    this.redraw();
    this.reveal();
  }

  redraw() {
    for (const element of this.elements.values()) element.remove();
    this.elements.clear();
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 2);
    const last = Math.min(this.cases.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + 2);
    for (const [index, element] of this.elements) {
      if (index < first || index >= last) {
        element.remove();
        this.elements.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      if (!this.elements.has(index)) this.elements.set(index, this.make(index));
    }
    for (const [index, element] of this.elements) element.setAttribute("aria-selected", String(index === this.active));
    if (this.cases.length) this.box.setAttribute("aria-activedescendant", `case-${this.active}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  make(index) {
    const row = document.createElement("div");
    row.id = `case-${index}`;
    row.dataset.index = index;
    row.setAttribute("role", "option");
    row.setAttribute("aria-setsize", this.cases.length);
    row.setAttribute("aria-posinset", index + 1);
    row.style.top = `${index * ROW}px`;
    this.fill(row, this.cases[index]);
    this.rows.append(row);
    return row;
  }

  move(index) {
    this.active = Math.min(Math.max(index, 0), Math.max(this.cases.length - 1, 0));
    this.reveal();
    this.draw();
  }

  choose(index) {
    if (!this.cases.length) return;
    this.move(index);
    this.open(this.cases[this.active]);
  }

  reveal() {
    const top = this.active * ROW;
    const room = this.box.clientHeight - ROW;
    this.box.scrollTop = Math.min(Math.max(this.box.scrollTop, top - room), top);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW));
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) this.move(this.active + steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.choose(this.active);
    else return;
    event.preventDefault();
  }
}
