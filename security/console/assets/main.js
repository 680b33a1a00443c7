// The start of the page.

import { startCaller } from "./caller.js";
import { $, el } from "./dom.js";
import { startOperations } from "./operations.js";
import { startSessions } from "./sessions.js";
import { state } from "./state.js";
import { startWatch } from "./watch.js";

try {
  const response = await fetch("config.json", { credentials: "omit", cache: "no-store" });
  if (!response.ok) throw new Error(`The console answered ${response.status}.`);
  state.config = await response.json();
  document.title = `${state.config.title} · developer console`;
  $("title").textContent = state.config.title;
  $("base").textContent = location.host + state.config.basePath;
  startCaller();
  startWatch();
  startSessions();
  startOperations();
  document.documentElement.dataset.ready = "yes";
} catch (error) {
  $("main").prepend(el("p", { class: "card", role: "alert", text: `The console cannot start: ${error.message}` }));
}
