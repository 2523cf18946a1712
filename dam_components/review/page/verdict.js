// The verdict on the open case: saved at once, shared with other tabs, never over one that was not seen.

import { Conflict, save } from "./server.js";

const PAUSE = 600; // ms without a key before a note is saved

export class VerdictForm {
  // `rows` holds the known row of each case by name; `changed()` is called when one of them has changed.
  constructor({ note, saved, buttons }, rows, changed) {
    Object.assign(this, { note, saved, buttons, rows, changed, item: null, verdict: "", sent: "", queue: Promise.resolve() });
    this.tabs = new BroadcastChannel(location.pathname);
    this.tabs.onmessage = ({ data }) => this.take(data, "changed in another tab");
    for (const button of buttons) button.addEventListener("click", () => this.choose(button.dataset.verdict));
    note.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.saved.textContent = "not saved yet";
      this.timer = setTimeout(() => this.flush(), PAUSE);
    });
    note.addEventListener("blur", () => this.flush());
    window.addEventListener("pagehide", () => this.flush());
  }

  show(item, text) {
    this.flush();
    this.item = item;
    this.write(this.rows.get(item.case));
    this.saved.textContent = text;
  }

  write(row) {
    this.note.value = this.sent = row?.note ?? "";
    this.press(row?.verdict ?? "");
  }

  press(verdict) {
    this.verdict = verdict;
    for (const button of this.buttons) {
      if (button.dataset.verdict) button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
    }
  }

  choose(verdict) {
    if (!this.item) return;
    this.press(verdict);
    this.send();
  }

  // A note that waits for its pause is saved now.
  flush() {
    if (this.item && this.note.value !== this.sent) this.send();
  }

  send() {
    clearTimeout(this.timer);
    const { item, verdict, note: { value } } = this;
    this.sent = value;
    this.saved.textContent = "saving";
    this.queue = this.queue.then(() => this.store(item, verdict, value));
  }

  async store(item, verdict, note) {
    try {
      const row = await save(item.case, verdict, note, Number(this.rows.get(item.case)?.revision ?? 0));
      this.rows.set(item.case, row);
      if (this.item === item) this.saved.textContent = `saved ${row.reviewed_at.slice(11, 19)} UTC`;
      this.tabs.postMessage(row);
      this.changed();
    } catch (error) {
      this.sent = null; // what is typed is still to be saved
      if (error instanceof Conflict) this.take(error.row, `Not saved: ${error.message}`);
      else this.saved.textContent = `Not saved, ${item.case}: ${error.message}`;
    }
  }

  // What another tab has saved. A note that is being typed here stays, and the other one is shown beside it.
  take(row, message) {
    this.rows.set(row.case, row);
    this.changed();
    if (this.item?.case !== row.case) return;
    if (this.note.value === this.sent) {
      this.write(row);
      this.saved.textContent = message;
    } else {
      this.press(row.verdict);
      this.saved.textContent = `${message}. It says now: ${row.verdict || "no verdict"}; ${row.note || "no note"}`;
    }
  }
}
