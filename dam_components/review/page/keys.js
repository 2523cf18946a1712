// Keys that work everywhere but in a text field. Escape leaves the field.

const TYPED = new Set(["search", "text", "textarea"]);

export function listenForKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (TYPED.has(event.target.type)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action.run();
  }, { capture: true });
}

export function describeKeys(actions, table) {
  for (const [key, { text }] of Object.entries(actions)) {
    const row = table.insertRow();
    row.insertCell().append(Object.assign(document.createElement("kbd"), { textContent: key }));
    row.insertCell().textContent = text;
  }
}
