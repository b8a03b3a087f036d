// A key that was pressed → what it means where it was pressed.

import { singleKeys } from "./kept.js";

const REPEATED = new Set(["n", "j", "p", "k", "ArrowRight", "ArrowLeft"]);
const nothing = () => {};

function nameOf(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return "Save";
  if (event.ctrlKey || event.metaKey || event.altKey) return "";
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

const own = (table, key) => (Object.hasOwn(table, key) ? table[key] : undefined);

// `page`, `editor`: key → work. `boxes`: id of a dialog → its keys. `off()`: single keys mean nothing now.
export function listen({ page, editor, boxes, off, editing }) {
  function meaning(event, key) {
    const box = document.querySelector("dialog[open]");
    if (box) return event.repeat ? undefined : own(boxes[box.id] ?? {}, key);
    if (event.target.closest("textarea")) return event.repeat ? undefined : own(editor, key);
    // Enter held down after an answer would press the button that goes on, unread.
    if (event.repeat && (key === "Enter" || key === "Save")) return nothing;
    if (off() || (event.repeat && !REPEATED.has(key))) return undefined;
    if (key === "Escape" && editing()) return editor.Escape;
    return singleKeys() || key === "?" ? own(page, key) : undefined;
  }

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    const work = meaning(event, nameOf(event));
    if (!work) return;
    event.preventDefault();
    work();
  });
}
