"""Defines checks: named functions of a subject, with conditions for the subjects that they apply to."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

__all__ = ["CHECKS", "Check", "ConformanceError", "Kind", "check", "require", "skip"]

Kind = Literal["plugin", "family", "model", "objective", "sampler", "metric", "dataset"]
"""Kinds of subjects; :mod:`zoo_core.testing.subjects` has a class for each."""


class ConformanceError(AssertionError):
    """A check that fails; its message is one line: what is wrong, the value, what was expected, what to do."""


@dataclass(frozen=True)
class Check:
    """A check of the conformance kit.

    Attributes:
        function: function of a subject that raises :class:`ConformanceError` if the check fails.
        kind: kind of the subjects.
        needs: capabilities that the family of a subject must declare.
        when: function that says whether the check applies to a subject.
        slow: function that says whether the check takes more than a few seconds for a subject.
        of_weights: whether the check is about the entry and its weights.  Other checks hold for any weights, and are
            run on a small model in place of a large one of its kind.
        starts_process: whether the check starts another Python process.
        long: whether the check takes half a second or more for most subjects.
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
        """Returns the docstring of the check: what it asserts, why, and with which tolerance."""
        return inspect.getdoc(self.function) or ""


CHECKS: list[Check] = []
"""All checks, in the order in which their modules define them."""


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
    """Raises :class:`ConformanceError` if a condition is false; unlike ``assert``, also under ``python -O``."""
    if not condition:
        raise ConformanceError(message)


def skip(reason: str) -> NoReturn:
    """Skips a check that this machine cannot run because it lacks a network, a data set or an accelerator."""
    import pytest

    pytest.skip(reason)
