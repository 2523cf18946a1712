// The review page: a worklist, the open case, and the reviewer's verdict.

import { describeKeys, listenForKeys } from "./keys.js";
import { asTable, describeVerdict, fillFacts, fillRow } from "./rows.js";
import * as server from "./server.js";
import { VerdictForm } from "./verdict.js";
import { Viewer } from "./viewer.js";
import { Worklist } from "./worklist.js";

const at = (id) => document.getElementById(id);
const state = { cases: [], verdicts: new Map(), colours: [], item: null, places: [], place: -1, loading: new AbortController() };
const viewer = new Viewer(at("viewer"));
const list = new Worklist(at("list"), at("rows"), {
  fill: (row, item) => fillRow(row, item, state.verdicts.get(item.case)),
  open: (item) => open(item),
});
const form = new VerdictForm({ note: at("note"), saved: at("saved"), buttons: document.querySelectorAll("[data-verdict]") }, state.verdicts, () => {
  list.redraw();
  count();
});

function complain(error) {
  if (error.name !== "AbortError") at("message").textContent = error.message;
}

function filtered() {
  const words = at("search").value.toLowerCase().trim();
  const show = at("show").value;
  const byDice = (one, other) => (one.dice ?? Infinity) - (other.dice ?? Infinity);
  const ordered = at("order").value === "dice" ? state.cases.toSorted(byDice) : state.cases;
  return ordered.filter((item) => {
    const verdict = state.verdicts.get(item.case)?.verdict ?? "";
    const kept = { all: true, flagged: item.review, open: verdict === "" }[show] ?? verdict === show;
    return kept && (!words || `${item.case} ${item.reasons.join(" ")}`.toLowerCase().includes(words));
  });
}

function count() {
  const done = state.cases.filter((item) => state.verdicts.get(item.case)?.verdict).length;
  const flagged = state.cases.filter((item) => item.review).length;
  at("counts").textContent = `${state.cases.length} cases, ${flagged} flagged, ${done} with a verdict; ${list.cases.length} shown`;
}

function filter() {
  list.setCases(filtered());
  count();
}

async function open(item) {
  state.loading.abort();
  state.loading = new AbortController();
  const { signal } = state.loading;
  Object.assign(state, { item, places: [], place: -1 });
  document.body.dataset.shown = "";
  at("message").textContent = "";
  at("place").textContent = "";
  history.replaceState(null, "", `#${encodeURIComponent(item.case)}`);
  fillFacts(item, state.colours, { name: at("name"), reasons: at("reasons"), structures: at("structures") });
  form.show(item, describeVerdict(item, state.verdicts.get(item.case)));
  const parts = ["image", "segmentation", "doubt"].map((what) => server.volume(item.case, what, signal));
  const searched = server.places(item.case, signal).catch((error) => complain(error));
  const [image, segmentation, doubt] = (await Promise.allSettled(parts)).map(({ reason, value }) => {
    if (reason) complain(reason);
    return value;
  });
  if (signal.aborted) return;
  await show(signal, { image, segmentation, doubt });
  const places = await searched;
  if (signal.aborted) return;
  state.places = places ?? [];
  if (state.places.length) goTo(0);
  else viewer.draw();
  await viewer.onScreen();
  if (signal.aborted) return;
  document.body.dataset.shown = item.case;
}

// One case after the other, and only the last one asked for.
let drawing = Promise.resolve();
function show(signal, volumes) {
  drawing = drawing.then(() => signal.aborted || viewer.show(volumes, state.colours)).catch(complain);
  return drawing;
}

function goTo(index) {
  const { length } = state.places;
  if (!length) return;
  state.place = (index + length) % length;
  const place = state.places[state.place];
  viewer.moveTo(place.view);
  at("place").textContent = `place ${state.place + 1} of ${length}: doubt up to ${place.doubt.toFixed(2)}, ${place.volume_ml.toFixed(3)} ml`;
}

function step(difference) {
  const now = list.cases.indexOf(state.item);
  list.choose(now < 0 ? list.active : now + difference);
}

function setDoubt(change = 0) {
  at("strength").value = Number(at("strength").value) + change;
  at("from").value = Number(at("threshold").value).toFixed(2);
  viewer.setDoubt(Number(at("strength").value), Number(at("threshold").value));
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([asTable(list.cases, state.verdicts)], { type: "text/csv" }));
  link.download = "review_list.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

// A key moves the crosshair by a voxel, with Shift the other way.
function slicing(key, step, to, from) {
  return {
    [key]: { text: `slice towards the ${to}`, run: () => viewer.moveBy(step) },
    [key.toUpperCase()]: { text: `slice towards the ${from}`, run: () => viewer.moveBy(step.map((voxels) => -voxels)) },
  };
}

const keys = {
  ".": { text: "next case", run: () => step(1) },
  ",": { text: "case before", run: () => step(-1) },
  l: { text: "to the list: arrows move, Enter opens", run: () => at("list").focus() },
  "/": { text: "search", run: () => at("search").focus() },
  j: { text: "least trusted place", run: () => goTo(0) },
  d: { text: "next doubtful place", run: () => goTo(state.place + 1) },
  D: { text: "doubtful place before", run: () => goTo(state.place - 1) },
  ...slicing("x", [1, 0, 0], "right", "left"),
  ...slicing("y", [0, 1, 0], "front", "back"),
  ...slicing("z", [0, 0, 1], "head", "foot"),
  "+": { text: "more doubt shown", run: () => setDoubt(0.1) },
  "-": { text: "less doubt shown", run: () => setDoubt(-0.1) },
  o: { text: "outlines on or off", run: () => at("outlines").click() },
  a: { text: "accept", run: () => form.choose("accept") },
  c: { text: "needs correction", run: () => form.choose("needs correction") },
  u: { text: "take the verdict back", run: () => form.choose("") },
  n: { text: "write a note; Escape leaves it", run: () => at("note").focus() },
  "?": { text: "this list", run: () => at("help").showModal() },
};

function connect() {
  listenForKeys(keys);
  describeKeys(keys, at("keys"));
  at("help-button").addEventListener("click", keys["?"].run);
  at("search").addEventListener("input", filter);
  at("show").addEventListener("change", filter);
  at("order").addEventListener("change", filter);
  at("export").addEventListener("click", download);
  at("strength").addEventListener("input", () => setDoubt());
  at("threshold").addEventListener("input", () => setDoubt());
  at("outlines").addEventListener("change", (event) => viewer.setOutlines(event.target.checked));
  at("jump").addEventListener("click", keys.j.run);
  at("next-place").addEventListener("click", keys.d.run);
  window.addEventListener("unhandledrejection", (event) => complain(event.reason));
}

async function start() {
  connect();
  const { folder, model, colours, cases, verdicts } = await server.worklist();
  Object.assign(state, { colours, cases });
  for (const [name, row] of Object.entries(verdicts)) state.verdicts.set(name, row);
  document.title = at("title").textContent = `Review: ${folder}`;
  at("model").hidden = !model;
  at("order-label").hidden = !cases.some((item) => item.dice !== null);
  filter();
  at("list").focus();
  const named = decodeURIComponent(location.hash.slice(1));
  list.choose(Math.max(0, cases.findIndex((item) => item.case === named)));
  await viewer.ready;
  document.body.dataset.ready = "true";
}

start().catch(complain);
