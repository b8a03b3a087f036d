// What the desk said → the page. Nothing here asks the server or decides anything.

import { distance, drawDifference, el, fill, show } from "./text.js";

export const $ = (id) => document.getElementById(id);

const DONE = { open: "open", accept: "accepted", fix: "fixed", delete: "deleted" };
const SIGNS = { open: "", accept: "✓", fix: "±", delete: "×" };

const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const percent = (share) => `${Math.round(share * 100)} %`;
export const seconds = (s) => (s < 10 ? `${Math.round(s * 10) / 10} s` : `${Math.round(s)} s`);

function span(s) {
  if (s < 90) return `${Math.max(1, Math.round(s))} s`;
  return s < 5400 ? `${Math.round(s / 60)} min` : `${Math.round(s / 360) / 10} h`;
}

export function agreement(a) {
  if (!a.n) return "";
  const within = a.interval ? ` (${a.interval.low.toFixed(2)} to ${a.interval.high.toFixed(2)})` : "";
  const kappa = a.kappa === null ? "" : `, κ ${a.kappa.toFixed(2)}${within}`;
  return `${a.equal} of ${a.n} equal${kappa}`;
}

export function drawStanding(s) {
  $("who").textContent = "";
  show($("who"), s.reviewer, false);
  $("batch").textContent = s.done ? "" : `Batch ${s.batch} of ${s.batches}`;
  const left = s.of_batch - s.in_batch;
  const pace = s.median_seconds;
  const by = s.driven ? " by a program" : "";
  $("pace").textContent = pace === null || s.done ? "" : `${seconds(pace)} a pair${by}` + (left ? `, about ${span(pace * left)} left` : "");
  $("total").textContent = `${s.decided} of ${plural(s.total, "pair")}` + (s.flagged ? `, ${s.flagged} flagged` : "");
  const same = agreement(s.self_agreement);
  $("agreement").textContent = same && `with yourself: ${same}${by}`;
  document.title = s.done ? "Review · tuneproof" : `${s.in_batch}/${s.of_batch} · Review · tuneproof`;
  $("count").textContent = s.done ? "done" : `${s.in_batch}/${s.of_batch}`;
  banner("alarm", s.alarm);
  banner("reminder", s.waiting || s.reminder);
  $("close").disabled = !s.can_close;
}

export function banner(id, text) {
  const box = $(id);
  if (box.textContent === text) return;
  box.replaceChildren();
  show(box, text, false);
  box.hidden = !text;
}

export function drawStrip(cells, here) {
  const strip = $("strip");
  strip.replaceChildren();
  const count = { open: 0, accept: 0, fix: 0, delete: 0 };
  for (const cell of cells) {
    const state = Object.hasOwn(SIGNS, cell.state) ? cell.state : "open";
    count[state]++;
    const made = el("li", `cell ${state}` + (cell.pair_id === here ? " here" : ""), SIGNS[state]);
    made.dataset.pair = cell.pair_id;
    strip.append(made);
  }
  const parts = Object.entries(count).filter(([, n]) => n).map(([state, n]) => `${n} ${DONE[state]}`);
  strip.setAttribute("aria-label", `Pairs of this batch: ${parts.join(", ") || "none"}`);
}

function badge(text, kind = "") {
  return el("span", `badge ${kind}`, text);
}

export function drawCard(card) {
  $("title").textContent = `Pair ${card.position} of ${card.of}`;
  const badges = [];
  if (card.state !== "open") badges.push(badge(DONE[card.state], card.state));
  if (card.blind && card.draft === null) badges.push(badge("draft hidden", "calm"));
  if (card.again) badges.push(badge("again", "calm"));
  if (card.flagged) badges.push(badge("⚑ flagged", "warn"));
  if (card.decided_by && card.state !== "open") badges.push(badge(`by ${card.decided_by}`));
  $("badges").replaceChildren(...badges);
  fill($("input"), card.input);
  $("input").scrollTop = 0;
  $("input-size").textContent = size(card.input);
  $("source").replaceChildren();
  show($("source"), `${card.pair_id} · ${card.source}`, false);
  list("findings", "Secrets and personal data", card.findings.map((f) => `${f.kind} in the ${f.where}: ${f.excerpt}…`));
  list("flag-note", "Flagged", card.flagged ? [card.note || "without a note"] : []);
  drawProblems(card.problems);
}

