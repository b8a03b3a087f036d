"""What a call costs, and from how many calls a month the tuned model is cheaper."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tuneproof.artifacts.base import Record
from tuneproof.artifacts.endpoints import Price


class OwnedMachine(Record):
    """A machine that was bought: its price is spread over its life, and it draws power."""

    usd: float = Field(gt=0, allow_inf_nan=False)
    """What it cost."""
    salvage_usd: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What it can be sold for at the end."""
    life_hours: float = Field(default=26_280.0, gt=0, allow_inf_nan=False)
    """Hours over which it is written off; three years by default."""
    watts: float = Field(gt=0, allow_inf_nan=False)
    """Mean power it draws."""
    usd_per_kwh: float = Field(gt=0, allow_inf_nan=False)
    """Price of a kilowatt-hour."""
    pue: float = Field(default=1.0, ge=1, le=3)
    """Power of the whole site for each watt of the machine."""
    ops_usd_per_hour: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Hands and space."""


class CostSection(Record):
    """What leaving the API costs beside the calls. A null leaves the break-even unknown, it is never 0."""

    owned: OwnedMachine | None = None
    """Instead of serving.machine_usd_per_hour, where the machine is yours."""
    utilisation: float = Field(default=0.25, gt=0, le=1)
    """Share of the machine's hours that it answers; idle hours are paid too, so it divides."""
    shared_machine: bool = False
    """Whether other tasks fill the machine to that share; false: all of its hours are paid by this task."""
    parallel_calls: int = Field(default=1, ge=1, le=1024)
    """Calls that the machine answers at once at the speed that was measured for one."""
    drafting_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """What the drafts of the pairs cost."""
    review_hours: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Hours of people who reviewed pairs."""
    usd_per_review_hour: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """What such an hour costs."""
    training_usd_per_hour: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Price of the machine that trains; null takes the one that answers."""
    evaluation_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """What the comparison's paid calls cost; null computes it from the stored replies."""
    fixed_usd_per_month: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What the own model costs a month beside the machine: monitoring, on-call."""
    months: float = Field(default=12.0, gt=0, le=120)
    """Months until it is tuned again, over which the one-off costs are spread."""


class PriceUsed(Record):
    """The price of an arm's model, with its origin and date."""

    model: str
    """Whose price it is."""
    price: Price
    """US dollars for a million tokens."""
    source: str
    """For example `genai-prices 0.2.3, prices of 2026-11-24` or `task.yaml`."""


class UsdAt(Record):
    """Cost at one utilisation."""

    utilisation: float
    """Share of the machine's hours that it answers."""
    usd_per_1000: float
    """US dollars for 1,000 calls."""


class CostLine(Record):
    """What 1,000 calls of one arm cost."""

    arm: str
    """Whose line it is."""
    kind: Literal["api", "local"]
    """Paid by the token, or by the hour."""
    usd_per_1000: float | None
    """API: list price. Local: at the planned utilisation. None where a price is unknown."""
    best_usd_per_1000: float | None = None
    """API: with a batch's discount and cacheable tokens read from a cache, where those prices are known."""
    at: tuple[UsdAt, ...] = ()
    """Local: at 5, 25 and 100 %."""
    basis: str
    """How it was computed, with its inputs."""
    unknown: str = ""
    """Why there is no number."""


class OneOff(Record):
    """A part of what the move costs once."""

    name: str
    """For example `review`."""
    usd: float | None
    """None where it is unknown."""
    basis: str
    """How it was computed, or what is missing."""


class Sensitivity(Record):
    """The break-even if one input were another."""

    what: str
    """For example `API price × 0.5`."""
    calls_per_month: float | None
    """None: never."""


class BreakEven(Record):
    """From how many calls a month the tuned model is cheaper than the frontier.

    A machine kept for this task alone (the default) is paid busy or idle; a shared one by the call.
    """

    against: str
    """The arm it is compared with."""
    api_usd_per_call: float
    """What a call of that arm costs."""
    own_usd_per_call: float
    """What a call of the served file costs at the planned utilisation."""
    one_off: tuple[OneOff, ...]
    """What the move costs once."""
    one_off_usd: float
    """Their sum."""
    fixed_usd_per_month: float
    """What the own model costs a month beside its calls."""
    months: float
    """Over which the one-off costs are spread."""
    calls_per_month: float | None
    """None: never, a call of the own model costs as much or more."""
    sensitivity: tuple[Sensitivity, ...]
    """With half and twice each price."""
    machine_usd_per_month: float | None = None
    """What the machine costs a month, busy or idle; all of it counts if it is kept for this task alone."""
    machine_calls_per_month: float | None = None
    """Calls that one machine can answer in a month; beyond them another one is paid."""
    shared: bool = False
    """Other tasks fill the machine to the planned utilisation, so that a call pays for its share alone."""


class Costs(Record):
    """The cost side of the table."""

    lines: tuple[CostLine, ...]
    """One an arm that costs something."""
    break_even: BreakEven | None
    """None where an input is unknown."""
    unknown: tuple[str, ...]
    """What is missing for it, each with the key of task.yaml that would give it."""
