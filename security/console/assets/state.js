// The state of the page. Nothing here is stored: a reload begins anew.

import { tokenOf } from "./token.js";

export const state = {
  config: null,
  callers: [], // { name, number, tokens: { access: TEXT, refresh: TEXT, ... } }
  current: null,
  credentials: {}, // of schemes that are not tokens, by the name of the scheme
};

const events = new EventTarget();

export const onChange = listener => events.addEventListener("change", listener);
export const onRevoke = listener => events.addEventListener("revoke", event => listener(event.detail));

export const changed = () => events.dispatchEvent(new Event("change"));

// revoked says that tokens were revoked: what shows their effect looks again.
export const revoked = what => events.dispatchEvent(new CustomEvent("revoke", { detail: what }));

export const operation = id => state.config.operations.find(o => o.id === id);

export const labelOf = caller => caller ? (caller.number > 1 ? `${caller.name} (${caller.number})` : caller.name) : "nobody";

export function addCaller(name, tokens) {
  const number = 1 + Math.max(0, ...state.callers.filter(c => c.name === name).map(c => c.number));
  const caller = { name, number, tokens };
  state.callers.push(caller);
  state.current = caller;
  changed();
  return caller;
}

export function removeCaller(caller) {
  state.callers = state.callers.filter(c => c !== caller);
  if (state.current === caller) state.current = state.callers.at(-1) ?? null;
  changed();
}

// tokensIn returns the tokens of an answer: those of RFC 6749, section 5.1, or a text that is a token.
export function tokensIn(answer) {
  const body = answer.json;
  const tokens = {};
  if (body && typeof body.access_token === "string") tokens.access = body.access_token;
  if (body && typeof body.refresh_token === "string") tokens.refresh = body.refresh_token;
  const text = (typeof body === "string" ? body : answer.text).trim();
  if (Object.keys(tokens).length === 0 && answer.ok && tokenOf(text)) tokens.access = text;
  return tokens;
}
