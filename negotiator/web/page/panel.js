import { readSettings, writeSettings } from "./settings.js";
import { absence, bytes, milliseconds, pathName, span } from "./words.js";

/** Which path, since when, why, what was tried, what is next; and what else can be done with the link. */
export class Panel {
  #panel = document.querySelector("#panel");
  #button = document.querySelector("#explain");
  #closed;

  /** `closed` is called when it closes, `again` when the person wants to join anew. */
  constructor({ link, closed, again }) {
    this.#closed = closed;
    this.#button.addEventListener("click", () => this.toggle(this.#panel.hidden));
    document.querySelector("#close").addEventListener("click", () => this.toggle(false));
    this.#panel.addEventListener("keydown", ({ key }) => key === "Escape" && this.toggle(false));
    const copy = document.querySelector("#command");
    copy.addEventListener("click", async () => {
      await navigator.clipboard?.writeText(`beach-link join '${link}'`).catch(() => {});
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 2_000);
    });
    this.#settings(again);
  }

  toggle(open) {
    this.#panel.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
    if (open) document.querySelector("#close").focus();
    else this.#closed();
  }

  /** Shows the rest, where who is not let in has to say more. */
  openAdvanced() {
    document.querySelector("#advanced").open = true;
    this.toggle(true);
    document.querySelector('[name="entitlement"]').focus();
  }

  show(explanation) {
    if (this.#panel.hidden) return;
    set("#path", explanation.path ? HEADINGS[explanation.path] ?? explanation.path : "No path at the moment");
    set("#why", sentence(explanation.why));
    const rows = facts(explanation).map(([name, value]) => [element("dt", name), element("dd", value)]);
    const list = document.querySelector("#facts");
    const shown = [...list.children].map((item) => item.textContent).join("\n");
    const wanted = rows.flat();
    // Untouched while nothing changed: who selects text in it keeps the selection.
    if (shown !== wanted.map((item) => item.textContent).join("\n")) list.replaceChildren(...wanted);
  }

  #settings(again) {
    const form = document.querySelector("#settings");
    const kept = readSettings();
    for (const name of ["cohort", "entitlement"]) form.elements[name].value = kept[name];
    for (const name of ["telemetry", "reader"]) form.elements[name].checked = kept[name];
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { cohort, entitlement, telemetry, reader } = form.elements;
      writeSettings({
        cohort: cohort.value.trim(),
        entitlement: entitlement.value.trim(),
        telemetry: telemetry.checked,
        reader: reader.checked,
      });
      again();
    });
  }
}

function facts(explanation) {
  const rows = [];
  const add = (name, value) => value && rows.push([name, value]);
  add("Carried by", explanation.carried);
  add("Since", explanation.since_ms !== null && span(explanation.since_ms));
  add("Round trip", explanation.rtt_us !== null && milliseconds(explanation.rtt_us));
  add("Last heard", explanation.last_heard_ms !== null && `${span(explanation.last_heard_ms)} ago`);
  add("Waiting", explanation.pending_bytes > 0 && `${bytes(explanation.pending_bytes)} not acknowledged`);
  add("You may", explanation.access === "read_only" ? "watch, not type" : explanation.access && "watch and type");
  add("Degraded", explanation.degraded);
  add("Missing", absence(explanation.absent, ""));
  add("Standing by", explanation.standby);
  for (const tried of explanation.tried) add(pathName(tried.transport), record(tried));
  for (const missing of explanation.missing) add(pathName(missing.transport), `not tried: ${missing.why}`);
  for (const gate of explanation.closed_gates) add("Held", gate);
  add("Next", explanation.next && `${explanation.next} in ${span(explanation.next_in_ms)}`);
  return rows;
}

function record({ failures, quorum, open_dials: dials, last_error: error }) {
  const counted = quorum === 0 ? [] : [failures === 0 ? "no recent failure" : `${failures} of ${quorum} failures that count`];
  if (dials > 0) counted.push("a dial is under way");
  if (error) counted.push(`last: ${error}`);
  return counted.join("; ");
}

function set(selector, text) {
  const found = document.querySelector(selector);
  if (found.textContent !== text) found.textContent = text;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

const HEADINGS = { webrtc: "A direct path", "webrtc-turn": "Through a TURN server", "ws-fallback": "Over the relay" };
