// Texts → what a person sees of them: their difference, their distance, their hidden characters.
// Data reaches the page as textContent alone; nothing here reads it as HTML.

export function el(tag, name = "", ...inside) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...inside);
  return made;
}

const NAMES = new Map([
  [0x00, "NUL"], [0x08, "BS"], [0x0b, "VT"], [0x0c, "FF"], [0x0d, "CR"], [0x1b, "ESC"], [0x7f, "DEL"],
  [0xa0, "NBSP"], [0xad, "SHY"], [0x61c, "ALM"], [0x200b, "ZWSP"], [0x200c, "ZWNJ"], [0x200d, "ZWJ"],
  [0x200e, "LRM"], [0x200f, "RLM"], [0x2028, "LSEP"], [0x2029, "PSEP"], [0x202a, "LRE"], [0x202b, "RLE"],
  [0x202c, "PDF"], [0x202d, "LRO"], [0x202e, "RLO"], [0x202f, "NNBSP"], [0x2060, "WJ"], [0x2066, "LRI"],
  [0x2067, "RLI"], [0x2068, "FSI"], [0x2069, "PDI"], [0xfeff, "BOM"],
]);
// Controls (but tab and line feed), odd spaces, format and tag characters, variation selectors but emoji's own;
// then spaces at the ends of lines, found from the beginning of their run so that a long run costs no more.
const ODD = "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u00a0\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\u3164\\ufe00-\\ufe0e\\ufeff\\uffa0\\ufff0-\\ufffb\\u{e0000}-\\u{e0fff}]";
const HIDDEN = new RegExp(`(${ODD})\\1*`, "gu");
const HIDDEN_AND_ENDS = new RegExp(`(${ODD})\\1*|^ +|(?<! ) +(?=\\n|$)`, "gu");

const MOST_MARKS = 1000; // beyond them the marks are plain text: tens of thousands of boxes take seconds to lay out

const times = (count) => (count > 1 ? `×${count}` : "");

function mark(run, plain) {
  const code = run.codePointAt(0);
  const count = run.length / String.fromCodePoint(code).length;
  const hex = "U+" + code.toString(16).toUpperCase().padStart(4, "0");
  const name = (NAMES.get(code) ?? hex) + times(count);
  if (plain) return `⟦${name}⟧`;
  const made = el("span", "hid", name);
  made.title = `${hex}, ${count} time${count > 1 ? "s" : ""}`;
  return made;
}

function markSpaces(run, plain) {
  const dots = "·".repeat(run.length);
  if (plain) return dots;
  const made = el("span", "space", dots);
  made.title = `${run.length} space${run.length > 1 ? "s" : ""} at the end of a line`;
  return made;
}

// Appends `text` to `parent` with its hidden characters as marks; `lineEnds` marks spaces at the ends of lines too.
export function show(parent, text, lineEnds = true) {
  let from = 0, marks = 0, plain = "";
  for (const found of text.matchAll(lineEnds ? HIDDEN_AND_ENDS : HIDDEN)) {
    const many = ++marks > MOST_MARKS;
    const made = found[1] === undefined ? markSpaces(found[0], many) : mark(found[0], many);
    const before = text.slice(from, found.index);
    if (many) plain += before + made;
    else parent.append(before, made);
    from = found.index + found[0].length;
  }
  parent.append(plain + text.slice(from));
}

export function fill(parent, text) {
  parent.replaceChildren();
  if (text === "") parent.append(el("em", "quiet", "(empty)"));
  else show(parent, text);
}

function shared(a, b) {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  return [head, tail];
}

const MOST_CELLS = 4_000_000;

// Levenshtein distance in characters; null where it would take too long to compute at every key.
export function distance(before, after) {
  let a = Array.from(before), b = Array.from(after);
  const [head, tail] = shared(a, b);
  a = a.slice(head, a.length - tail);
  b = b.slice(head, b.length - tail);
  if (a.length * b.length > MOST_CELLS) return null;
  let row = Uint32Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = new Uint32Array(b.length + 1);
    next[0] = i;
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

// Longest common subsequence of two short lists → [kind, part] with kind "=", "-" or "+".
function compare(a, b) {
  const width = b.length + 1;
  const best = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      best[i * width + j] = a[i] === b[j]
        ? best[(i + 1) * width + j + 1] + 1
        : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
  const steps = [];
  let i = 0, j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) { steps.push(["=", a[i]]); i++; j++; }
    else if (best[(i + 1) * width + j] >= best[i * width + j + 1]) steps.push(["-", a[i++]]);
    else steps.push(["+", b[j++]]);
  }
  while (i < a.length) steps.push(["-", a[i++]]);
  while (j < b.length) steps.push(["+", b[j++]]);
  return steps;
}

function runs(a, b) {
  const [head, tail] = shared(a, b);
  const [left, right] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  const middle = left.length * right.length > MOST_CELLS
    ? [["-", left.join("")], ["+", right.join("")]]
    : compare(left, right);
  const steps = [["=", a.slice(0, head).join("")], ...middle, ["=", a.slice(a.length - tail).join("")]];
  const joined = [];
  for (const [kind, part] of steps) {
    if (part === "") continue;
    const last = joined.at(-1);
    if (last && last[0] === kind) last[1] += part;
    else joined.push([kind, part]);
  }
  return joined;
}

const words = (text) => text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) ?? [];

// Two texts → runs of equal, removed and added text: by words, and within one replaced word by characters.
export function difference(before, after) {
  const found = runs(words(before), words(after));
  const fine = [];
  for (let i = 0; i < found.length; i++) {
    const [kind, part] = found[i];
    const next = found[i + 1];
    if (kind === "-" && next?.[0] === "+" && !/\s/.test(part + next[1]) && part.length + next[1].length < 80) {
      const letters = runs(Array.from(part), Array.from(next[1]));
      const kept = letters.filter(([k]) => k === "=").reduce((sum, [, p]) => sum + p.length, 0);
      if (kept * 2 >= Math.min(part.length, next[1].length)) { fine.push(...letters); i++; continue; }
    }
    fine.push([kind, part]);
  }
  return fine;
}

export function drawDifference(parent, before, after) {
  parent.replaceChildren();
  for (const [kind, part] of difference(before, after)) {
    if (kind === "=") { show(parent, part, false); continue; }
    const made = el(kind === "-" ? "del" : "ins", "", el("span", "unseen", kind === "-" ? " removed: " : " added: "));
    show(made, part, false);
    made.append(el("span", "unseen", " end. "));
    parent.append(made);
  }
}
