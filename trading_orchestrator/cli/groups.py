"""Verbs that have verbs of their own."""

import click


class Verb(click.Group):
    """A group that names what it has when it is asked for something else."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None and not cmd_name.startswith("-"):
            ctx.fail(f"{ctx.info_name} has no {cmd_name!r}; it has: {', '.join(self.list_commands(ctx))}")
        return found
