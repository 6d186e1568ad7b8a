"""The command line ``zoo VERB``: one module per verb, imported when the verb is run.

Results go to stdout; warnings, progress and errors go to stderr.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from zoo_core import __version__
from zoo_core.errors import ZooError

__all__ = ["VERBS", "cli", "main"]

SECTIONS = {
    "Use a model": {
        "list": ("list_models", "List the models of the registry."),
        "info": ("info", "Show all that is known about a model."),
        "load": ("load", "Load a model, draw one sample as a test, and describe it."),
        "sample": ("sample", "Draw samples into a picture, a file or a folder."),
        "again": ("again", "Make a file again, and say whether the result is the same."),
        "translate": ("translate", "Translate samples in files from one domain to another."),
        "fill": ("fill", "Complete samples in files: missing cells, a masked part, the end of a sequence."),
        "score": ("score", "Score how unusual the examples in files are, with calibrated p-values."),
        "encode": ("encode", "Encode samples in files to latent codes."),
        "decode": ("decode", "Decode latent codes to samples."),
        "plot": ("plot", "Plot a model: its density, its samples, its training."),
        "export": ("export", "Write a model in another library's format."),
    },
    "Measure models": {
        "eval": ("eval", "Measure the likelihood or the sample quality of a model."),
        "compare": ("compare", "Compare models: sample quality against network evaluations."),
    },
    "Train and publish": {
        "data": ("data", "Say what a folder, an array or a table of yours is."),
        "train": ("train", "Train a model from its recipe, or a variant of it."),
        "publish": ("publish", "Upload a model to the Hub, and pin the commit."),
    },
    "See what is installed": {
        "families": ("components", "List the families of models."),
        "samplers": ("components", "List the samplers, or those that fit a model."),
        "objectives": ("components", "List the training objectives, or those that fit a model."),
        "metrics": ("components", "List the metrics, or those that fit a model."),
        "datasets": ("components", "List the data sets."),
        "plugins": ("plugins", "List the plugins, diagnose one, or write a new one."),
    },
    "This machine": {
        "download": ("download", "Fetch and verify weights for later, offline use."),
        "verify": ("verify", "Compare weights, or the files of a run, with their hashes."),
        "cache": ("cache", "Show or delete the weights in the Hub's cache."),
        "registry": ("registry", "Check a registry file, or print the JSON Schema of such files."),
        "env": ("env", "Show versions, folders and settings."),
        "completion": ("completion", "Print a completion script for a shell."),
    },
}
"""The verbs as ``zoo --help`` groups them, each with its module and its summary: the help imports no verb."""

VERBS = {name: verb for section in SECTIONS.values() for name, verb in section.items()}

_EPILOG = """\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such name, 4 bad weights or
data, 5 network or access, 6 plugin or registry, 130 interrupted.

\b
Examples:
  zoo list --dataset mnist
  zoo load ddpm-mnist
  zoo sample ddpm-mnist -n 64 --seed 0 --out samples.png
"""


class LazyGroup(click.Group):
    """A group of verbs whose modules are imported only when a verb is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"zoo_core.cli.{VERBS[cmd_name][0]}")
        found = getattr(module, cmd_name if hasattr(module, cmd_name) else "command")
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, summary) for name, (_, summary) in verbs.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        if args and args[0] not in VERBS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f"did you mean {close[0]}?" if close else "zoo --help lists the verbs"
            ctx.fail(f"no verb {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zoo")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--no-plugins", is_flag=True, help="Load no plugin; only what zoo-core itself has is available.")
def cli(debug: bool, no_plugins: bool) -> None:
    """Find, load, sample, measure and train generative models."""
    if no_plugins:
        os.environ["ZOO_DISABLE_PLUGINS"] = "all"


def main(argv: list[str] | None = None, command: click.Command = cli, name: str = "zoo") -> Any:
    """Runs a command line; turns an error into a message of one line and an exit code.

    Args:
        argv: arguments of the command; those of the process unless given.
        command: command to run; ``zoo`` unless given, or a command that a plugin offers as ``python -m``.
        name: name of the program in messages.
    """
    arguments = sys.argv[1:] if argv is None else argv
    debug = "--debug" in arguments
    try:
        code = command.main(arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as err:
        click.echo(err.ctx.get_help() if err.ctx else "")
        sys.exit(2)
    except click.ClickException as err:
        err.show()
        sys.exit(err.exit_code)
    except ZooError as err:
        if debug:
            sys.excepthook(type(err), err, err.__traceback__)
        click.echo(f"zoo: {err}", err=True)
        sys.exit(err.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("zoo: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the program at the other end of the pipe has ended, as `head` does after ten lines
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as err:
        if debug:
            sys.excepthook(type(err), err, err.__traceback__)
        click.echo(f"zoo: {err.strerror or err}{f': {err.filename}' if err.filename else ''}", err=True)
        sys.exit(1)
    except Exception as err:  # a bug in zoo-core or in a plugin
        if debug:
            sys.excepthook(type(err), err, err.__traceback__)
        from zoo_core.plugins import culprit

        reason = " ".join(str(err).split())[:300]
        click.echo(f"zoo: {culprit(err)}: {type(err).__name__}: {reason}; --debug shows where", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
