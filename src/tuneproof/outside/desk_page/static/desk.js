// Keys and buttons → decisions. Nothing is shown as saved before the server has said so.

import { $, drawCard, drawChange, drawNear, drawProblems, drawStanding, drawStrip, endRows, figures, size, summaryRows, theirs } from "./draw.js";
import { forgetText, keepText, keptText, setSingleKeys, singleKeys } from "./kept.js";
import { listen } from "./keys.js";
import { Refused, ask, say, sayGoodbye, view as lookAt } from "./link.js";
import { look, restartClock, secondsInSight } from "./sight.js";
import { fill } from "./text.js";
import { isMine, wishOf } from "./wish.js";

const KEPT_MS = 250;
const CHECK_MS = 400;
const BEAT_MS = 10_000;
const HINT = "The draft is hidden: e writes your answer.";
const PAST = { accept: "Accepted", fix: "Fixed", delete: "Deleted", flag: "Flagged", unflag: "Flag removed" };

let standing = null;
let card = null;
let editing = false;
let revealed = false;
let busy = false;
let over = false;
let dropped = null;
let conflict = null;
let keepTimer = 0, checkTimer = 0;

// Runs one exchange with the server at a time; a key pressed meanwhile does nothing.
async function once(work) {
  if (busy) return;
  busy = true;
  document.body.setAttribute("aria-busy", "true");
  try { await work(); }
  catch (error) {
    if (!(error instanceof Refused)) { say("The page failed, and nothing was saved. Reload it."); throw error; }
    if (error.status === 409 && error.said.card) meet(error.said.card);
    else if (error.status === 0) say("Not saved.");
    else say(`Not saved. ${error.said.problem} ${error.said.remedy ?? ""}`);
  }
  finally { busy = false; document.body.removeAttribute("aria-busy"); }
}

// ---- text that is not sent yet

function keep() {
  clearTimeout(keepTimer);
  if (card && editing && !keepText(standing.reviewer, card.pair_id, $("fix").value))
    say("This browser keeps no text: save before you leave.");
}

function forget(about) {
  clearTimeout(keepTimer);
  forgetText(standing.reviewer, about.pair_id);
}

// ---- showing

const hidden = () => card.draft === null;
const lines = (text) => text.replace(/\r\n?/g, "\n"); // as a text area gives them back

function display(view, { focus = true, restore = true } = {}) {
  standing = view.standing;
  drawStanding(standing);
  $("actions").hidden = over;
  if (standing.done) return finished();
  if (view.card) card = view.card;
  drawStrip(view.cells, card?.pair_id);
  $("card").hidden = !card;
  $("end").hidden = true;
  if (!card) return undefined;
  editing = revealed = false;
  dropped = dropped?.pair === card.pair_id ? dropped : null;
  drawCard(card);
  drawOutput();
  restartClock();
  const text = restore ? keptText(standing.reviewer, card.pair_id) : null;
  if (text !== null && text !== lines(card.output)) {
    edit(text);
    say("Unsent text restored. Ctrl+Enter saves it.");
  } else if (focus) settle();
  return undefined;
}

