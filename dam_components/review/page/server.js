// What the page asks the local server. All addresses are relative, so they carry the token.

export class Conflict extends Error {
  constructor(message, row) {
    super(message);
    this.row = row;
  }
}

async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Start the review again and open its new address.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 409) throw new Conflict(told.error, told.row);
  throw new Error(told.error ?? `The server answers ${answer.status}.`);
}

const address = (name, what) => `cases/${encodeURIComponent(name)}/${what}`;

export const worklist = async () => (await ask("cases.json")).json();

export const picture = (name) => address(name, "picture.png");

export const volume = async (name, what, signal) => (await ask(address(name, `${what}.nii`), { signal })).arrayBuffer();

export const places = async (name, signal) => (await ask(address(name, "places.json"), { signal })).json();

export async function save(name, verdict, note, seen) {
  const body = JSON.stringify({ verdict, note, seen });
  return (await ask(address(name, "verdict"), { method: "POST", body, keepalive: true })).json();
}
