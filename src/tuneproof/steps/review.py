"""Step 3 · review: Drafts + authority → Reviewed.

Imported pairs may go on under the name of the authority that labelled them; it is printed on the card as
"not reviewed here". Pairs that a model drafted can never take that path.
"""

from __future__ import annotations

from tuneproof.artifacts import Case, Drafts, Reviewed
from tuneproof.errors import NotReady


def review(case: Case, drafts: Drafts) -> Reviewed:
    """Accept every imported pair on the word of `data.reviewed_by`.

    Raises:
        NotReady: no authority is named, or the pairs were drafted by a model.
    """
    authority = case.task_file.data.reviewed_by
    if drafts.provenance.kind == "drafted":
        raise NotReady(
            f"{len(drafts.pairs)} pairs were drafted by a model and no person has seen them.",
            remedy="Every drafted pair needs a person's decision before it may train a model.",
        )
    if not authority:
        raise NotReady(
            f"{len(drafts.pairs)} imported pairs have no reviewer.",
            remedy='Name who labelled them in task.yaml: data.reviewed_by: "…"; the card will print it.',
        )
    return Reviewed(
        provenance=drafts.provenance,
        statement=f"labelled by {authority}, not reviewed here",
        accepted=len(drafts.pairs),
        fixed=0,
        deleted=0,
        pairs=drafts.pairs,
    )
