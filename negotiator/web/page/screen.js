import { Terminal } from "./xterm.mjs";
import { appearance, onAppearance } from "./theme.js";

/** The terminal. Its size is the host's; it is drawn smaller where it would not fit. */
export class Screen {
  #stage = document.querySelector("#stage");
  #host = document.querySelector("#terminal");
  #terminal;
  /** A character at full size, in pixels. */
  #cell = null;

  /** `typed` is told what the person types, `resized` which size would fill the page. */
  constructor({ reader, typed, resized, titled }) {
    const terminal = new Terminal({
      ...appearance(),
      fontFamily: FONT,
      fontSize: SIZE,
      lineHeight: 1.15,
      // What is shown is the host's screen as it is now. There is no before.
      scrollback: 0,
      screenReaderMode: reader,
      macOptionIsMeta: true,
      rightClickSelectsWord: true,
      linkHandler: { activate() {} },
    });
    this.#terminal = terminal;
    terminal.open(this.#host);
    terminal.textarea.setAttribute("aria-label", "Terminal input");
    terminal.onData(typed);
    terminal.onBinary((text) => typed(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    terminal.onTitleChange(titled);
    terminal.attachCustomKeyEventHandler((event) => this.#isForHost(event));
    terminal.attachCustomWheelEventHandler(() => this.#scrolls);
    onAppearance((look) => Object.assign(terminal.options, look));
    this.#offerCopy();
    this.#scrollByTouch();
    let last = "";
    new ResizeObserver(() => {
      this.#fit();
      const size = this.wanted;
      if (`${size.columns}×${size.rows}` !== last) resized(size);
      last = `${size.columns}×${size.rows}`;
    }).observe(this.#stage);
  }

  /** The size that fills the page. */
  get wanted() {
    const { width, height } = this.#room;
    const cell = this.#measured;
    return { columns: Math.floor(width / cell.width), rows: Math.floor(height / cell.height) };
  }

  /** Whether arrows are sent as a program on the whole screen wants them. */
  get applicationKeys() {
    return this.#terminal.modes.applicationCursorKeysMode;
  }

  /** The whole screen. Resolves when it is drawn. */
  snapshot({ columns, rows, bytes }) {
    this.#terminal.reset();
    this.#terminal.resize(columns, rows);
    this.#fit();
    return this.change(bytes);
  }

  /** What changed on it. Resolves when it is drawn. */
  change(bytes) {
    return new Promise((drawn) => this.#terminal.write(bytes, drawn));
  }

  type(keys) {
    this.#terminal.input(keys);
  }

  async paste() {
    const text = await navigator.clipboard?.readText().catch(() => "");
    if (text) this.#terminal.paste(text);
  }

  copy() {
    const text = this.#terminal.getSelection();
    if (text) navigator.clipboard?.writeText(text).catch(() => {});
    this.#terminal.clearSelection();
  }

  focus() {
    this.#terminal.focus();
  }

  /** A host that cannot be typed to: the cursor shows it. What is typed all the same is answered with a word. */
  readOnly() {
    this.#terminal.options.cursorBlink = false;
    this.#terminal.options.cursorStyle = "underline";
  }

  get #room() {
    const style = getComputedStyle(this.#stage);
    const inside = (size, from, to) => size - parseFloat(style[from]) - parseFloat(style[to]);
    return {
      width: inside(this.#stage.clientWidth, "paddingLeft", "paddingRight"),
      height: inside(this.#stage.clientHeight, "paddingTop", "paddingBottom"),
    };
  }

  get #measured() {
    const { options, cols, rows, element } = this.#terminal;
    if (options.fontSize === SIZE || !this.#cell) {
      const { width, height } = element.querySelector(".xterm-screen").getBoundingClientRect();
      const scale = SIZE / options.fontSize;
      this.#cell = { width: (width / cols) * scale, height: (height / rows) * scale };
    }
    return this.#cell;
  }

  #fit() {
    const { width, height } = this.#room;
    const cell = this.#measured;
    const { cols, rows, options } = this.#terminal;
    const scale = Math.min(1, width / (cols * cell.width), height / (rows * cell.height));
    // Whole halves: between them glyphs blur.
    options.fontSize = scale === 1 ? SIZE : Math.max(SMALLEST, Math.floor(SIZE * scale * 2) / 2);
  }

  /** Ctrl-Shift-C copies, as in other terminals; Ctrl-Shift-V is the browser's own. */
  #isForHost(event) {
    if (!event.ctrlKey || !event.shiftKey) return true;
    if (event.code === "KeyC") {
      if (event.type === "keydown") this.copy();
      event.preventDefault();
      return false;
    }
    return event.code !== "KeyV";
  }

  /** A wheel is for the program, where one takes the mouse or the whole screen. At a prompt it would page through history. */
  get #scrolls() {
    return this.#terminal.modes.mouseTrackingMode !== "none" || this.applicationKeys;
  }

  #offerCopy() {
    const button = document.querySelector("#copy");
    this.#terminal.onSelectionChange(() => (button.hidden = !this.#terminal.hasSelection()));
    button.addEventListener("pointerdown", (event) => event.preventDefault());
    button.addEventListener("click", () => this.copy());
  }

  #scrollByTouch() {
    let last = null;
    const screen = this.#terminal.element.querySelector(".xterm-screen");
    this.#host.addEventListener("touchstart", ({ touches }) => (last = touches[0].clientY), { passive: true });
    this.#host.addEventListener("touchmove", ({ touches }) => {
      const lines = Math.trunc((last - touches[0].clientY) / this.#measured.height);
      if (!lines) return;
      last = touches[0].clientY;
      const { clientX, clientY } = touches[0];
      const turn = { deltaY: Math.sign(lines), deltaMode: WheelEvent.DOM_DELTA_LINE, bubbles: true, cancelable: true };
      for (let line = 0; line < Math.abs(lines); line += 1) {
        screen.dispatchEvent(new WheelEvent("wheel", { ...turn, clientX, clientY }));
      }
    }, { passive: true });
  }
}

const FONT = 'ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

/** Pixels of a letter at full size, and of the smallest that is read. */
const SIZE = 14;
const SMALLEST = 6;
