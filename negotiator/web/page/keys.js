const PLAIN = { escape: "\x1b", tab: "\t" };
const ARROWS = { up: "A", down: "B", right: "C", left: "D" };

/** The row of keys that a phone's keyboard lacks. */
export class KeyRow {
  #control = document.querySelector('[data-key="control"]');

  /** Keys go to `screen`, as if they were typed. */
  constructor(screen) {
    const row = document.querySelector("#keys");
    // A tap must not take the focus from the terminal: the keyboard would go.
    row.addEventListener("pointerdown", (event) => event.preventDefault());
    row.addEventListener("click", ({ target }) => {
      const key = target.closest("[data-key]")?.dataset.key;
      if (key === "control") this.#hold(!this.#held);
      else if (key === "paste") screen.paste();
      else if (key in PLAIN) screen.type(PLAIN[key]);
      else if (key in ARROWS) screen.type(`\x1b${screen.applicationKeys ? "O" : "["}${ARROWS[key]}`);
    });
  }

  /** Returns what is meant by what was typed: with Ctrl held, a letter is a control character. */
  apply(typed) {
    if (!this.#held || typed.length !== 1) return typed;
    this.#hold(false);
    const code = typed.toUpperCase().charCodeAt(0);
    return code >= 0x40 && code < 0x60 ? String.fromCharCode(code & 0x1f) : typed;
  }

  get #held() {
    return this.#control.getAttribute("aria-pressed") === "true";
  }

  #hold(held) {
    this.#control.setAttribute("aria-pressed", String(held));
  }
}
