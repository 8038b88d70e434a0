// xterm.js writes <style> elements and `style` attributes. The page's policy lets no text become a style, so the same rules
// go the way that it leaves open to scripts: constructed sheets, and the properties of an element.

const sheets = new WeakMap();

/** Sends the text of style elements and attributes that scripts write past the parser. Called before the terminal is made. */
export function constructStyles() {
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function setAttribute(name, value) {
    if (name === "style" && this.style) this.style.cssText = value;
    else set.call(this, name, value);
  };
  Object.defineProperty(HTMLStyleElement.prototype, "textContent", {
    configurable: true,
    get() {
      return sheets.get(this)?.text ?? "";
    },
    set(text) {
      const known = sheets.get(this);
      const sheet = known?.sheet ?? new CSSStyleSheet();
      sheet.replaceSync(text);
      sheets.set(this, { sheet, text });
      if (!known) document.adoptedStyleSheets.push(sheet);
    },
  });
  HTMLStyleElement.prototype.remove = function remove() {
    const gone = sheets.get(this)?.sheet;
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== gone);
    Element.prototype.remove.call(this);
  };
}
