"""Groups of commands that do something by themselves: ``tamperscan forge PATH`` beside ``tamperscan forge train``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typer.core import TyperGroup


def default_group(name: str, flags: Mapping[str, str] | None = None) -> type[TyperGroup]:
    """Make a group that runs one of its commands where none is named.

    The command should be ``hidden``: the group's help shows its arguments and options, and lists the other commands. A
    folder with the name of another command has to be called ``./name``.

    ::

        app = new_app(cls=default_group("run"), no_args_is_help=True)

        @app.command("run", hidden=True)
        def run(path: Path) -> None: ...

    Parameters
    ----------
    name
        The command that runs where the first word names no command.
    flags
        Options that name a command too: with ``{"--robustness": "robustness"}`` either may be written.

    Returns
    -------
    type
        For the ``cls`` of a ``typer.Typer``.
    """

    class DefaultGroup(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            """Name the command where none is; its own name counts as none, as it may be that of a folder."""
            for flag in set(flags or {}) & set(args):
                args = [(flags or {})[flag], *(word for word in args if word != flag)]
            named = bool(args) and (args[0] in ctx.help_option_names or args[0] in set(self.commands) - {name})
            return super().parse_args(ctx, args if named or not args else [name, *args])

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            """Have the command speak of itself by the group's name."""
            word, command, rest = super().resolve_command(ctx, args)
            return "" if word == name else word, command, rest

        def format_usage(self, ctx: Any, formatter: Any) -> None:
            """Show how to call the command, and how the others."""
            formatter.write_usage(ctx.command_path, " ".join(self.commands[name].collect_usage_pieces(ctx)))
            formatter.write_usage(ctx.command_path, self.subcommand_metavar, prefix="   or: ")

        def format_options(self, ctx: Any, formatter: Any) -> None:
            """Show the command's arguments and options, and list the others."""
            self.commands[name].format_options(ctx, formatter)
            self.format_commands(ctx, formatter)

    return DefaultGroup
