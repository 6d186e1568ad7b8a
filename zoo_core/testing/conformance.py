"""The conformance kit: every check for every part of a plugin, one pytest item each.

    from zoo_core.testing import parametrize_with_checks

    @parametrize_with_checks("zoo-my-family", expected_failures={"check_x[my-model]": "why it cannot hold"})
    def test_conformance(check):
        check()

What a plugin offers is found in the catalogue and the registry: its families, the models of its registry file, its
objectives (with every registered model that they fit), samplers and metrics.  A check that does not apply is no item;
one that this machine cannot run (no network, no data, no accelerator) is skipped with the reason.
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
    lengths,
    latent,
    denoiser,
    metrics,
    training,
    samplers,
    datasets,
)
"""Of the checks; their items come in this order."""


@dataclass(frozen=True, eq=False)
class Item:
    """A check and what it is of; calling it runs it."""

    check: Check
    subject: Subject

    @property
    def key(self) -> str:
        """``check_same_seed_same_samples[ddpm-moons]``: the item's id, and its name in ``expected_failures``."""
        return f"{self.check.name}[{self.subject.name}]"

    def __call__(self) -> None:
        self.check.function(self.subject)


class Listed(NamedTuple):
    """A line of :func:`checks_for`."""

    name: str
    subject: str
    doc: str


def checks_for(distribution: str) -> list[Listed]:
    """What :func:`parametrize_with_checks` would run: (name, subject, doc) of every item.

    Raises:
        PluginError: no such distribution is installed, or it is no plugin.
    """
    return [Listed(item.check.name, item.subject.name, item.check.doc) for item in items(distribution)]


def parametrize_with_checks(
    distribution: str, *, expected_failures: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Any]:
    """Parametrises a test function with an argument ``check``: one item for every check of every part of a plugin.

    Args:
        distribution: an installed plugin (``"zoo-my-family"``), or ``"zoo-core"`` for what the core itself offers.
        expected_failures: reasons by item (``"check_x[my-model]"``).  Such an item must fail (a strict xfail): one that
            passes is an error, so that a reason cannot outlive what it explains.

    Raises:
        PluginError: no such distribution is installed, or it is no plugin.
        ValueError: an expected failure without a reason, or of an item that there is not.
    """
    import pytest

    expected = dict(expected_failures or {})
    found = list(items(distribution))
    _check_expected(expected, [item.key for item in found])
    return pytest.mark.parametrize("check", [_parameter(item, expected.get(item.key)) for item in found])


def items(distribution: str) -> Iterator[Item]:
    """All items of a plugin."""
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
    """Where a model cannot even be built, the checks that ask nothing of it say so; the others would repeat them."""
    try:
        return check.when(subject)
    except Exception:
        return False


def _is_left_to_the_large(check: Check, subject: Subject) -> bool:
    """Whether a small model is not asked: it is about what is shipped, or takes long even of the small one."""
    asked = subject.asked
    return asked is not None and asked.is_small and (check.of_weights or check.slow(subject))


def marks(item: Item) -> list[str]:
    """The marks of an item, by name.

    ``slow`` where the check says so of the subject, or a small model is asked in place of a large one; ``process``;
    ``long``; ``large``.
    """
    asked, check, found = item.subject.asked, item.check, []
    with contextlib.suppress(Exception):  # the check itself will say what cannot be asked
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
            raise ValueError(f"expected_failures has {key!r}, and there is no such item; {hint}")
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"expected_failures[{key!r}] = {reason!r}; expected a sentence that says why it must fail")
