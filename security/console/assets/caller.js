// The caller: log-ins, tokens, and what one does with them.

import { answerView } from "./answer.js";
import { $, announce, busy, button, el, field } from "./dom.js";
import { addCaller, changed, labelOf, onChange, operation, removeCaller, revoked, state, tokensIn } from "./state.js";
import { secondsLeft, timeLeft, tokenOf, tokenView } from "./token.js";
import { send } from "./send.js";

let action; // the caller whose last answer is shown
function show(...views) {
  action = state.current;
  $("action-answer").replaceChildren(...views);
}

async function logIn(user) {
  const answer = await send(operation(state.config.logIn), { body: JSON.stringify(user.body), alternative: [] });
  const tokens = tokensIn(answer);
  if (Object.keys(tokens).length === 0) return show(answerView(answer));
  $("action-answer").replaceChildren();
  announce(`Logged in as ${labelOf(addCaller(user.name, tokens))}.`);
}

const refresh = caller => send(operation(state.config.refresh), { caller: { tokens: { ...caller.tokens } } });

async function refreshOnce() {
  const caller = state.current;
  const answer = await refresh(caller);
  Object.assign(caller.tokens, tokensIn(answer));
  changed();
  show(answerView(answer, { title: "Refresh" }));
}

// refreshTwice sends two refreshes with one token, as two tabs do that wake up together.
async function refreshTwice() {
  const caller = state.current;
  const answers = await Promise.all([refresh(caller), refresh(caller)]);
  const [one, two] = answers.map(tokensIn);
  Object.assign(caller.tokens, one, two);
  changed();
  const text = one.refresh && two.refresh
    ? one.refresh === two.refresh ? "Both tabs have the same new refresh token: the session goes on." : "The tabs have different refresh tokens. The server decides which one goes on."
    : one.access && two.access ? "Both tabs have a new access token." : one.access || two.access ? "One of the tabs was refused." : "Both tabs were refused.";
  show(el("p", { class: "meaning", text }), el("div", { class: "tabs" }, answers.map((answer, i) => answerView(answer, { title: `Tab ${i + 1}`, quiet: true }))));
  announce(text);
}

async function revoke(id, title, what) {
  const answer = await send(operation(id));
  show(answerView(answer, { title }));
  if (answer.ok) revoked(what);
}

function renderCallers() {
  const choice = (caller, label) => {
    const radio = el("input", { type: "radio", name: "caller", checked: state.current === caller, on: { change: () => { state.current = caller; changed(); } } });
    const forget = caller && button("Forget", () => { removeCaller(caller); $("caller").focus(); }, { class: "small plain", "aria-label": `Forget the tokens of ${label}` });
    return el("div", { class: "choice" }, el("label", {}, radio, el("span", { text: label })), forget);
  };
  const focused = document.activeElement?.name === "caller";
  $("callers").replaceChildren(...state.callers.map(c => choice(c, labelOf(c))), choice(null, "nobody: no credential"));
  if (focused) $("callers").querySelector(":checked")?.focus();
}

function renderTokens() {
  const { current, config } = state;
  const opened = new Map([...$("tokens").children].map(view => [view.dataset.type, view.open]));
  $("tokens").replaceChildren(...Object.entries(current?.tokens ?? {}).map(([type, text], i) => tokenView(type, text, opened.get(type) ?? (i === 0 && matchMedia("(min-width: 901px)").matches))));
  const possible = [
    [config.refresh && "refresh", "Refresh", refreshOnce], [config.refresh && "refresh", "Refresh in two tabs", refreshTwice],
    [config.revoke && "access", "Revoke this token", () => revoke(config.revoke, "Revocation", "the revocation")], [config.logOut && "any", "Log out", () => revoke(config.logOut, "Log-out", "the log-out")],
  ].filter(([needs]) => needs && current && (needs === "any" || current.tokens[needs]));
  const names = possible.map(([, name]) => name).join();
  if ($("actions").dataset.names !== names) { // the buttons keep the focus while the same ones apply
    $("actions").dataset.names = names;
    $("actions").replaceChildren(...possible.map(([, name, work]) =>
      button(name, event => busy(event.currentTarget, work), { class: name === "Refresh" ? "primary" : /^(Revoke|Log out)/.test(name) && "danger" })));
  }
  if (action !== current) show();
}

function tick() {
  for (const view of $("tokens").children) view.ticks?.();
  const token = tokenOf(state.current?.tokens.access);
  $("now").textContent = !state.current ? "not logged in" : labelOf(state.current) + (token ? ` · ${timeLeft(token.payload).replace(" left", "")}` : "");
  $("now").classList.toggle("over", Boolean(token) && secondsLeft(token.payload) <= 0);
}

// credentialFields are inputs for keys and passwords, which the page keeps in memory like the tokens.
function credentialFields() {
  const schemes = new Map(state.config.operations.flatMap(o => o.alternatives.flat())
    .filter(s => (s.kind === "key" || s.kind === "basic") && s.in !== "cookie").map(s => [s.name, s]));
  return [...schemes.values()].map(s => {
    state.credentials[s.name] = state.config.credentials[s.name] ?? "";
    const about = s.kind === "basic" ? "name:password" : [s.parameter, s.prefix].filter(Boolean).join(" ");
    const input = el("input", { value: state.credentials[s.name], autocomplete: "off", spellcheck: "false", on: { input: event => { state.credentials[s.name] = event.target.value; } } });
    return field(`${s.name} (${about})`, input);
  });
}

export function startCaller() {
  const { config } = state;
  $("log-in").hidden = config.users.length === 0;
  $("users").append(...config.users.map(user =>
    button("", event => busy(event.currentTarget, () => logIn(user)), { class: "user", "data-user": user.name })));
  config.users.forEach((user, i) => $("users").children[i].append(el("span", { text: user.name }), " ", user.about && el("span", { class: "quiet", text: user.about })));
  const fields = credentialFields();
  $("credentials").append(...fields);
  const types = [...new Set(config.operations.flatMap(o => o.alternatives.flat()).map(s => s.token).filter(Boolean))];
  $("paste-type").append(...types.map(type => el("option", { text: type })));
  $("paste").hidden = types.length === 0;
  $("other").hidden = types.length === 0 && fields.length === 0;
  $("paste").addEventListener("submit", event => {
    event.preventDefault();
    const text = $("paste-text").value.trim();
    if (!text) return;
    announce(`Requests go with ${labelOf(addCaller(tokenOf(text)?.payload.sub ?? "pasted", { [$("paste-type").value]: text }))}.`);
    $("paste-text").value = "";
  });
  onChange(() => { renderCallers(); renderTokens(); tick(); });
  renderCallers();
  renderTokens();
  tick();
  setInterval(tick, 1000);
}
