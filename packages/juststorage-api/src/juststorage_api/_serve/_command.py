"""The command line of `juststorage serve`."""

from __future__ import annotations

from typing import Any

import click

from juststorage.cli import ConfigSource, config_options, json_option

__all__ = ["command"]

_EPILOG = """\b
Examples:
  juststorage serve --data-dir /var/lib/juststorage
  juststorage serve --config juststorage.toml --workers 2

\b
Exit codes: 0 stopped by SIGTERM or Ctrl-C; 1 the service fell over;
2 it could not start (one line says why).
"""


@click.command(name="serve", epilog=_EPILOG)
@config_options
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port; 0 lets the system choose.")
@click.option("--workers", type=click.IntRange(0, 64), help="Server processes; 0: up to two.")
@json_option("Log JSON lines, on standard error, whatever log.format says.")
@click.pass_context
def command(
    context: click.Context, /, source: ConfigSource, *, as_json: bool, **server: Any
) -> None:
    """Serve the HTTP interface until SIGTERM or Ctrl-C.

    Without a configuration file, and without backends named in the environment, everything is kept
    under the data directory, and the file admin.key there holds a key that may do everything.

    Options win over the environment, which wins over the file.
    """
    from juststorage.runtime import set_up_logging
    from juststorage_api._serve._run import run
    from juststorage_api._serve._settings import Settings

    settings = Settings.load(source, server, {"log": {"format": "json"}} if as_json else {})
    set_up_logging(settings.config.log)
    context.exit(run(settings))
