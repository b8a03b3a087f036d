// Page → server: every exchange in one place, and what is said while there is none.

import { $, banner } from "./draw.js";

const LONGEST_MS = 45_000; // the desk itself waits up to 30 s for another process
const SILENT = "The desk does not answer, so nothing more is saved. Your text is kept in this browser. Is `tuneproof review` still running?";
const EARLIER = "This page belongs to an earlier run. Open the address that `tuneproof review` printed; your text is kept in this browser if the port is the same.";

export class Refused extends Error {
  constructor(status, said) { super(said.problem); this.status = status; this.said = said; }
}

const LONGEST_ADDRESS = 4000;

// Shows the card at, before or after `pair`; an id that is too long for an address travels in the body.
export function view(step, pair) {
  const named = pair ? `&pair=${encodeURIComponent(pair)}` : "";
  if (named.length > LONGEST_ADDRESS) return ask("/api/do/look", { pair_id: pair, step });
  return ask(`/api/view?step=${step}${named}`);
}

const sent = (body) => ({
  method: "POST",
  headers: { "content-type": "application/json", "x-tuneproof-desk": "1" },
  body: JSON.stringify(body),
});

// Looks at `path`, or with `body` changes something there; returns what the desk said.
export async function ask(path, body) {
  const options = body === undefined ? {} : sent(body);
  let response;
  try { response = await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(LONGEST_MS) }); }
  catch { lost(SILENT); throw new Refused(0, { problem: "no answer" }); }
  let said;
  try { said = await response.json(); }
  catch { said = { problem: `Status ${response.status}.`, remedy: "" }; }
  if (response.status === 403) lost(EARLIER);
  else if (response.status < 500) lost("");
  if (!response.ok) throw new Refused(response.status, said);
  return said;
}

export function sayGoodbye() {
  fetch("/api/do/leave", { ...sent({ finish: false }), keepalive: true }).catch(() => {});
}

export function say(text) { $("status").textContent = text; }

function lost(text) {
  if (text === "" && $("lost").hidden) return;
  if (text === "") say("The desk answers again. What you decided meanwhile was not saved: decide again.");
  banner("lost", text);
}
