"""`plad completion`."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options and names.

    \b
    bash: echo 'eval "$(plad completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(plad completion zsh)"' >> ~/.zshrc
    fish: plad completion fish > ~/.config/fish/completions/plad.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is not None:
        root = click.get_current_context().find_root().command
        click.echo(kind(root, {}, "plad", "_PLAD_COMPLETE").source())
