"""Defines the errors that the zoo raises on purpose, and the exit codes of the command line.

| exit code | meaning                                                       |
|-----------|---------------------------------------------------------------|
| 0         | done                                                          |
| 1         | the work failed                                               |
| 2         | the command line is wrong                                     |
| 3         | no such model, sampler, data set …; or an ambiguous name      |
| 4         | weights or data that are not what they should be              |
| 5         | the network was needed and not there, or access was refused   |
| 6         | a plugin or a registry file is wrong                          |
| 130       | interrupted                                                   |
"""

from __future__ import annotations

__all__ = [
    "AccessError",
    "AmbiguousNameError",
    "ChecksumError",
    "ConditionError",
    "DataError",
    "DifferenceError",
    "DivergenceError",
    "IncompatibleError",
    "NameTakenError",
    "NetworkError",
    "PluginError",
    "RegistryError",
    "UnknownNameError",
    "WeightsError",
    "ZooError",
]


class ZooError(Exception):
    """Base class of all errors that the zoo raises on purpose.

    The message is one line: what is wrong, with which value, what was expected, and what to do next.  ``exit_code`` is
    the exit code of the command line.
    """

    exit_code = 1


class ConditionError(ZooError, ValueError):
    """A condition that the model does not accept."""

    exit_code = 2


class IncompatibleError(ZooError):
    """A sampler, metric or objective that does not fit the model, or an option out of its range."""

    exit_code = 2


class DataError(ZooError):
    """A file of samples that cannot be read, or has samples of another kind than expected."""

    exit_code = 4


class DifferenceError(ZooError):
    """A file that was made again and came out different."""


class DivergenceError(ZooError):
    """Samples with numbers that are not finite."""


class NameTakenError(ZooError):
    """A name that is taken already; the message suggests another."""

    exit_code = 2


class UnknownNameError(ZooError):
    """A name that no model, sampler, metric or other component has.

    Args:
        kind: kind of component that was looked for, such as ``"model"``.
        name: name that was given.
        suggestions: existing names that are most similar.
        hint: next step for the user, for the end of the message.
    """

    exit_code = 3

    def __init__(self, kind: str, name: str, suggestions: list[str] | None = None, hint: str = "") -> None:
        self.kind, self.name, self.suggestions = kind, name, suggestions or []
        close = f"; did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        shown = repr(name) if len(name) <= 200 else f"{name[:200]!r}…"
        super().__init__(f"unknown {kind} {shown}{close}{'; ' + hint if hint else ''}")


class AmbiguousNameError(ZooError):
    """A name that two distributions claim."""

    exit_code = 3


class WeightsError(ZooError):
    """Weights, or a model's folder, that cannot be found, read or trusted."""

    exit_code = 4


class ChecksumError(WeightsError):
    """A file whose hash is not the one in the registry."""


class NetworkError(ZooError):
    """A request that is needed and fails, or is forbidden by ``--offline``."""

    exit_code = 5


class AccessError(NetworkError):
    """A request that the Hub refuses: the repository is private or gated, or the token is not valid."""


class PluginError(ZooError):
    """A plugin that is missing or cannot be used; ``zoo plugins doctor`` gives the details."""

    exit_code = 6


class RegistryError(ZooError):
    """A registry file with mistakes.

    Args:
        problems: all mistakes, each as ``file: table.key: problem``; the message has the first.
    """

    exit_code = 6

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        more = f" (and {len(problems) - 1} more; zoo plugins doctor lists them)" if len(problems) > 1 else ""
        super().__init__(problems[0] + more)
