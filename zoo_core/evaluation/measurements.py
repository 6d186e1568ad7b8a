"""Numbers as the registry keeps them: with the settings that they were measured under, and measured again by those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from zoo_core.evaluation import data_for, evaluate_all, metric_named
from zoo_core.interfaces import DataSet, Model, Result, Sampler
from zoo_core.registry.entry import Entry, Evaluation
from zoo_core.sampling import Progress, make_sampler

if TYPE_CHECKING:
    from zoo_core.processes import Processes

__all__ = ["Measurement", "Recheck", "Settings", "agrees", "check", "measure"]


@dataclass(frozen=True)
class Settings:
    """How a model is measured, as far as it was asked for.

    Attributes:
        n: number of examples or samples; as each metric says unless given.
        seed: seed of the samples, the order, the dequantisation and the noise.
        sampler: registered name of what draws the samples; empty for the model's default.
        steps: its solver steps.
        nfe: its network evaluations, in place of steps.
        options: its other options.
    """

    n: int | None = None
    seed: int = 0
    sampler: str = ""
    steps: int | None = None
    nfe: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Evaluation) -> Settings:
        """Reads the settings of a committed number."""
        return cls(row.n, row.seed, row.sampler, row.steps, row.nfe, row.options)

    def made(self, model: Model) -> Sampler[Any] | None:
        """Makes the sampler that they ask for; ``None`` where they ask for none."""
        if not (self.sampler or self.steps or self.nfe or self.options):
            return None
        steps = {} if self.steps is None else {"steps": self.steps}
        return make_sampler(model, self.sampler or None, nfe=self.nfe, **steps, **self.options)


@dataclass(frozen=True)
class Measurement:
    """A result, and the row of the registry that it makes."""

    result: Result
    row: Evaluation

    def as_json(self, name: str) -> dict[str, Any]:
        """Everything, with all digits and the command that measures it again.

        Args:
            name: what the model is called in the command.
        """
        return self.row.table() | asdict(self.result) | {"command": self.row.command(name)}


@dataclass(frozen=True)
class Recheck:
    """A number of the registry beside the one that was measured now."""

    committed: Evaluation
    measured: Evaluation
    agrees: bool


def measure(
    model: Model,
    metrics: Sequence[str],
    settings: Settings | None = None,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> list[Measurement]:
    """Measures a model by several metrics, one measurement for each in their order.

    Args:
        model: model with an entry that names its data.
        metrics: registered names.
        settings: how; the metrics' and the model's defaults unless given.
        batch_size, progress, processes: as in :func:`zoo_core.evaluation.evaluate_all`.

    Raises:
        UnknownNameError: no such metric.
        IncompatibleError: a metric or the sampler does not fit the model.
        DivergenceError: a sample is not finite.
    """
    settings = settings or Settings()
    results = evaluate_all(
        model,
        metrics,
        n=settings.n,
        seed=settings.seed,
        batch_size=batch_size,
        sampler=settings.made(model),
        progress=progress,
        processes=processes,
    )
    data: dict[str, DataSet] = {}
    found = []
    for name, result in zip(metrics, results, strict=True):
        metric = metric_named(name)
        if metric.uses not in data:
            data[metric.uses] = data_for(model, metric)
        found.append(Measurement(result, _row(name, result, data[metric.uses], settings, metric.uses == "samples")))
    return found


def _row(metric: str, result: Result, data: DataSet, settings: Settings, drawn: bool) -> Evaluation:
    """A result as the registry holds it: no more digits than mean anything, and no sampler where none was used."""
    asked: dict[str, Any] = {"sampler": settings.sampler, "steps": settings.steps, "nfe": settings.nfe}
    return Evaluation(
        metric=metric,
        value=float(f"{result.value:.6g}"),
        stderr=float(f"{result.stderr:.3g}"),
        unit=result.unit,
        n=result.n,
        dataset=f"{data.name}/{data.split}",
        seed=settings.seed,
        protocol=result.protocol,
        anchors={name: float(f"{value:.6g}") for name, value in result.anchors.items()},
        **({**asked, "options": settings.options} if drawn else {}),
    )


def check(
    entry: Entry,
    model: Model,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
    processes: Processes | None = None,
) -> Iterator[Recheck]:
    """Measures the numbers of an entry again, each under its own settings; those that share them share the samples.

    Args:
        entry: entry with the committed numbers.
        model: its model.
        batch_size, progress, processes: as in :func:`zoo_core.evaluation.evaluate_all`.
    """
    groups: list[tuple[Settings, list[Evaluation]]] = []
    for row in entry.evaluations:
        settings = Settings.of(row)
        for known, rows in groups:
            if known == settings:
                rows.append(row)
                break
        else:
            groups.append((settings, [row]))
    for settings, rows in groups:
        metrics = [row.metric for row in rows]
        again = measure(model, metrics, settings, batch_size=batch_size, progress=progress, processes=processes)
        for row, measurement in zip(rows, again, strict=True):
            yield Recheck(row, measurement.row, agrees(row, measurement.result))


def agrees(committed: Evaluation, result: Result) -> bool:
    """Whether a committed number is within its stated standard error of one that was measured again.

    The same seed gives the same number but for rounding, which depends on the machine; a number without an error may
    differ by that.
    """
    allowed = max(committed.stderr, 1e-4 * abs(committed.value), 1e-12)
    return committed.n == result.n and abs(committed.value - result.value) <= allowed
