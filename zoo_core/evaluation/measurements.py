"""Measures numbers for the registry, with their settings, and measures them again by those settings."""

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
    """The settings of a measurement, as the user gave them.

    Attributes:
        n: number of examples or samples; ``None`` for the metric's own number.
        seed: seed of the samples, the order of the examples, dequantisation and noise.
        sampler: registered name of the sampler that draws the samples; empty for the model's default.
        steps: solver steps of the sampler.
        nfe: greatest number of network evaluations per sample, in place of steps.
        options: other options of the sampler.
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
        """Makes the sampler that the settings name; ``None`` if they leave everything to the model's default."""
        if not (self.sampler or self.steps or self.nfe or self.options):
            return None
        steps = {} if self.steps is None else {"steps": self.steps}
        return make_sampler(model, self.sampler or None, nfe=self.nfe, **steps, **self.options)


@dataclass(frozen=True)
class Measurement:
    """A result, and its row for the registry."""

    result: Result
    row: Evaluation

    def as_json(self, name: str) -> dict[str, Any]:
        """Returns the row and the result, with all digits, and the command that measures them again.

        Args:
            name: reference to the model in the command.
        """
        return self.row.table() | asdict(self.result) | {"command": self.row.command(name)}


@dataclass(frozen=True)
class Recheck:
    """A number of the registry, the number that was measured now, and whether they agree."""

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
    """Measures a model by several metrics; returns a measurement for each, in their order.

    Args:
        model: model with an entry that names its data.
        metrics: registered names of the metrics.
        settings: settings of the measurement; the metrics' and the model's defaults unless given.
        batch_size, progress, processes: arguments of :func:`zoo_core.evaluation.evaluate_all`.

    Raises:
        UnknownNameError: there is no such metric.
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
    """Makes the registry's row of a result, with rounded numbers, and without a sampler if none was used."""
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
    """Measures the numbers of an entry again, each with its own settings.

    Numbers with equal settings are measured of the same samples.

    Args:
        entry: entry with the committed numbers.
        model: loaded model of the entry.
        batch_size, progress, processes: arguments of :func:`zoo_core.evaluation.evaluate_all`.
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
    """Says whether a committed number differs from a new measurement by at most its standard error.

    Equal seeds give equal numbers apart from rounding, which depends on the machine; for a number whose standard error
    is 0, a relative difference of 1e-4 is allowed.
    """
    allowed = max(committed.stderr, 1e-4 * abs(committed.value), 1e-12)
    return committed.n == result.n and abs(committed.value - result.value) <= allowed
