// What this browser keeps: text that is not sent yet, and whether single keys decide.

const name = (reviewer, pair) => `tuneproof:unsent:${reviewer}:${pair}`;
const SINGLE = "tuneproof:single-keys";

// Returns whether the browser took it: private windows and full stores may not.
export function keepText(reviewer, pair, text) {
  try { localStorage.setItem(name(reviewer, pair), text); return true; }
  catch { return false; }
}

export function keptText(reviewer, pair) {
  try { return localStorage.getItem(name(reviewer, pair)); }
  catch { return null; }
}

export function forgetText(reviewer, pair) {
  try { localStorage.removeItem(name(reviewer, pair)); }
  catch { /* then nothing was kept */ }
}

export function singleKeys() {
  try { return localStorage.getItem(SINGLE) !== "off"; }
  catch { return true; }
}

export function setSingleKeys(on) {
  try { localStorage.setItem(SINGLE, on ? "on" : "off"); }
  catch { /* then they stay on */ }
}
