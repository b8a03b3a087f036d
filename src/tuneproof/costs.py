"""Costs of calls, and of the move itself → the volume from which the own model is cheaper.

A part that is not known makes the break-even None and is named with its key of task.yaml; it is never taken
as 0. Formulas and assumptions: docs/costs.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tuneproof.artifacts import BreakEven, Case, CostLine, Costs, TaskFile
from tuneproof.artifacts.costs import OneOff, Sensitivity
from tuneproof.call_costs import (
    API_KINDS,
    HOURS_A_MONTH,
    Measured,
    Prices,
    api_usd,
    cost_lines,
    counted,
    machine_usd_per_hour,
    usd_text,
)


class VerdictFacts(NamedTuple):
    """Numbers for the question `ship it some points behind, at a sliver of the cost?`; None: unknown."""

    own_over_api: float | None
    """Cost of an own call as a share of an API call: 0.05 is one twentieth."""
    never: bool | None
    """An own call costs as much or more, so no volume pays for the move."""
    break_even_calls: float | None
    """Calls a month at which both sides cost the same; None also where there is no such volume."""
    calls_saving_usd: float | None
    """US dollars a month that the calls alone save at the given volume; negative: they cost more."""
    saving_usd: float | None
    """The same less the monthly costs and the month's share of the one-off costs."""
    usd_per_point: float | None
    """`saving_usd` for each point lost; None where no point is lost."""


def costs_of(case: Case, measured: Measured, prices: Prices, *, served: str, against: str | None) -> Costs:
    """Make the cost side of the table.

    Args:
        case: its task file says what the machine and the move cost.
        measured: rows, replies and times of the comparison.
        prices: of the arms behind an API.
        served: name of the arm whose file would answer.
        against: name of the frontier's arm; None where no frontier was measured.

    Returns:
        A line for each arm, and the break-even, or everything that is missing for it.
    """
    task_file = case.task_file
    lines = cost_lines(task_file, measured, prices)
    one_off = one_offs(task_file, measured, prices)
    unknown = list(dict.fromkeys(part.basis for part in one_off if part.usd is None))
    own = _known(lines, served, f"{served}: was not measured", unknown)
    missing = f"{against}: was not measured" if against else "comparison.frontier: no frontier was measured"
    api = _known(lines, against, missing, unknown)
    if unknown or own is None or api is None or against is None:
        return Costs(lines=lines, break_even=None, unknown=tuple(unknown))
    return Costs(lines=lines, break_even=_break_even(task_file, against, (api, own), one_off), unknown=())


def one_offs(task_file: TaskFile, measured: Measured, prices: Prices) -> tuple[OneOff, ...]:
    """List what the move costs once: drafting, review, training, evaluation (reference A7)."""
    costs = task_file.costs
    drafting = _given("drafting", costs.drafting_usd, "costs.drafting_usd: what did drafting the pairs cost?")
    return (
        drafting,
        _review(task_file),
        _training(task_file, measured),
        _evaluation(task_file, measured, prices),
    )


def break_even_calls(
    api: float, own: float, *, one_off: float, fixed_per_month: float, months: float
) -> float | None:
    """Calls a month at which both sides cost the same, V* = (F_month + F_oneoff / M) / (c_api − c_own).

    Reference A7.

    Args:
        api: US dollars an API call.
        own: US dollars a call of the own model.
        one_off: US dollars that the move costs once.
        fixed_per_month: US dollars a month that the own model costs beside its calls.
        months: over which the one-off costs are spread.

    Returns:
        None for never: an own call costs as much or more.
    """
    if api - own <= 0:
        return None
    calls = (fixed_per_month + one_off / months) / (api - own)
    return calls if math.isfinite(calls) else None


def verdict_facts(
    costs: Costs, calls_per_month: int | None, points_behind: float, *, served: str, against: str | None
) -> VerdictFacts:
    """Answer what moving saves at this volume, and what each lost point is paid with.

    Args:
        costs: the cost side of the table.
        calls_per_month: the volume of task.yaml; None leaves the savings unknown.
        points_behind: percentage points by which the own model is behind; negative: ahead.
        served: name of the own model's arm.
        against: name of the frontier's arm.
    """
    usd = {line.arm: line.usd_per_1000 for line in costs.lines}
    own, api, even = usd.get(served), usd.get(against or ""), costs.break_even
    if own is None or api is None:
        return VerdictFacts(None, None, None, None, None, None)
    calls = None if calls_per_month is None else calls_per_month * (api - own) / 1000
    saving = None if even is None or calls_per_month is None else saved_usd(even, calls_per_month)
    return VerdictFacts(
        own_over_api=own / api if api > 0 else None,
        never=own >= api,
        break_even_calls=even.calls_per_month if even else None,
        calls_saving_usd=calls,
        saving_usd=saving,
        usd_per_point=saving / points_behind if saving is not None and points_behind > 0 else None,
    )


def _known(lines: Sequence[CostLine], arm: str | None, missing: str, unknown: list[str]) -> float | None:
    """US dollars of one call of this arm; what is missing goes to `unknown`."""
    line = next((line for line in lines if line.arm == arm), None)
    if line is not None and line.usd_per_1000 is not None:
        return line.usd_per_1000 / 1000
    why = missing if line is None else line.unknown
    if why not in unknown:
        unknown.append(why)
    return None


def _given(name: str, usd: float | None, missing: str) -> OneOff:
    return OneOff(name=name, usd=usd, basis=missing if usd is None else "task.yaml")


