// Tokens are decoded to be read. Nothing here checks a signature: the server does.

import { button, el } from "./dom.js";

function decode(text) {
  const bytes = Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0));
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
}

// tokenOf returns header and payload of a JWT, or null.
export function tokenOf(text) {
  const parts = (text ?? "").split(".");
  if (parts.length !== 3) return null;
  try {
    const [header, payload] = parts.slice(0, 2).map(decode);
    return header && payload && typeof payload === "object" ? { header, payload } : null;
  } catch {
    return null;
  }
}

export const secondsLeft = payload => Number.isFinite(payload.exp) ? Math.ceil(payload.exp - Date.now() / 1000) : Infinity;

// duration returns seconds in words, with two units at most.
export function duration(seconds) {
  const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  const words = d ? [[d, "d"], [h, "h"]] : h ? [[h, "h"], [m, "min"]] : m ? [[m, "min"], [s, "s"]] : [[s, "s"]];
  return words.filter(([n], i) => i === 0 || n > 0).map(([n, unit]) => `${n} ${unit}`).join(" ");
}

export function timeLeft(payload) {
  const left = secondsLeft(payload);
  return left === Infinity ? "does not expire" : left > 0 ? `${duration(left)} left` : "expired";
}

const meanings = {
  iss: "issuer", sub: "subject", aud: "audience", exp: "expires", nbf: "not valid before", iat: "issued", jti: "id of the token",
  sid: "id of the session", auth_time: "last log-in", client_id: "client", scope: "scopes", roles: "roles", role: "role",
  fresh: "from a log-in, not a refresh", csrf: "proof against forgery", alg: "signature", kid: "id of the key", typ: "type", type: "type",
};
const times = ["exp", "nbf", "iat", "auth_time"];

function rows(part) {
  return el("dl", { class: "claims" }, Object.entries(part).map(([name, value]) => {
    let text = typeof value === "string" ? value : JSON.stringify(value);
    if (times.includes(name) && Number.isFinite(value)) text = new Date(value * 1000).toLocaleString();
    return [el("dt", { text: name }), el("dd", {}, text, meanings[name] && el("span", { class: "quiet", text: ` ${meanings[name]}` }))];
  }));
}

// tokenView shows a token by its parts. The elements with data-expires are kept up to date by tick.
export function tokenView(type, text, open) {
  const token = tokenOf(text);
  const summary = el("summary", {}, el("span", { class: "name", text: `${type} token` }), " ");
  const view = el("details", { class: "token", open, "data-type": type }, summary);
  if (token) {
    const left = el("span", { class: "left quiet" });
    const bar = el("progress", { "aria-label": `Time left of the ${type} token`, max: "100", value: "0" });
    view.ticks = () => {
      const whole = token.payload.exp - (token.payload.iat ?? token.payload.nbf);
      left.textContent = timeLeft(token.payload);
      bar.value = whole > 0 ? Math.max(0, Math.min(100, 100 * secondsLeft(token.payload) / whole)) : 0;
      view.classList.toggle("over", secondsLeft(token.payload) <= 0);
    };
    view.ticks();
    summary.append(left);
    view.append(bar, el("h4", { text: "Payload" }), rows(token.payload), el("h4", { text: "Header" }), rows(token.header));
  } else {
    view.append(el("p", { class: "quiet", text: "This text is not a JWT. Only the server knows what it means." }));
  }
  const parts = text.split(".").map((part, i) => [i > 0 && ".", el("span", { class: `part${i}`, text: part })]);
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
  }, { class: "small" });
  view.append(el("details", { class: "more" }, el("summary", { text: "Text of the token" }),
    el("p", { class: "raw" }, parts.flat()), copy, el("p", { class: "quiet", text: "Header, payload, signature. The page does not check the signature." })));
  return view;
}
