/** What lies over the terminal while there is none to type in. */
export class Card {
  #card = document.querySelector("#card");

  /** Shows a title, a text, and buttons or links by what they are called. */
  show(title, text, actions = {}) {
    this.#card.querySelector("h1").textContent = title;
    this.#card.querySelector("p").textContent = text;
    const buttons = Object.entries(actions).map(([name, action]) => {
      const element = document.createElement(typeof action === "string" ? "a" : "button");
      element.textContent = name;
      if (typeof action === "string") {
        Object.assign(element, { href: action, target: "_blank", rel: "noopener noreferrer" });
      } else {
        element.addEventListener("click", action, { once: true });
      }
      return element;
    });
    this.#card.querySelector(".actions").replaceChildren(...buttons);
    this.#card.hidden = false;
  }

  hide() {
    this.#card.hidden = true;
  }
}
