"""
The command ``qbitel``.

Exit codes: 0 done; 1 the answer is "no" (messages that do not validate, specifications that differ); 2 wrong usage;
3 the input (a capture, a specification, rules) cannot be read, or the output not written; 4 a limit was passed; 5 no
such protocol, type, message or claim; 6 a partial result was written; 7 something the command needs is not installed;
130 interrupted.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

EXIT_NO, EXIT_USAGE, EXIT_INPUT, EXIT_LIMIT, EXIT_NOT_FOUND, EXIT_PARTIAL, EXIT_MISSING = 1, 2, 3, 4, 5, 6, 7
EXIT_INTERRUPTED = 130
EXIT_CODES = {
    "input": EXIT_INPUT,
    "limit": EXIT_LIMIT,
    "spec": EXIT_INPUT,
    "rule": EXIT_INPUT,
    "not-found": EXIT_NOT_FOUND,
    "cancelled": EXIT_INTERRUPTED,
}
# In the order in which they are used.
COMMANDS = {
    "discover": ("discover", "Find the specification of every protocol in captures."),
    "show": ("inspect", "Show types and fields, or one message as hex and tree."),
    "why": ("inspect", "Show the evidence for a claim."),
    "label": ("label", "Say what messages are, and read their protocol again."),
    "parse": ("use", "Parse messages into trees or columns."),
    "validate": ("use", "Judge messages against a specification."),
    "fields": ("use", "Print the field boundaries and meanings of every message."),
    "diff": ("difference", "Say what changed between two specifications, or two versions of a stream's."),
    "export": ("inspect", "Write a parser, a Wireshark dissector, a JSON schema or a graph."),
    "digest": ("digest", "Print the digest of a capture's statistics and the id of its specification."),
    "ingest": ("ingest", "Add captures to a stream: each message once, kept in a journal."),
    "shards": ("shards", "List, move, redirect, verify and erase the shards of streams."),
    "backup": ("backup", "Back a state up, verify a backup, and restore it."),
    "classify": ("classify", "Say which known protocols are in captures, and what is unknown."),
    "scan": ("scan", "Look for known-bad content in captures by YARA rules."),
    "corpus": ("corpus", "Make a training set from labelled captures."),
    "train": ("train", "Train a network, here or on workers of Ray."),
    "retrain": ("retrain", "Train on new labels, and let the outcome challenge the champion."),
    "sets": ("sets", "List, add and delete labelled messages to train on."),
    "runs": ("runs", "List, show and compare trainings."),
    "models": ("models", "List, register and alias versions of trained networks."),
    "serve": ("serve", "Serve discovery over HTTP on a local Ray."),
    "config": ("config", "Show the settings of the service, and where each comes from."),
    "keys": ("keys", "Create, list, rotate and revoke API keys of the service."),
    "audit": ("audit", "List, verify and shorten the audit trail."),
    "bench": ("bench", "Measure accuracy on labelled captures, or speed."),
    "doctor": ("doctor", "Say what is installed, what is missing and what cannot work."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they run, and listed without being imported."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; where the reader of its output goes away (``qbitel fields … | head``), end well."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
            return answer
        except BrokenPipeError:
            # Nothing is left to say; what Python still flushes at its end goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".{COMMANDS[cmd_name][0]}", __name__)
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above, so that help loads none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, epilog="Exit codes: 0 done, 1 the answer is no, 2 usage, 3 input, 4 limit, "
               "5 not found, 6 partial result, 7 not installed, 130 interrupted.")  # fmt: skip
@click.version_option(package_name="qbitel")
def cli() -> None:
    """Find out what unknown traffic says: types, fields, meaning, a parser, a dissector."""


def main() -> None:
    """Run the command; errors of the engine are one line on standard error and a documented exit code."""
    from ..discovery.errors import QbitelError

    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "qbitel"
        click.echo(f"qbitel: {error.format_message()} (help: {command} --help)", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("qbitel: interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except QbitelError as error:
        click.echo(f"qbitel: {error}", err=True)
        sys.exit(EXIT_CODES.get(error.code, 1))
