const DARK = {
  background: "#14161b", foreground: "#d9dce3", cursor: "#7fd1c7", cursorAccent: "#14161b",
  selectionBackground: "#3a4a5c", selectionInactiveBackground: "#2c3642",
  black: "#2a2e37", red: "#ef7d78", green: "#9ecb7f", yellow: "#e9b872",
  blue: "#82aaf0", magenta: "#c79bea", cyan: "#7fd1c7", white: "#c9cdd6",
  brightBlack: "#6d7482", brightRed: "#ff9a94", brightGreen: "#b6e096", brightYellow: "#ffd08a",
  brightBlue: "#a3c3ff", brightMagenta: "#dcb8fb", brightCyan: "#9be6dc", brightWhite: "#f4f6fa",
};

const LIGHT = {
  background: "#faf9f7", foreground: "#23262d", cursor: "#0f7c72", cursorAccent: "#faf9f7",
  selectionBackground: "#cfe3e6", selectionInactiveBackground: "#e2e6e6",
  black: "#23262d", red: "#b8322c", green: "#3f7a1e", yellow: "#8f6206",
  blue: "#2457b8", magenta: "#8a3fb5", cyan: "#0f7c72", white: "#6a707c",
  brightBlack: "#7b818d", brightRed: "#d2453e", brightGreen: "#4f9128", brightYellow: "#a8740a",
  brightBlue: "#3068d6", brightMagenta: "#a04fd0", brightCyan: "#159286", brightWhite: "#3a3f49",
};

const light = matchMedia("(prefers-color-scheme: light)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** What follows the person's preferences in the terminal. */
export function appearance() {
  return { theme: light.matches ? LIGHT : DARK, cursorBlink: !calm.matches };
}

/** Calls back when a preference changes. */
export function onAppearance(changed) {
  for (const query of [light, calm]) query.addEventListener("change", () => changed(appearance()));
}
