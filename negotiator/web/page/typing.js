/** What was typed and the session has not taken yet, in order, and no more of it than one paste. */
export class Typing {
  #terminal;
  #waiting = [];
  #sending = false;

  constructor(terminal) {
    this.#terminal = terminal;
  }

  add(typed) {
    this.#waiting.push(typeof typed === "string" ? new TextEncoder().encode(typed) : typed);
    this.#send();
  }

  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      while (this.#waiting.length > 0) {
        const all = await new Blob(this.#waiting.splice(0)).arrayBuffer();
        await this.#terminal.input(new Uint8Array(all));
      }
    } catch {
      // The session ended; who reads it is told.
    }
    this.#sending = false;
  }
}
