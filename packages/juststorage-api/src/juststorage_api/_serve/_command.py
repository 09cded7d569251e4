"""The command line of `juststorage serve`."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command(name="serve")
@click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file to read.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port; 0 lets the system choose.")
@click.option("--workers", type=click.IntRange(1, 64), help="Server processes.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="The service's own directory.")
@click.pass_context
def command(  # noqa: PLR0917  click passes them by name
    context: click.Context,
    file: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    data_dir: Path | None,
) -> None:
    """Serve the HTTP interface until SIGTERM or Ctrl-C.

    Without a configuration file and without settings in the environment, everything is kept under
    the data directory, and the file admin.key there holds a key that may do everything.

    Options given here win over the environment, which wins over the file.
    """
    from juststorage_api._serve._run import run
    from juststorage_api._serve._settings import load

    config, admin_key = load(file, host=host, port=port, workers=workers, data_dir=data_dir)
    context.exit(run(config, admin_key))
