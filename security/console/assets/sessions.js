// Sessions and devices of the caller.

import { answerView } from "./answer.js";
import { $, busy, button, el } from "./dom.js";
import { labelOf, onChange, onRevoke, operation, revoked, state } from "./state.js";
import { tokenOf } from "./token.js";
import { choose, send, valueOf } from "./send.js";

// listIn returns the sessions of an answer: an array, or the first member that is an array of objects.
function listIn(json) {
  const isList = value => Array.isArray(value) && value.every(item => item && typeof item === "object");
  return [json, ...Object.values(json ?? {})].find(isList) ?? [];
}

function browser(agent) {
  const [, name, version] = /(Firefox|Edg|Chrome|Version|curl)\/(\d+)/.exec(agent ?? "") ?? [];
  return name && `${{ Edg: "Edge", Version: "Safari" }[name] ?? name} ${version}`;
}

// moment returns a time, and its date unless it is today.
function moment(text) {
  const time = new Date(text);
  if (Number.isNaN(time.valueOf())) return String(text);
  const today = time.toDateString() === new Date().toDateString();
  return time.toLocaleString([], { dateStyle: today ? undefined : "medium", timeStyle: "medium" });
}

function item(session) {
  const name = session.device || browser(session.user_agent) || "Session";
  const callers = state.callers.filter(c => Object.values(c.tokens).some(text => tokenOf(text)?.payload.sid === session.id));
  const here = callers.length > 0 && callers.map(labelOf).join(", ");
  const about = [session.device && browser(session.user_agent), session.began && `began ${moment(session.began)}`, session.last_seen && `last seen ${moment(session.last_seen)}`, session.address].filter(Boolean);
  const end = state.config.endSession && button("End this one", event => busy(event.currentTarget, async () => {
    const o = operation(state.config.endSession);
    const answer = await send(o, { values: { [o.parameters[0]]: session.id } });
    if (answer.ok) revoked("the end of a session");
    else $("sessions-answer").replaceChildren(answerView(answer));
    $("sessions").focus();
  }), { class: "small danger", "aria-label": `End this one: ${name}${here ? ", " + here : ""}` });
  return el("li", { "data-session": session.id }, el("div", {},
    el("p", {}, el("strong", { text: name }), session.current && el("span", { class: "chip open", text: "this request" }), here && el("span", { class: "chip", text: here })),
    el("p", { class: "quiet parts" }, (about.length ? about : [session.id]).map(text => el("span", { text })))), end);
}

let round = 0;

async function load(spoken) {
  const mine = ++round;
  const o = operation(state.config.listSessions);
  const can = state.current && choose(o, state.current).every(s => valueOf(s, state.current));
  if (!can) {
    $("sessions-list").replaceChildren();
    $("sessions-answer").replaceChildren(el("p", { class: "quiet", text: "Log in to see the sessions of the caller." }));
    return;
  }
  const answer = await send(o);
  if (mine !== round) return; // a later one is under way
  const sessions = answer.ok ? listIn(answer.json) : [];
  $("sessions-answer").replaceChildren(answer.ok ? el("p", { class: "quiet", text: `${sessions.length} of ${labelOf(state.current)}${answer.json?.next ? ", and more" : ""}` }) : answerView(answer, { short: true, quiet: !spoken }));
  $("sessions-list").replaceChildren(...sessions.map(item));
}

export function startSessions() {
  if (!state.config.listSessions) return;
  $("sessions").hidden = false;
  document.querySelector("[data-section=sessions]").hidden = false;
  $("sessions-load").addEventListener("click", event => busy(event.currentTarget, () => load(true)));
  onChange(() => load(false));
  onRevoke(() => load(false));
  load(false);
}
