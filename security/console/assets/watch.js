// Streams and the next request: what a revocation ends.

import { answerView, pill } from "./answer.js";
import { $, announce, busy, button, el } from "./dom.js";
import { labelOf, onRevoke, state } from "./state.js";
import { choose, send, sendable } from "./send.js";

const kept = 4;

// eventIn returns an event of text/event-stream, or a line of another stream.
function eventIn(block) {
  const fields = block.split("\n").map(line => /^(event|data): ?(.*)$/.exec(line)).filter(Boolean);
  if (fields.length === 0) return { name: "", data: block };
  return { name: fields.find(([, key]) => key === "event")?.[2] ?? "message", data: fields.filter(([, key]) => key === "data").map(([, , value]) => value).join("\n") };
}

// addStream shows an open stream until it ends.
export async function addStream(answer, caller) {
  const { operation: o } = answer;
  const title = `${o.method} ${o.path} · ${labelOf(caller)}`;
  const log = el("ol", { class: "events" });
  const mark = el("span", {}, pill("open", "good"));
  const reader = answer.stream.getReader();
  let closed = false;
  const close = button("Close", () => {
    if (!closed) { closed = true; reader.cancel(); } else row.remove();
    $("watch").focus();
  }, { class: "small", "aria-label": `Close ${title}` });
  const reason = el("p", { class: "meaning" });
  const row = el("li", { class: "stream", "data-state": "open" }, el("div", {}, el("p", { class: "status" }, el("span", { class: "mono", text: title }), mark), log, reason), close);
  $("streams").prepend(row);
  announce(`${title} is open.`);
  let last = null, rest = "", why = "";
  try {
    const text = new TextDecoder();
    for (let chunk; !(chunk = await reader.read()).done; ) {
      const blocks = (rest + text.decode(chunk.value, { stream: true })).replace(/\r\n?/g, "\n").split("\n\n");
      rest = blocks.pop().slice(-10000);
      for (const block of blocks.filter(b => b.trim())) {
        last = eventIn(block);
        if (last.name === "end") continue; // the reason, which is shown below
        log.append(el("li", { text: `${last.name} ${last.data}`.trim() }));
        while (log.children.length > kept) log.firstChild.remove();
      }
    }
    why = closed ? "You closed it." : last?.name === "end" ? `The server ended it: ${last.data}` : "The server ended it.";
  } catch {
    why = closed ? "You closed it." : "The connection broke.";
  }
  const byUser = closed;
  closed = true;
  row.dataset.state = "ended";
  mark.replaceChildren(pill(byUser ? "closed" : "ended", byUser ? "poor" : "bad"));
  reason.textContent = why;
  close.textContent = "Remove";
  close.setAttribute("aria-label", `Remove ${title}`);
  if (!byUser) announce(`${title} has ended. ${why}`);
}

async function open(o) {
  const caller = state.current;
  const answer = await send(o, { caller, stream: true });
  if (answer.stream) addStream(answer, caller);
  else $("probe-answer").replaceChildren(answerView(answer));
}

const takesToken = o => sendable(o).some(a => a.length === 1 && a[0].kind === "token") && o.parameters.length === 0;
const needsLittle = o => !o.rules.allowRoles && !o.rules.denyRoles && !o.rules.fresh && !o.rules.maxAge && !o.alternatives.some(a => a.length === 0) && !o.alternatives.flat().some(s => s.scopes);

async function probe(after) {
  const o = state.config.operations[$("probe-operation").value];
  const answer = await send(o, { alternative: state.current ? choose(o, state.current) : [] });
  $("probe-answer").replaceChildren(answerView(answer, { title: after ? `After ${after}` : "Next request" }));
}

export function startWatch() {
  const { operations, listSessions } = state.config;
  const watched = operations.filter(o => o.rules.watch && o.method === "GET" && o.parameters.length === 0);
  $("streams-open").append(...watched.map(o => button(`Open ${o.path}`, event => busy(event.currentTarget, () => open(o)))));
  if (watched.length === 0) $("watch-help").textContent = "Revoke, and the next request is refused.";
  const probes = operations.filter(o => o.method === "GET" && !o.rules.watch && takesToken(o));
  $("probe").hidden = probes.length === 0;
  $("watch").hidden = probes.length === 0 && watched.length === 0;
  document.querySelector("nav a[href='#watch']").hidden = $("watch").hidden;
  const first = probes.find(o => needsLittle(o) && o.id !== listSessions) ?? probes[0];
  $("probe-operation").append(...probes.map(o => el("option", { text: `${o.method} ${o.path}`, value: operations.indexOf(o), selected: o === first })));
  $("probe").addEventListener("submit", event => {
    event.preventDefault();
    busy(event.submitter ?? $("probe"), () => probe());
  });
  onRevoke(what => probes.length > 0 && state.current && probe(what));
}
