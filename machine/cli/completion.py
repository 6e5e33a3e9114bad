"""``completion``."""

from __future__ import annotations

import click

from pymachine.machine.cli.command import SETTINGS, Command
from pymachine.machine.completion.shells import SHELLS


@click.command(cls=Command, context_settings=SETTINGS)
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a shell's completion script.

    \b
    bash: source <(pymachine completion bash), in ~/.bashrc
    zsh:  source <(pymachine completion zsh), in ~/.zshrc, after compinit
    fish: pymachine completion fish > ~/.config/fish/completions/pymachine.fish
    """
    from pymachine.machine.completion.scripts import script

    click.echo(script(shell, ctx.find_root().command), nl=False)
