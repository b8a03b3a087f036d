// How long the card in hand has been in sight: time in a background tab does not count.

let inSight = 0, since = null;

export function look() {
  if (document.visibilityState === "visible") since ??= performance.now();
  else if (since !== null) { inSight += performance.now() - since; since = null; }
}

export function restartClock() { inSight = 0; since = null; look(); }

export function secondsInSight() {
  const now = since === null ? 0 : performance.now() - since;
  return Math.min(86_400, Math.round(inSight + now) / 1000);
}
