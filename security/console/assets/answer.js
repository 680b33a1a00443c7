// An answer on the page.

import { announce, el } from "./dom.js";
import { challengesOf, explain } from "./explain.js";

const limit = 20000;

const kindOf = ({ status }) => status >= 200 && status < 300 ? "good" : status >= 500 || status === 0 ? "poor" : "bad";

export const pill = (text, kind) => el("span", { class: `pill ${kind}`, text });

export const statusOf = answer => answer.status ? `${answer.status} ${answer.phrase}`.trim() : "No answer";

function bodyOf(answer) {
  const text = answer.json === undefined ? answer.text : JSON.stringify(answer.json, null, 2);
  return text.length > limit ? text.slice(0, limit) + "\n…" : text;
}

function challengeView(challenge) {
  return el("div", { class: "challenge" }, el("p", { class: "mono", text: challenge.scheme }),
    el("dl", { class: "claims" }, challenge.parameters.map(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })])));
}

// answerView shows an answer: status, meaning, challenge, body, headers. With short the parts are
// closed. With quiet a screen reader is not told.
export function answerView(answer, { title, short = Boolean(title), quiet = false } = {}) {
  const { operation: o } = answer;
  const meaning = explain(answer);
  const challenges = challengesOf(answer.headers.get("WWW-Authenticate"));
  const body = bodyOf(answer);
  const detail = answer.json?.detail;
  if (!quiet) announce(`${o.method} ${o.path}: ${statusOf(answer)}. ${meaning}`);
  return el("div", { class: `answer ${kindOf(answer)}`, "data-status": answer.status },
    el("p", { class: "status" }, title && el("strong", { text: title }), pill(statusOf(answer), kindOf(answer)), el("span", { class: "quiet", text: `${answer.ms} ms` })),
    el("p", { class: "meaning", text: meaning }),
    !answer.ok && typeof detail === "string" && el("p", { class: "quiet" }, "The server says: ", el("q", { text: detail })),
    challenges.length > 0 && el("details", { class: "more", open: !answer.ok && !short }, el("summary", { text: "Challenge (WWW-Authenticate)" }), challenges.map(challengeView)),
    body && el("details", { class: "more", open: answer.ok && !short }, el("summary", { text: "Body" }),
      el("pre", { tabindex: "0", role: "group", "aria-label": "Body of the answer", text: body })),
    el("details", { class: "more" }, el("summary", { text: "Headers" }),
      el("dl", { class: "claims" }, [...answer.headers].map(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })]))));
}