// A button that was just used keeps the focus; else a reader begins at the pair's heading.
function settle() {
  const at = document.activeElement;
  if (!at?.closest("#actions") || at.disabled) $("title").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function drawOutput() {
  const open = editing || (hidden() && !revealed);
  $("editor").hidden = !editing;
  $("output").hidden = editing;
  $("reveal").hidden = !revealed;
  $("back").hidden = hidden();
  $("accept").disabled = $("edit").disabled = $("delete").disabled = $("flag").disabled = false;
  $("fix-name").textContent = hidden() ? "Your own answer; the draft is shown afterwards" : "Output as it should be";
  if (!editing && hidden()) $("output").textContent = "The draft is hidden. Press e and write your own answer.";
  else fill($("output"), card.output);
  for (const id of ["accept", "edit"]) $(id).classList.toggle("main", hidden() === (id === "edit"));
  $("output").classList.toggle("quiet", !editing && hidden());
  const text = editing ? $("fix").value : card.output;
  $("output-size").textContent = open && !editing ? "" : size(text);
  drawChange(hidden() ? null : lines(card.draft), lines(text), revealed ? "Your answer against the draft" : undefined);
  drawNear(card, hidden() && !editing ? null : text);
}

function edit(text) {
  if (!card || revealed) return;
  editing = true;
  $("fix").value = text ?? (dropped?.text ?? card.output);
  drawOutput();
  $("fix").focus();
  if (text === undefined) say(dropped ? "Your dropped text is back." : "Editing. Ctrl+Enter saves, Esc leaves.");
  if ($("fix").value !== lines(card.output)) check();
}

function leaveEditor() {
  dropped = $("fix").value === lines(card.output) ? null : { pair: card.pair_id, text: $("fix").value };
  editing = false;
  forget(card);
  drawProblems(card.problems);
  drawOutput();
  $("title").focus({ preventScroll: true });
  say(dropped ? "Not saved. e brings your text back." : "");
}

function typed() {
  clearTimeout(keepTimer);
  keepTimer = setTimeout(keep, KEPT_MS);
  const text = $("fix").value;
  $("output-size").textContent = size(text);
  drawChange(hidden() ? null : lines(card.draft), text);
  clearTimeout(checkTimer);
  checkTimer = setTimeout(check, CHECK_MS);
}

async function check() {
  const about = card;
  const output = $("fix").value;
  try {
    const said = await ask("/api/do/check", { pair_id: about.pair_id, output });
    if (editing && card === about && $("fix").value === output) { drawProblems(said.problems); drawNear(card, output); }
  } catch (error) { if (!(error instanceof Refused)) throw error; }
}

// ---- deciding

const driven = () => navigator.webdriver === true;

function decide(kind, more) {
  return once(async () => {
    const before = card;
    const sent = wishOf(before, kind, secondsInSight(), more);
    say("Saving…");
    let view;
    try { view = await ask("/api/do/decide", { wish: sent, driven: driven() }); }
    catch (error) {
      if (error.status !== 409 || !error.said.card || !isMine(error.said.card, sent, kind, standing.reviewer)) throw error;
      view = await lookAt("here", before.pair_id);
    }
    if (kind !== "flag" && kind !== "unflag") forget(before);
    const word = `${PAST[kind]}: pair ${before.position}.`;
    if (kind === "flag" || kind === "unflag") { display(view); say(word); return; }
    if (before.draft === null && kind !== "delete") { reveal(view); return; }
    await advance(view, `${word} u takes it back.`);
  });
}

async function advance(view, word) {
  display(view, { focus: false, restore: false });
  say(word);
  const next = await lookAt("open", card?.pair_id);
  display(next);
  say(next.card && hidden() && !editing ? `${word} ${HINT}` : word);
  if (next.standing.can_close) await openClose();
}

function reveal(view) {
  display(view, { restore: false });
  revealed = true;
  drawOutput();
  for (const id of ["accept", "edit", "delete", "flag"]) $(id).disabled = true;
  const equal = card.draft !== null && card.draft.trim() === card.output.trim();
  $("reveal-word").textContent = equal ? "= Your answer equals the draft." : "≠ The draft is different: yours goes on.";
  $("reveal-word").className = equal ? "found good" : "found warn";
  say(`${$("reveal-word").textContent} Saved; u takes it back.`);
  $("on").focus();
}

function goOn() {
  return once(async () => {
    const next = await lookAt("open", card.pair_id);
    display(next);
    if (next.standing.can_close) await openClose();
  });
}

function accept() {
  if (!card || revealed) return undefined;
  if (hidden()) { edit(); return say("The draft is hidden: write your own answer."); }
  if (editing) return save();
  // An accept stands for the draft: a fix that is good as it stands must be sent as one.
  return card.output === card.draft ? decide("accept") : decide("fix", { output: card.output });
}

function save() {
  const text = $("fix").value;
  keep();
  if (hidden()) return decide("fix", { output: text });
  if (text === lines(card.draft)) return decide("accept", card.again ? { output: card.draft } : undefined);
  return decide("fix", { output: text });
}

function undo() {
  return once(async () => {
    const view = await ask("/api/do/undo", { driven: driven() });
    display(view);
    say(view.card ? `Taken back: pair ${view.card.position} is as before.` : "There is nothing of yours to take back.");
  });
}

function move(step) {
  if (!card) return undefined;
  if (revealed && step === "next") return goOn();
  if (editing) keep();
  return once(async () => {
    const from = card.pair_id;
    display(await lookAt(step, from));
    if (card.pair_id === from) say(step === "next" ? "This is the last pair." : "This is the first pair.");
    else if (!editing) say(hidden() ? HINT : "");
  });
}

function open(pair) {
  if (!pair) return undefined;
  if (editing) keep();
  return once(async () => { display(await lookAt("here", pair)); if (!editing) say(hidden() ? HINT : ""); });
}

const edge = (last) => { const cells = $("strip").children; return open(cells[last ? cells.length - 1 : 0]?.dataset.pair); };

// ---- dialogs

function openFlag() {
  if (!card || revealed) return;
  $("flag-text").value = card.note;
  $("flag-off").hidden = !card.flagged;
  $("flag-box").showModal();
  $("flag-text").focus();
}

function flag(kind) {
  const note = kind === "flag" ? $("flag-text").value : "";
  $("flag-box").close();
  if (editing) keep();
  return decide(kind, { note });
}

async function openClose() {
  const { summary } = await ask("/api/summary");
  $("close-title").textContent = `Close batch ${standing.batch}`;
  figures("close-figures", summaryRows(summary));
  $("close-alarm").hidden = !summary.alarm;
  $("close-alarm").textContent = summary.alarm;
  $("close-wrong").textContent = "";
  if (!$("close-box").open) $("close-box").showModal();
  $("close-text").focus();
}

function closeBatch() {
  const note = $("close-text").value.trim();
  if (!note) { $("close-wrong").textContent = "Write one sentence first."; $("close-text").focus(); return undefined; }
  return once(async () => {
    try {
      const batch = standing.batch;
      const view = await ask("/api/do/close", { note, driven: driven() });
      $("close-text").value = "";
      $("close-box").close();
      card = null;
      await display(view);
      say(`Batch ${batch} is closed.`);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      $("close-wrong").textContent = error.status ? `${error.said.problem} ${error.said.remedy ?? ""}` : "Not saved: the desk does not answer.";
    }
  });
}

function meet(theirCard) {
  const mine = editing ? $("fix").value : null;
  if (editing) keep();
  conflict = { card: theirCard, mine };
  $("conflict-title").textContent = "Two decisions on one pair";
  $("conflict-word").textContent = theirs(theirCard, standing.reviewer);
  if (theirCard.state === "delete") $("conflict-theirs").textContent = "(deleted)";
  else fill($("conflict-theirs"), theirCard.output);
  $("conflict-mine-name").hidden = $("conflict-mine").hidden = mine === null;
  if (mine !== null) fill($("conflict-mine"), mine);
  say("Not saved: this pair was decided meanwhile.");
  $("conflict-box").showModal();
  $("take").focus();
}

function takeTheirs() {
  forget(conflict.card);
  $("conflict-box").close();
  return once(async () => advance(await lookAt("here", card.pair_id), "Theirs was taken."));
}

function decideAgain() {
  const { mine } = conflict;
  $("conflict-box").close();
  return once(async () => {
    display(await lookAt("here", card.pair_id), { restore: false });
    if (mine !== null) edit(mine);
    say("This is their version. Decide again.");
  });
}

async function finished() {
  $("card").hidden = true;
  $("end").hidden = false;
  $("actions").hidden = true;
  drawStrip([], null);
  figures("end-figures", endRows(standing, (await ask("/api/figures")).figures));
  $("finish").focus();
}

function finish() {
  return once(async () => {
    await ask("/api/do/leave", { finish: true });
    over = true;
    $("end-name").textContent = "Finished";
    $("end").replaceChildren($("end-name"), "You can close this window.");
    $("end-name").focus();
  });
}

// ---- keys

const KEYS = {
  a: accept, e: () => (editing ? undefined : edit()), d: () => (card && !revealed ? decide("delete") : undefined),
  u: undo, f: openFlag, n: () => move("next"), j: () => move("next"), ArrowRight: () => move("next"),
  p: () => move("previous"), k: () => move("previous"), ArrowLeft: () => move("previous"),
  Home: () => edge(false), End: () => edge(true), "?": () => $("help-box").showModal(),
  c: () => (standing?.can_close ? once(openClose) : say(standing?.waiting || "Decide every pair of the batch first.")),
};
const EDITOR = { Save: () => save(), Escape: leaveEditor };
const BOXES = {
  "conflict-box": { t: takeTheirs, r: decideAgain },
  "flag-box": { Save: () => flag("flag") },
  "close-box": { Save: closeBatch },
};

const BUTTONS = { accept: "a", edit: "e", delete: "d", undo: "u", flag: "f", previous: "p", next: "n", close: "c", help: "?" };
const CLICKS = {
  ...Object.fromEntries(Object.entries(BUTTONS).map(([id, key]) => [id, KEYS[key]])),
  save, cancel: leaveEditor, on: goOn, finish,
  back: () => { $("fix").value = card.draft; typed(); $("fix").focus(); },
  "help-done": () => $("help-box").close(),
  "flag-save": () => flag("flag"), "flag-off": () => flag("unflag"), "flag-cancel": () => $("flag-box").close(),
  "close-save": closeBatch, "close-cancel": () => $("close-box").close(),
  take: takeTheirs, again: decideAgain,
};

// The standing alone: a card that changed under the reviewer's eyes would be decided unread.
async function beat() {
  if (over || busy || document.visibilityState !== "visible" || !standing) return;
  try {
    const view = await lookAt("here", card?.pair_id);
    if (busy || view.standing.batch !== standing.batch) return;
    standing = view.standing;
    drawStanding(standing);
    drawStrip(view.cells, card?.pair_id);
  } catch (error) { if (!(error instanceof Refused)) throw error; }
}

for (const [id, work] of Object.entries(CLICKS)) $(id).addEventListener("click", () => work());
listen({ page: KEYS, editor: EDITOR, boxes: BOXES, off: () => over || !standing || standing.done, editing: () => editing });
document.addEventListener("visibilitychange", () => { look(); keep(); });
window.addEventListener("pagehide", () => {
  keep();
  if (!over) sayGoodbye();
});
$("fix").addEventListener("input", typed);
$("strip").addEventListener("click", (event) => open(event.target.closest("[data-pair]")?.dataset.pair));
$("conflict-box").addEventListener("cancel", (event) => { event.preventDefault(); decideAgain(); });
$("single-keys").checked = singleKeys();
$("single-keys").addEventListener("change", (event) => setSingleKeys(event.target.checked));
setInterval(beat, BEAT_MS);
once(async () => {
  let view = await lookAt("open");
  const last = view.cells.at(-1);
  if (!view.card && last) view = await lookAt("here", last.pair_id);
  say(view.card?.draft === null ? HINT : "a accepts, e edits, d deletes; ? shows every key.");
  await display(view);
  if (view.standing.can_close) await openClose();
});
