// A card and what is wanted with it → what is sent, and whether it came to the disk before.

// A pair shown again is answered, not decided, until it has been: its kind is `again`, and no output is a deletion.
export function wishOf(card, kind, seconds, more = {}) {
  const answer = card.again && card.state === "open" && ["accept", "fix", "delete"].includes(kind);
  const output = answer && kind === "accept" ? { output: card.output } : {};
  return { pair_id: card.pair_id, kind: answer ? "again" : kind, version: card.version, seconds, ...output, ...more };
}

// The same decision came to the disk already, and only its answer was lost on the way.
export function isMine(now, sent, kind, reviewer) {
  if (now.version !== sent.version + 1 || now.decided_by !== reviewer) return false;
  if (kind === "delete") return now.state === "delete";
  const decided = now.state === "accept" || now.state === "fix";
  return (kind === "accept" || kind === "fix") && decided && now.output === (sent.output ?? now.draft);
}
