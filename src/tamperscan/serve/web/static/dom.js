// Making elements. Text is always set as text, never as HTML: names come from files that anyone may have sent.

export function byId(id) {
  return document.getElementById(id);
}

/** Make an element: `element("td", { class: "number" }, "12")`. Properties that begin with "on" are listeners. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  setAll(made, properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Make an SVG element. */
export function drawn(name, properties = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  setAll(made, properties);
  made.append(...children);
  return made;
}

function setAll(made, properties) {
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
}