export const size = (text) => plural(Array.from(text).length, "character");

export function drawProblems(problems) {
  list("problems", "Form", problems);
}

function list(id, title, lines) {
  const box = $(id);
  box.hidden = !lines.length;
  box.replaceChildren();
  if (!lines.length) return;
  const items = lines.map((line) => {
    const item = el("li");
    show(item, line, false);
    return item;
  });
  box.append(el("strong", "", title), el("ul", "", ...items));
}

// The change against the draft, with its size; hidden where there is none.
export function drawChange(before, after, name = "Change against the draft") {
  const part = $("change");
  part.hidden = before === null || before === after;
  if (part.hidden) return;
  const away = distance(before, after);
  const longer = Math.max(Array.from(before).length, Array.from(after).length, 1);
  $("change-name").textContent =
    `${name}: ` + (away === null ? "large" : `edit distance ${away} (${percent(away / longer)})`);
  drawDifference($("diff"), before, after);
}

// Only a near twin should have the same output: `output` is what it is compared with.
export function drawNear(card, output) {
  near("twins", card.twins, output);
  near("nearest", card.nearest, null);
  $("no-near").hidden = Boolean(card.twins.length || card.nearest.length);
}

function near(id, pairs, output) {
  $(`${id}-part`).hidden = !pairs.length;
  $(id).replaceChildren(...pairs.map((pair) => neighbour(pair, output)));
}

function neighbour(pair, output) {
  const head = el("p", "row", badge(`${percent(pair.similarity)} alike`), badge(DONE[pair.state] ?? pair.state, pair.state));
  const answered = pair.output !== "" || pair.state !== "open";
  if (answered && output !== null && pair.output.trim() !== output.trim()) head.append(badge("≠ another output", "warn"));
  const said = el("div", "text mono small");
  said.dir = "auto";
  if (answered) fill(said, pair.output);
  else said.append(el("em", "quiet", "not shown yet"));
  const input = el("div", "text small");
  input.dir = "auto";
  fill(input, pair.input);
  const id = el("span", "quiet");
  show(id, pair.pair_id, false);
  return el("li", "", head, said, el("details", "", el("summary", "", "Input of ", id), input));
}

export function figures(id, rows) {
  const made = rows.filter(([, value]) => value !== "").flatMap(([name, value]) => [el("dt", "", name), el("dd", "", value)]);
  $(id).replaceChildren(...made);
}

export function summaryRows(s) {
  return [
    ["Pairs", String(s.pairs)],
    ["Accepted as drafted", `${s.accepted} (${percent(s.accept_rate)} of those whose draft was shown)`],
    ["Fixed", s.fixed ? `${s.fixed}, ${percent(s.edit_share)} of the text on average` : "0"],
    ["Deleted", String(s.deleted)],
    ["Time a pair", `${seconds(s.median_seconds)} (median)`],
    ["Shown again", agreement(s.again) || "none"],
    ["Made by", s.driven ? "a program: these are no figures of a person" : ""],
  ];
}

export function endRows(standing, f) {
  return [
    ["Pairs", String(standing.decided)],
    ["Accepted", String(standing.accepted)],
    ["Fixed", String(standing.fixed)],
    ["Deleted", String(standing.deleted)],
    ["Flagged", standing.flagged ? String(standing.flagged) : ""],
    ["Time a pair", `${seconds(f.median_seconds)} (median)`],
    ["With yourself", agreement(f.self_agreement)],
    ["From a file", f.imported ? plural(f.imported, "pair") : ""],
    ["Between reviewers", agreement(f.between)],
    ["Made by", f.driven ? "a program: these are no figures of a person" : ""],
  ];
}

export function theirs(card, me) {
  const who = card.decided_by && card.decided_by !== me ? card.decided_by : "You, in another window,";
  return card.state === "open" ? "This pair changed meanwhile: it is open again." : `${who} decided this pair meanwhile: ${DONE[card.state]}.`;
}
