// The operations: who may call them, and a form for each.

import { answerView } from "./answer.js";
import { $, announce, busy, el, field } from "./dom.js";
import { addCaller, labelOf, revoked, state, tokensIn } from "./state.js";
import { duration, tokenOf } from "./token.js";
import { choose, send, sendable } from "./send.js";
import { addStream } from "./watch.js";

function wordsOf(s) {
  const credential = { token: `${s.token} token`, basic: "name and password", key: s.parameter === "Authorization" ? `${s.name} key` : `key ${s.parameter}`, certificate: "client certificate" }[s.kind];
  const needs = [s.scopes && `scope ${s.scopes.join(", ")}`, s.roles && `role ${s.roles.join(", ")}`].filter(Boolean).join(", ");
  return credential + (s.in === "cookie" ? " in a cookie" : s.in === "query" ? " in the query" : "") + (needs ? ` with ${needs}` : "");
}

const alternativeWords = a => a.length === 0 ? "anyone" : a.map(wordsOf).join(" and ");

function ruleWords({ fresh, maxAge, allowRoles, denyRoles, watch, immediateRevocation }) {
  return [
    allowRoles && `role ${allowRoles.join(" or ")}`, denyRoles && `not role ${denyRoles.join(", ")}`,
    fresh && "fresh log-in", maxAge && `log-in ≤ ${duration(maxAge)} ago`, watch && "ends with the token", immediateRevocation && "asks the store",
  ].filter(Boolean);
}

// who tells who may call an operation, in short. Cookies are named in the long form only.
function who(o) {
  const alternatives = o.alternatives.length === 0 ? ["anyone"] : [...new Set((sendable(o).length ? sendable(o) : o.alternatives).map(alternativeWords))];
  return el("span", { class: "who" }, el("span", { class: "unseen", text: "Callers: " }),
    alternatives.map((words, i) => [i > 0 && el("span", { class: "quiet", text: "or" }), " ", el("span", { class: words === "anyone" ? "chip open" : "chip", text: words }), " "]),
    ruleWords(o.rules).map(words => [el("span", { class: "chip rule", text: words }), " "]));
}

function whoInFull(o) {
  const alternatives = o.alternatives.map(alternativeWords);
  const rules = ruleWords(o.rules);
  return `Callers: ${alternatives.length ? alternatives.join(", or ") : "anyone"}.` + (rules.length ? ` Rules: ${rules.join(", ")}.` : "");
}

function formOf(o) {
  const inputs = Object.fromEntries(o.parameters.map(name => [name, el("input", { required: true, autocomplete: "off", spellcheck: "false" })]));
  const query = el("input", { value: o.example?.query ?? "", placeholder: "name=value&other=value", autocomplete: "off", spellcheck: "false" });
  const takesBody = ["POST", "PUT", "PATCH"].includes(o.method);
  const body = takesBody && el("textarea", { rows: "4", spellcheck: "false", text: o.example?.body ?? "" });
  const ways = sendable(o).filter(a => a.length > 0);
  const as = el("select", {}, ways.length > 0 && el("option", { text: "what the caller has", value: "auto" }),
    ways.length > 1 && ways.map((a, i) => el("option", { text: alternativeWords(a), value: i })), el("option", { text: "no credential", value: "none" }));
  const call = el("button", { type: "submit", class: "primary", text: "Call" });
  const result = el("div", {});
  const submit = async () => {
    const caller = state.current;
    const alternative = as.value === "none" ? [] : as.value === "auto" ? choose(o, caller) : ways[as.value];
    const values = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value]));
    const answer = await send(o, { values, query: query.value.replace(/^\?/, ""), body: takesBody ? body.value.trim() : "", alternative, caller, stream: true });
    result.replaceChildren(answer.stream ? el("p", {}, "The stream is open: ", el("a", { href: "#watch", text: "Watch a revocation" }), ".") : answerView(answer));
    if (answer.stream) return addStream(answer, caller);
    if (!answer.ok) return;
    const { config } = state;
    const tokens = o.id === config.logIn || o.id === config.refresh ? tokensIn(answer) : {};
    if (Object.keys(tokens).length > 0) announce(`Logged in as ${labelOf(addCaller(tokenOf(tokens.access)?.payload.sub ?? "caller", tokens))}.`);
    if ((o.method === "DELETE" && o.alternatives.length > 0) || o.id === config.logOut) revoked(`${o.method} ${o.path}`);
  };
  return el("form", { on: { submit: event => { event.preventDefault(); busy(call, submit); } } },
    el("p", { class: "quiet", text: whoInFull(o) }),
    el("div", { class: "fields" }, Object.entries(inputs).map(([name, input]) => field(`${name} (path)`, input)), field("Query", query), field("Send", as)),
    body && field("Body (JSON)", body), el("div", { class: "buttons" }, call), result);
}

// row is one operation. Its form is made when it is opened, so that an API may have many.
function row(o) {
  const details = el("details", { class: "operation", "data-operation": o.id, on: { toggle: () => {
    if (details.open && details.children.length === 1) details.append(formOf(o));
  } } }, el("summary", {}, el("span", { class: `method ${o.method.toLowerCase()}`, text: o.method }), " ",
    el("span", { class: "path", text: o.path }), " ", who(o)));
  details.words = `${o.id} ${o.method} ${o.path} ${whoInFull(o)}`.toLowerCase();
  return details;
}

export function startOperations() {
  const rows = state.config.operations.map(row);
  $("operations-list").append(...rows);
  const count = () => {
    const words = $("filter").value.trim().toLowerCase().split(/\s+/);
    for (const details of rows) details.hidden = !words.every(word => details.words.includes(word));
    const shown = rows.filter(details => !details.hidden).length;
    $("operations-count").textContent = shown === rows.length ? `${shown} operations. Open one to call it.` : `${shown} of ${rows.length} operations`;
  };
  $("filter").addEventListener("input", count);
  count();
}
