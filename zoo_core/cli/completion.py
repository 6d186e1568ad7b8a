"""``zoo completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a completion script for a shell.

    The script completes verbs, options and the names of models.

    \b
    Examples:
      eval "$(zoo completion bash)"
      zoo completion fish > ~/.config/fish/completions/zoo.fish
    """
    from zoo_core.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(cli, {}, "zoo", "_ZOO_COMPLETE")
    click.echo(script.source_template % script.source_vars())  # source() would start the shell to find out its version
