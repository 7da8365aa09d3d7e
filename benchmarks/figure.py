"""Figure: one number, its target, and the CPU time behind it. And the table of all figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from .job import Outcome


class Effort(NamedTuple):
    """How much a run measures.

    Attributes:
        rounds: Rounds for each figure that varies; the median counts.
        seconds: Duration of a round.
    """

    rounds: int
    seconds: float


class Target(NamedTuple):
    """A bound from the design, in the unit of its figure."""

    bound: float
    is_upper: bool

    def is_met_by(self, value: float) -> bool:
        """Tell whether the value is on the right side of the bound."""
        return value <= self.bound if self.is_upper else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.is_upper else '≥'} {_number(self.bound)}"


def at_most(bound: float) -> Target:
    """Return an upper bound."""
    return Target(bound, is_upper=True)


def at_least(bound: float) -> Target:
    """Return a lower bound."""
    return Target(bound, is_upper=False)


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: What was measured.
        value: The figure.
        unit: Unit of the value.
        target: Target of the value.
        cpu_us: µs of server CPU for each `cpu_per`.
        cpu_per: Name of the thing that the CPU time is divided by.
        cpu_target: Target of `cpu_us`.
        client_cores: Cores that the load client used; above 0.9 the value is a lower bound.
        faults: Counts of what must not happen: events that were lost, doubled or refused.
        rounds: The measurements of each round.
    """

    name: str
    value: float
    unit: str
    target: Target | None = None
    cpu_us: float | None = None
    cpu_per: str = ""
    cpu_target: Target | None = None
    client_cores: float = 0
    faults: dict[str, int] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_met(self) -> bool:
        """Whether every target is met, without a fault."""
        of_value = self.target is None or self.target.is_met_by(self.value)
        of_cpu = self.cpu_target is None or (self.cpu_us is not None and self.cpu_target.is_met_by(self.cpu_us))
        return of_value and of_cpu and not self.faults

    def as_json(self) -> dict[str, Any]:
        """Return the figure for the file, with the targets as in the table."""
        fields = asdict(self)
        fields["target"] = str(self.target) if self.target else None
        fields["cpu_target"] = str(self.cpu_target) if self.cpu_target else None
        return fields | {"is_met": self.is_met}


def middle(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the round with the median CPU time a delivery."""
    return sorted(outcomes, key=lambda outcome: outcome.cpu_us)[len(outcomes) // 2]


def faults_of(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Return the faults of all rounds together."""
    total: dict[str, int] = {}
    for outcome in outcomes:
        for name, count in outcome.faults.items():
            total[name] = total.get(name, 0) + count
    return total


def rounds_of(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return the rounds for the file."""
    return [asdict(outcome) for outcome in outcomes]


_ROW = "{:<48} {:>11} {:<14} {:>10}  {:>8} {:<12} {:>8}  {:>6}  {}"
HEADER = _ROW.format("what", "figure", "", "target", "µs CPU", "of the server", "target", "client", "")


def row(figure: Figure) -> str:
    """Return one line of the table."""
    return _ROW.format(
        figure.name,
        _number(figure.value),
        figure.unit,
        str(figure.target or ""),
        "" if figure.cpu_us is None else _number(figure.cpu_us),
        figure.cpu_per and f"a {figure.cpu_per}",
        str(figure.cpu_target or ""),
        f"{figure.client_cores:.2f}" if figure.client_cores else "",
        _judgement(figure),
    ).rstrip()


def _judgement(figure: Figure) -> str:
    if figure.faults:
        return "FAULTY " + ", ".join(f"{name}: {count}" for name, count in figure.faults.items())
    if figure.target is None and figure.cpu_target is None:
        return ""
    return "ok" if figure.is_met else "MISSED"


def _number(value: float) -> str:
    """Format a number with three digits, or with a space between thousands."""
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"
