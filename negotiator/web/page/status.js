import { SILENT, absence, bytes, milliseconds, pathName, span } from "./words.js";

/** What the status line says of a session: its state, for the colour and for who listens, and its parts. */
export function statusOf(explanation, viewers) {
  const silence = explanation.last_heard_ms >= SILENT ? explanation.last_heard_ms : null;
  const parts = [];
  let state = "well";
  if (explanation.path) {
    parts.push(pathName(explanation.path));
    if (explanation.rtt_us !== null && silence === null) parts.push(milliseconds(explanation.rtt_us));
    if (silence !== null) {
      state = "silent";
      parts.push(`last heard ${span(silence)} ago`);
    }
    if (viewers > 1) parts.push(`${viewers} viewers`);
    if (explanation.since_ms !== null) parts.push(`for ${span(explanation.since_ms)}`);
    parts.push(explanation.why);
  } else {
    state = explanation.absent === "peer" ? "absent" : "reconnecting";
    const heard = explanation.last_heard_ms === null ? "" : span(explanation.last_heard_ms);
    const who = absence(explanation.absent, heard);
    parts.push("reconnecting");
    if (explanation.absent !== "peer" && heard) parts.push(`last heard ${heard} ago`);
    parts.push(who || explanation.why);
  }
  if (explanation.pending_bytes > 0 && state !== "well") parts.push(`${bytes(explanation.pending_bytes)} waiting`);
  return { state, parts };
}

/** The last row of the page. */
export class StatusLine {
  #row = document.querySelector("#status");
  #line = document.querySelector("#line");
  #announce = document.querySelector("#announce");
  #notice = null;

  show({ state, parts }) {
    const text = this.#notice ?? parts.join(" · ");
    if (this.#line.textContent !== text) {
      const spans = (this.#notice ? [this.#notice] : parts).map((part, index) => {
        const span = document.createElement("span");
        span.textContent = index > 0 ? ` · ${part}` : part;
        return span;
      });
      this.#line.replaceChildren(...spans);
    }
    if (this.#row.dataset.state !== state) {
      this.#row.dataset.state = state;
      // Numbers that tick are nobody's news: a state is.
      this.say(parts.slice(0, 2).join(", "));
    }
  }

  /** Covers the line for a while. */
  notice(text) {
    this.#notice = text;
    this.say(text);
    this.#line.textContent = text;
    setTimeout(() => {
      if (this.#notice === text) this.#notice = null;
    }, NOTICE);
  }

  readOnly(is) {
    document.querySelector("#badge").hidden = !is;
  }

  /** Tells who listens. */
  say(text) {
    this.#announce.textContent = text;
  }
}

const NOTICE = 4_000;
