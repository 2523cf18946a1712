// What NiiVue's widget (the JavaScript of ipyniivue) expects of a notebook: models with values, events and messages.
// ipyniivue's documentation calls these values traits; docs: https://niivue.github.io/ipyniivue

export class Model {
  constructor(values, family = new Map()) {
    this.values = values;
    this.listeners = new Map();
    this.saved = new Promise((resolve) => { this.resolveSaved = resolve; });
    this.widget_manager = { get_model: async (id) => family.get(id) };
  }

  get(name) {
    return this.values[name];
  }

  // The widget's own changes: nobody else has to know.
  set(name, value) {
    this.values[name] = value;
  }

  // Our changes: the widget is told.
  change(name, value) {
    this.values[name] = value;
    this.emit(`change:${name}`);
  }

  on(event, listener) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }

  off(event, listener) {
    const kept = listener ? (this.listeners.get(event) ?? []).filter((other) => other !== listener) : [];
    this.listeners.set(event, kept);
  }

  emit(event, ...given) {
    return Promise.all((this.listeners.get(event) ?? []).map((listener) => listener(...given)));
  }

  // A command to the widget, as ipyniivue's methods send it, with bytes that belong to it.
  command(type, data = [], bytes = []) {
    return this.emit("msg:custom", { type, data }, bytes);
  }

  save_changes() {
    this.resolveSaved();
  }

  // There is no kernel: what the widget reports to it ends here.
  send() {}

  send_sync_message() {
    return "";
  }
}
