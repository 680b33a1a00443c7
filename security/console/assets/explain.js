// What an answer means, in plain words: challenges (RFC 9110, RFC 6750, RFC 9470) and problems
// (RFC 9457).

import { duration } from "./token.js";

// challengesOf reads WWW-Authenticate. A browser joins several fields with commas.
export function challengesOf(text) {
  const found = [];
  const item = /[\s,]*([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+))|(?=[\s,]|$))/y;
  for (let match; (match = item.exec(text ?? "")); ) {
    const [, name, quoted, bare] = match;
    if (quoted === undefined && bare === undefined) found.push({ scheme: name, parameters: [] });
    else found.at(-1)?.parameters.push([name.toLowerCase(), quoted?.replace(/\\(.)/g, "$1") ?? bare]);
  }
  return found;
}

const parameter = (challenge, name) => challenge.parameters.find(([key]) => key === name)?.[1];

function accepted(challenge) {
  switch (challenge.scheme.toLowerCase()) {
    case "bearer": return "a bearer token";
    case "basic": return "a name and a password";
    case "apikey": return `the key ${parameter(challenge, "name")} in the ${parameter(challenge, "in")}`;
    case "clientcertificate": return "a client certificate";
  }
  return `credentials of ${challenge.scheme}`;
}

function invalidToken(text) {
  if (/expired/.test(text)) return "The token was valid, and its time is over. Refresh it, or log in again.";
  if (/revoked/.test(text)) return "The token was valid, and then it was revoked: by a log-out, by the end of its session, or because its refresh token was used again too late. Log in again.";
  if (/wrong type/.test(text)) return "The token is genuine, and of another type than this operation takes: an access token in place of a refresh token, or the other way round.";
  if (/not valid yet/.test(text)) return "The time from which the token is valid is still to come. Compare the clocks of the machines.";
  if (/credentials/.test(text)) return "The server does not know this key or password.";
  return "The server does not accept the token: it is damaged, or signature, issuer or audience are not the expected ones.";
}

function forbidden(challenge, rules) {
  const scope = challenge && parameter(challenge, "scope");
  if (scope) return `The caller is known, and may not do this: the token lacks the scope ${scope}.`;
  if (rules.allowRoles) return `The caller is known, and may not do this: it needs the role ${rules.allowRoles.join(" or ")}.`;
  if (rules.denyRoles) return `The caller is known, and may not do this: it needs a role other than ${rules.denyRoles.join(", ")}.`;
  return challenge ? "The caller is known, and may not do this." : "The server refuses this request. Other credentials do not help.";
}

function moreRecent(challenge) {
  const age = Number(parameter(challenge, "max_age"));
  const rule = age ? `a log-in at most ${duration(age)} ago` : "a token from a log-in, and not from a refresh";
  return `The token is valid. This operation needs ${rule}. Log in again.`;
}

const statuses = {
  400: "The server could not read the request. Compare parameters and body with the document.",
  404: "There is nothing under this path, or nothing that this caller may see.",
  405: "The path has no such method.",
  409: "The request contradicts what the server has.",
  413: "The body is too large.",
  415: "The server does not take a body of this type.",
  422: "The server read the request and cannot do what it asks.",
  429: "Too many requests, or too many failures.",
  500: "The server failed, or it is not set up for this operation.",
  501: "The operation is in the document, and the server does not implement it yet.",
  502: "A machine between here and the server got no answer from it.",
  503: "The server could not decide, for example because a store does not answer. The token is neither accepted nor refused: send the same request again.",
};

// explain returns the meaning of an answer in one or two sentences.
export function explain(answer) {
  const { status, headers } = answer;
  if (answer.redirected) return "The server redirects. The page does not follow.";
  if (status === 0) return "There was no answer: the server is not reachable, or the request was ended.";
  if (status === 204) return "Done. The answer has no body.";
  if (status < 300) return "The server accepted the request.";
  const challenges = challengesOf(headers.get("WWW-Authenticate"));
  const failed = challenges.find(c => parameter(c, "error"));
  const code = failed && parameter(failed, "error");
  const text = (parameter(failed ?? { parameters: [] }, "error_description") ?? answer.json?.detail ?? "").toString();
  const wait = Number(headers.get("Retry-After"));
  const later = wait ? ` Wait ${duration(wait)}.` : "";
  if (code === "insufficient_user_authentication") return moreRecent(failed);
  if (status === 401 && code === "invalid_token") return invalidToken(text);
  if (code === "invalid_request") return "The credentials of the request are malformed: for example two of them where one is expected.";
  if (status === 403) return forbidden(failed, answer.operation.rules);
  if (status === 401 && answer.operation.alternatives.length === 0) return "The server does not accept what the body says, such as the password.";
  if (status === 401) return `The request has no credentials that this operation takes. It takes ${challenges.map(accepted).join(", or ") || "others"}.`;
  return (statuses[status] ?? (status < 500 ? "The server refuses the request." : "The server failed.")) + later;
}
