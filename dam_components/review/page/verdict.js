// The verdict on the open case: saved at once, shared with other tabs, never over one that was not seen.

import { Conflict, save } from "./server.js";

const PAUSE = 600; // ms without a key before a note is saved

export class VerdictForm {
  // `rows` holds the known row of each case by name; `changed()` is called when one of them has changed.
  constructor({ note, saved, buttons }, rows, changed) {
    Object.assign(this, { note, saved, buttons, rows, changed, item: null, verdict: "", sending: null, queue: Promise.resolve() });
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
    this.sending = null;
    this.write(this.rows.get(item.case));
    this.saved.textContent = text;
  }

  write(row) {
    this.note.value = row?.note ?? "";
    this.press(row?.verdict ?? "");
  }

  // Whether the note says something that is neither saved nor on its way.
  typed() {
    const { value } = this.note;
    return this.item && value !== (this.sending ?? this.rows.get(this.item.case)?.note ?? "");
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
    if (this.typed()) this.send();
  }

  send() {
    clearTimeout(this.timer);
    const { item, verdict, note: { value } } = this;
    this.sending = value;
    this.saved.textContent = "saving";
    this.queue = this.queue.then(() => this.store(item, verdict, value));
  }

  async store(item, verdict, note) {
    let row;
    let failed;
    try {
      row = await save(item.case, verdict, note, Number(this.rows.get(item.case)?.revision ?? 0));
    } catch (error) {
      failed = error;
    }
    if (this.item === item && this.sending === note) this.sending = null;
    if (failed instanceof Conflict) this.take(failed.row, `Not saved: ${failed.message}. Give your verdict again.`);
    else if (failed) this.saved.textContent = `Not saved, ${item.case}: ${failed.message}`;
    else {
      this.rows.set(item.case, row);
      if (this.item === item) this.saved.textContent = `saved ${row.reviewed_at.slice(11, 19)} UTC`;
      this.tabs.postMessage(row);
      this.changed();
    }
  }

  // What another tab has saved. A note that is typed here at that moment is kept below the other one.
  take(row, message) {
    const shown = this.item?.case === row.case;
    const mine = shown && this.typed() ? this.note.value : "";
    this.rows.set(row.case, row);
    this.changed();
    if (!shown) return;
    this.write(row);
    if (mine) this.note.value = [row.note, mine].filter(Boolean).join("\n");
    this.saved.textContent = message;
  }
}
