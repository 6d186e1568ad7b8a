"""Runs the conformance kit: every check for every part of a plugin, as a pytest item each.

    from zoo_core.testing import parametrize_with_checks

    @parametrize_with_checks("zoo-my-family", expected_failures={"check_x[my-model]": "why it cannot hold"})
    def test_conformance(check):
        check()

The parts of a plugin are found in the catalogue and the registry: its families, the models of its registry file, its
objectives (with every registered model that they fit), samplers and metrics.  There is no item for a check that does
not apply.  A check that this machine cannot run, for lack of a network, data or an accelerator, is skipped with the
reason.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_core import plugins
from zoo_core.errors import PluginError
from zoo_core.testing.check import CHECKS, Check
from zoo_core.testing.checks import (
    completing,
    conditions,
    datasets,
    denoiser,
    density,
    devices,
    discrete,
    energy,
    latent,
    lengths,
    metrics,
    registry,
    samplers,
    sampling,
    statistics,
    training,
    weights,
)
from zoo_core.testing.inventory import subjects
from zoo_core.testing.subjects import Subject

if TYPE_CHECKING:
    import pytest

__all__ = ["Item", "Listed", "checks_for", "items", "marks", "parametrize_with_checks"]

CORE = "zoo-core"

MODULES = (
    registry,
    weights,
    devices,
    sampling,
    conditions,
    density,
    discrete,
    energy,
    completing,
    lengths,
    latent,
    denoiser,
    metrics,
    training,
    statistics,
    samplers,
    datasets,
)
"""Modules of the checks, in the order of their items."""


@dataclass(frozen=True, eq=False)
class Item:
    """A check with its subject; calling the item runs the check."""

    check: Check
    subject: Subject

    @property
    def key(self) -> str:
        """The id of the item in pytest and in ``expected_failures``: ``check_same_seed_same_samples[ddpm-moons]``."""
        return f"{self.check.name}[{self.subject.name}]"

    def __call__(self) -> None:
        self.check.function(self.subject)


class Listed(NamedTuple):
    """An item that :func:`checks_for` lists: the check, its subject, and its docstring."""

    name: str
    subject: str
    doc: str


def checks_for(distribution: str) -> list[Listed]:
    """Lists the items that :func:`parametrize_with_checks` would run.

    Args:
        distribution: installed plugin (``"zoo-my-family"``), or ``"zoo-core"``.

    Raises:
        PluginError: no such distribution is installed, or it is not a plugin.
    """
    return [Listed(item.check.name, item.subject.name, item.check.doc) for item in items(distribution)]


def parametrize_with_checks(
    distribution: str, *, expected_failures: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Any]:
    """Parametrises a test function with an argument ``check``: one item for every check of every part of a plugin.

    Args:
        distribution: installed plugin (``"zoo-my-family"``), or ``"zoo-core"`` for the components of the core.
        expected_failures: reasons for failures, by item (``"check_x[my-model]"``).  Such an item must fail (a strict
            xfail); it is an error if it passes, so that outdated reasons are noticed.

    Raises:
        PluginError: no such distribution is installed, or it is not a plugin.
        ValueError: an expected failure has no reason, or names an item that does not exist.
    """
    import pytest

    expected = dict(expected_failures or {})
    found = list(items(distribution))
    _check_expected(expected, [item.key for item in found])
    return pytest.mark.parametrize("check", [_parameter(item, expected.get(item.key)) for item in found])


def items(distribution: str) -> Iterator[Item]:
    """Yields all items of a plugin."""
    known = {record.distribution for record in plugins.load().records}
    if distribution not in {*known, CORE}:
        close = difflib.get_close_matches(distribution, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"pip install -e it; installed: {', '.join(sorted(known))}"
        raise PluginError(f"no plugin {distribution!r} is installed; {hint}")
    for subject in subjects(distribution):
        for each in sorted(CHECKS, key=_place):
            if each.kind != subject.kind or not set(each.needs) <= set(subject.capabilities):
                continue
            if _applies(each, subject) and not _is_left_to_the_large(each, subject):
                yield Item(each, subject)


def _place(check: Check) -> int:
    return [module.__name__ for module in MODULES].index(check.function.__module__)


def _applies(check: Check, subject: Subject) -> bool:
    """Says whether a check applies to a subject.

    If a model cannot be built, ``when`` may raise an error.  Then the check is left out; others report the failure.
    """
    try:
        return check.when(subject)
    except Exception:
        return False


def _is_left_to_the_large(check: Check, subject: Subject) -> bool:
    """Says whether a check is left out for a small model: it is about bundled weights, or slow even for a small one."""
    asked = subject.asked
    return asked is not None and asked.is_small and (check.of_weights or check.slow(subject))


def marks(item: Item) -> list[str]:
    """Lists the names of an item's pytest marks: ``slow``, ``process``, ``long`` and ``large``.

    An item is slow if the check is slow for its subject, or if another item runs the check on a small model instead.
    """
    asked, check, found = item.subject.asked, item.check, []
    with contextlib.suppress(Exception):  # if the model cannot be built, the check itself fails with the reason
        if check.slow(item.subject) or (asked is not None and asked.small is not None and not check.of_weights):
            found.append("slow")
    if check.starts_process:
        found.append("process")
    if check.long:
        found.append("long")
    if asked is not None and asked.is_large:
        found.append("large")
    return found


def _parameter(item: Item, reason: str | None) -> Any:
    import pytest

    carried: list[pytest.MarkDecorator | pytest.Mark] = [getattr(pytest.mark, name) for name in marks(item)]
    if reason is not None:
        carried.append(pytest.mark.xfail(reason=reason, strict=True))
    return pytest.param(item, id=item.key, marks=carried)


def _check_expected(expected: Mapping[str, str], keys: list[str]) -> None:
    for key, reason in expected.items():
        if key not in keys:
            close = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "zoo_core.testing.checks_for lists them"
            raise ValueError(f"expected_failures has {key!r}, but there is no such item; {hint}")
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"expected_failures[{key!r}] = {reason!r}; expected a sentence that says why it must fail")
