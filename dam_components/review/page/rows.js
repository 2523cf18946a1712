// Cases as text: a row of the list, the facts of an open case, the exported table.

import { picture } from "./server.js";

const MARKS = { accept: "accepted", "needs correction": "needs correction" };

export const number = (value) => (typeof value === "number" ? value.toFixed(2) : "");

const meanDice = (value, word) => (typeof value === "number" ? `${word} ${number(value)}` : "no structure found");

export function interval(values) {
  const [low, high] = [number(values.predicted_dice_low), number(values.predicted_dice_high)];
  return low && high ? `${low} to ${high}` : "";
}

export function element(kind, text = "", className = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Dice of a test case, whose label is known.
const against = (item) => (typeof item.dice === "number" ? `, against the label ${number(item.dice)}` : "");

export function describeVerdict(item, row) {
  if (!row) return "";
  const words = [MARKS[row.verdict], row.note && "note"].filter(Boolean).join(", ");
  return words && row.result !== item.result ? `${words} (of an older result)` : words;
}

export function fillRow(row, item, verdict) {
  const thumbnail = element("div", "", "thumbnail");
  if (item.picture) {
    const image = element("img");
    image.src = picture(item.case);
    image.alt = "";
    image.loading = "lazy";
    thumbnail.append(image);
  }
  const text = element("div", "", "text");
  const head = element("p", "", "head");
  head.append(element("strong", item.case), element("span", item.review ? "look" : "", "flag"));
  const worst = Object.entries(item.classes).sort(([, a], [, b]) => a.predicted_dice - b.predicted_dice);
  const structures = worst.slice(0, 2).map(([name, values]) => {
    const range = interval(values);
    return `${name} ${number(values.predicted_dice)}${range ? ` (${range})` : ""}, ${number(values.volume_ml)} ml`;
  });
  if (worst.length > 2) structures.push(`${worst.length - 2} more`);
  text.append(
    head,
    element("p", `${meanDice(item.predicted_mean_dice, "predicted Dice")}${against(item)}`),
    element("p", item.reasons.length ? item.reasons.join("; ") : structures.join("; "), "small"),
    element("p", describeVerdict(item, verdict), "done"),
  );
  row.replaceChildren(thumbnail, text);
  row.title = [...item.reasons, ...structures].join("\n");
}

export function fillFacts(item, colours, { name, reasons, structures }) {
  const calibrated = item.calibrated ? "" : ", not calibrated";
  name.textContent = `${item.case}, ${meanDice(item.predicted_mean_dice, "predicted mean Dice")}${calibrated}${against(item)}`;
  reasons.replaceChildren(...item.reasons.map((reason) => element("li", reason)));
  structures.replaceChildren(...Object.entries(item.classes).map(([structure, values], index) => {
    const row = element("tr");
    const named = element("th", ` ${structure}`);
    named.scope = "row";
    const patch = element("span", "", "patch");
    patch.style.background = colours[index % colours.length];
    named.prepend(patch);
    const cells = [number(values.volume_ml), number(values.predicted_dice), interval(values)];
    row.append(named, ...cells.map((cell) => element("td", cell)));
    return row;
  }));
}

// One line a case, as a spreadsheet reads it. A leading quote keeps it from running text as a formula.
export function asTable(cases, verdicts) {
  const quote = (value) => `"${String(value ?? "").replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  const lines = cases.map((item) => {
    const row = verdicts.get(item.case) ?? {};
    return [item.case, item.review, item.predicted_mean_dice, item.reasons.join("; "), row.verdict, row.note, row.reviewed_at, item.image];
  });
  const head = ["case", "review", "predicted_mean_dice", "reasons", "verdict", "note", "reviewed_at", "image"];
  return [head, ...lines].map((line) => line.map(quote).join(",")).join("\n") + "\n";
}
