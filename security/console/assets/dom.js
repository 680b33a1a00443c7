// Elements are made from tags and text. No function here takes HTML.

export const $ = id => document.getElementById(id);

// el makes an element. "text" sets its text, "on" has its listeners; other properties are attributes,
// false and undefined ones are left out.
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false || value === null) continue;
    if (name === "text") made.textContent = value;
    else if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter(child => child !== undefined && child !== null && child !== false));
  return made;
}

export const button = (text, click, properties = {}) => el("button", { type: "button", text, on: { click }, ...properties });

// field is a label with its control.
export const field = (text, control) => el("label", {}, el("span", { text }), " ", control);

// busy disables a button while the work lasts, and keeps the focus where it was.
export async function busy(control, work) {
  control.setAttribute("aria-disabled", "true");
  if (control.dataset.busy) return;
  control.dataset.busy = "yes";
  try {
    return await work();
  } finally {
    delete control.dataset.busy;
    control.removeAttribute("aria-disabled");
  }
}

// announce tells a screen reader what happened.
export function announce(text) {
  const region = $("announce");
  region.textContent = region.textContent === text ? text + " " : text;
}
