// Requests to the API, with the credentials of the page and never with those of the browser.

import { state } from "./state.js";

// sendable are the alternatives of an operation that a script can send: browsers alone send cookies and
// certificates.
export const sendable = o => o.alternatives.filter(a => a.every(s => s.in !== "cookie" && s.in !== "connection"));

export function valueOf(scheme, caller) {
  return (scheme.kind === "token" ? caller?.tokens[scheme.token] : state.credentials[scheme.name]) || "";
}

// choose returns the first alternative for which the page has every credential, else the first.
export function choose(o, caller) {
  const all = sendable(o);
  const complete = all.filter(a => a.every(s => valueOf(s, caller)));
  return complete.find(a => a.length > 0) ?? complete[0] ?? all[0] ?? [];
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

export function urlOf(o, values = {}, query = "") {
  const path = o.path.replace(/\{([^{}]+)\}/g, (_, name) => encodeURIComponent(values[name] ?? ""));
  return state.config.basePath + path + (query ? "?" + query : "");
}

// send sends one request. It returns an answer and never throws: a request without an answer has the
// status 0. With stream the body is left to the caller.
export async function send(o, { values, query = "", body = "", alternative, caller = state.current, stream = false, signal } = {}) {
  const headers = new Headers();
  const parameters = [query].filter(Boolean);
  const began = performance.now();
  try {
    for (const scheme of alternative ?? choose(o, caller)) {
      const value = valueOf(scheme, caller);
      if (!value) continue;
      if (scheme.in === "query") parameters.push(`${encodeURIComponent(scheme.parameter)}=${encodeURIComponent(value)}`);
      else headers.set(scheme.parameter, (scheme.prefix ? scheme.prefix + " " : "") + (scheme.kind === "basic" ? base64(value) : value));
    }
    if (body) headers.set("Content-Type", "application/json");
    const response = await fetch(urlOf(o, values, parameters.join("&")), {
      method: o.method, headers, body: body || undefined, signal,
      credentials: "omit", cache: "no-store", redirect: "manual", referrerPolicy: "no-referrer",
    });
    const answer = { operation: o, status: response.status, phrase: response.statusText, ok: response.ok, headers: response.headers, text: "", redirected: response.type === "opaqueredirect" };
    const type = response.headers.get("Content-Type") ?? "";
    if (stream && response.ok && (o.rules.watch || type.startsWith("text/event-stream"))) {
      answer.stream = response.body;
    } else {
      answer.text = await response.text();
      if (/[/+]json\b/.test(type)) answer.json = parse(answer.text);
    }
    answer.ms = Math.round(performance.now() - began);
    return answer;
  } catch (error) {
    return { operation: o, status: 0, ok: false, headers: new Headers(), text: "", ms: Math.round(performance.now() - began), fault: String(error.message ?? error) };
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
