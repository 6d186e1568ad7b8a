"""Every error that a user can meet: one root, one line, one documented exit code.

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
    """The root of all that is raised on purpose.  The message is one line: what, which value, what to do next."""

    exit_code = 1


class ConditionError(ZooError, ValueError):
    """A condition that the model does not accept."""

    exit_code = 2


class IncompatibleError(ZooError):
    """A sampler, metric or objective that does not fit the model; the message has the reason."""

    exit_code = 2


class DataError(ZooError):
    """A file of samples that cannot be read, or holds other than what was expected."""

    exit_code = 4


class DivergenceError(ZooError):
    """Numbers that are not finite, where samples should be."""


class NameTakenError(ZooError):
    """A name that something new cannot have; the message has one that it can."""

    exit_code = 2


class UnknownNameError(ZooError):
    """No model, sampler, metric … of that name.

    Args:
        kind: what was looked for (``"model"``).
        name: the name that was given.
        suggestions: the closest names there are.
        hint: what to do next, if there is more to say.
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
    """Weights (or a model folder) that cannot be trusted, read or found."""

    exit_code = 4


class ChecksumError(WeightsError):
    """Bytes whose SHA-256 is not the one in the registry."""


class NetworkError(ZooError):
    """The network was needed and is not there (or must not be used)."""

    exit_code = 5


class AccessError(NetworkError):
    """The Hub says no: private, gated, or a bad token."""


class PluginError(ZooError):
    """A plugin that cannot be used; ``zoo plugins doctor`` says more."""

    exit_code = 6


class RegistryError(ZooError):
    """A registry file with mistakes: ``problems`` has them all, each ``file: table.key: problem``."""

    exit_code = 6

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        more = f" (and {len(problems) - 1} more; zoo plugins doctor lists them)" if len(problems) > 1 else ""
        super().__init__(problems[0] + more)