def _review(task_file: TaskFile) -> OneOff:
    hours, wage = task_file.costs.review_hours, task_file.costs.usd_per_review_hour
    if hours is None or (wage is None and hours > 0):
        needed = {"costs.review_hours": hours, "costs.usd_per_review_hour": wage}
        keys = " and ".join(key for key, value in needed.items() if value is None)
        return _given("review", None, f"{keys}: hours that people reviewed, and what an hour costs")
    basis = f"{hours:g} hours at {usd_text(wage or 0.0)}" if hours else "0 hours"
    return OneOff(name="review", usd=hours * (wage or 0.0), basis=basis)


def _training(task_file: TaskFile, measured: Measured) -> OneOff:
    per_hour, hours = task_file.costs.training_usd_per_hour, measured.adapter_seconds / 3600
    if per_hour is None:
        per_hour, _ = machine_usd_per_hour(task_file)
    if per_hour is None:
        return _given("training", None, "costs.training_usd_per_hour: what does the training machine cost?")
    return OneOff(name="training", usd=hours * per_hour, basis=f"{hours:.4g} hours at {usd_text(per_hour)}")


def _evaluation(task_file: TaskFile, measured: Measured, prices: Prices) -> OneOff:
    given = task_file.costs.evaluation_usd
    if given is not None:
        return _given("evaluation", given, "")
    total, calls = [], 0
    for name in (result.arm.name for result in measured.results if result.arm.kind in API_KINDS):
        every = measured.paid.get(name) or measured.replies.get(name, ())
        replies = [r for r in every if r.finish != "failed"]
        used = prices.known.get(name)
        if used is None or not replies or len(counted(replies)) < len(replies):
            why = f"costs.evaluation_usd: the stored replies do not tell what the calls of {name} cost"
            return _given("evaluation", None, why)
        total.append(api_usd(replies, used.price))
        calls += len(replies)
    return OneOff(name="evaluation", usd=math.fsum(total), basis=f"{calls:,} stored replies at list price")


def _break_even(
    task_file: TaskFile, against: str, each: tuple[float, float], parts: tuple[OneOff, ...]
) -> BreakEven:
    (api, own), costs = each, task_file.costs
    one_off = math.fsum(part.usd or 0.0 for part in parts)
    machine = _machine_month(task_file, own)

    def calls(api_times: float = 1.0, own_times: float = 1.0, one_off_times: float = 1.0) -> float | None:
        monthly = costs.fixed_usd_per_month + one_off * one_off_times / costs.months
        if costs.shared_machine or machine is None:
            fixed, own_usd = monthly, own * own_times
            return break_even_calls(api * api_times, own_usd, one_off=0.0, fixed_per_month=fixed, months=1.0)
        dearer = machine._replace(usd=machine.usd * own_times)
        return dedicated_calls(api * api_times, dearer, monthly=monthly)

    varied = []
    for times, name in ((0.5, "0.5"), (2.0, "2")):
        varied.append(Sensitivity(what=f"API price × {name}", calls_per_month=calls(api_times=times)))
        varied.append(Sensitivity(what=f"own cost × {name}", calls_per_month=calls(own_times=times)))
        varied.append(Sensitivity(what=f"one-off costs × {name}", calls_per_month=calls(one_off_times=times)))
    return BreakEven(
        against=against,
        api_usd_per_call=api,
        own_usd_per_call=own,
        one_off=parts,
        one_off_usd=one_off,
        fixed_usd_per_month=costs.fixed_usd_per_month,
        months=costs.months,
        calls_per_month=calls(),
        sensitivity=tuple(varied),
        machine_usd_per_month=machine.usd if machine else None,
        machine_calls_per_month=machine.calls if machine else None,
        shared=costs.shared_machine,
    )


class MachineMonth(NamedTuple):
    """One machine for a month."""

    usd: float
    """Busy or idle."""
    calls: float
    """That it can answer, without a break."""


def _machine_month(task_file: TaskFile, own: float) -> MachineMonth | None:
    per_hour, _ = machine_usd_per_hour(task_file)
    if not per_hour or not own:
        return None
    usd = HOURS_A_MONTH * per_hour
    return MachineMonth(usd, usd / (own * task_file.costs.utilisation))


def dedicated_calls(api: float, machine: MachineMonth, *, monthly: float) -> float | None:
    """Calls a month from which machines kept for this task alone cost less than the API.

    With m machines, api · V = m · machine + monthly; the smallest m whose V they can answer.

    Args:
        api: US dollars an API call.
        machine: one machine for a month.
        monthly: US dollars a month beside it, one-off costs spread among them.

    Returns:
        None for never: a machine without a break costs as much as the calls that it answers.
    """
    spare = api * machine.calls - machine.usd
    if spare <= 0:
        return None
    machines = max(1, math.ceil(monthly / spare - 1e-9))
    return (machines * machine.usd + monthly) / api


def saved_usd(even: BreakEven, calls: float) -> float:
    """US dollars that the move saves a month at this volume; below 0 it costs more. 0 at the break-even."""
    monthly = even.fixed_usd_per_month + even.one_off_usd / even.months
    if even.shared or even.machine_usd_per_month is None or not even.machine_calls_per_month:
        return calls * (even.api_usd_per_call - even.own_usd_per_call) - monthly
    machines = max(1, math.ceil(calls / even.machine_calls_per_month - 1e-9))
    return calls * even.api_usd_per_call - machines * even.machine_usd_per_month - monthly
