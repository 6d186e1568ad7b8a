"""What a check is: a named function of a subject, and which subjects it is for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

__all__ = ["CHECKS", "Check", "ConformanceError", "Kind", "check", "require", "skip"]

Kind = Literal["plugin", "family", "model", "objective", "sampler", "metric", "dataset"]
"""What a check may be of; :mod:`zoo_core.testing.subjects` has a class for each."""


class ConformanceError(AssertionError):
    """A check that does not hold: one line with what is wrong, the value, what was expected and what to do."""


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        function: raises :class:`ConformanceError` where the subject does not hold to it.
        kind: what it is of.
        needs: the capabilities that a subject's family must declare.
        when: whether it applies, from the subject itself.
        slow: whether it takes more than a few seconds for this subject.
        of_weights: whether it is about what is shipped, the entry and the weights; the others hold for any weights, and
            of a large model a small one of its kind is asked.
        starts_process: whether it runs another Python.
        long: whether it takes half a second or more of most subjects.
    """

    function: Callable[[Any], None]
    kind: Kind
    needs: tuple[str, ...]
    when: Callable[[Any], bool]
    slow: Callable[[Any], bool]
    of_weights: bool
    starts_process: bool
    long: bool

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def doc(self) -> str:
        """What it asserts, why, and with which tolerance."""
        return inspect.getdoc(self.function) or ""


CHECKS: list[Check] = []
"""All of them, in the order in which their modules define them."""


def check(
    kind: Kind,
    *,
    needs: tuple[str, ...] = (),
    when: Callable[[Any], bool] = lambda subject: True,
    slow: Callable[[Any], bool] = lambda subject: False,
    of_weights: bool = False,
    starts_process: bool = False,
    long: bool = False,
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Registers a function as a check; the arguments are those of :class:`Check`."""

    def register(function: Callable[[Any], None]) -> Callable[[Any], None]:
        CHECKS.append(Check(function, kind, needs, when, slow, of_weights, starts_process, long))
        return function

    return register


def require(condition: bool, message: str) -> None:
    """Raises :class:`ConformanceError` where the condition does not hold (``assert`` is silent under ``python -O``)."""
    if not condition:
        raise ConformanceError(message)


def skip(reason: str) -> NoReturn:
    """Ends a check that this machine cannot run: no network, no data, no accelerator."""
    import pytest

    pytest.skip(reason)
