"""``flask simulcast doctor``: look for the line of gunicorn, nginx, Redis or the app that spoils streams."""

from __future__ import annotations

import shlex
from urllib.parse import quote

import click

from ..app_state import current_state
from ..doctor.client import Target, check_url
from ..doctor.errors import BadInputError
from ..doctor.examination import examine
from ..doctor.finding import Verdict
from ..doctor.report import as_json, as_text, summary
from ..doctor.visit import Visit
from .group import RefusedError
from .output import printable

_FAULTS_FOUND = 1


@click.command()
@click.argument("url", required=False)
@click.option(
    "--gunicorn", "arguments", metavar="ARGUMENTS", help="What follows `gunicorn` in your command: '-c conf.py'."
)
@click.option("--token", metavar="TOKEN", envvar="DOCTOR_TOKEN", help="Sent as Authorization: Bearer TOKEN.")
@click.option("--ticket", metavar="TICKET", help="Sent as ?ticket=TICKET. It lets in one stream, so less can be seen.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Sent with each request. Repeat it.")
@click.option("--websocket", metavar="URL", default="", help="URL of a WebSocket of the app, to open, too.")
@click.option("--ca", metavar="FILE", default="", help="Certificate to trust, in PEM.")
@click.option("--patient", is_flag=True, help="Hold a stream for 65 s: proxies that cut do so after 60 s.")
@click.option("--json", is_flag=True, help="Write the findings as JSON.")
def doctor(
    url: str | None,
    arguments: str | None,
    token: str | None,
    ticket: str | None,
    headers: tuple[str, ...],
    websocket: str,
    ca: str,
    patient: bool,
    json: bool,
) -> None:
    """Find what spoils streams: in gunicorn, in the log, and, with the URL of a stream, in everything that stands before it.

    Each fault is named with its wrong line and the right one. Ends with 0 if all is sound, 1 if there is a fault, and 2 if what
    you gave can't be looked at.
    """
    found = []
    try:
        visit = None if url is None else Visit(_target(url, token, ticket, headers, ca), is_patient=patient)
        for finding in examine(current_state().settings, _words(arguments), visit, _of_http(websocket)):
            found.append(finding)
            if not json:
                click.echo("\n".join(map(printable, as_text(finding).split("\n"))))
    except BadInputError as error:
        raise RefusedError(printable(str(error))) from None
    click.echo(as_json(found) if json else summary(found))
    if any(finding.verdict is Verdict.FAULT for finding in found):
        click.get_current_context().exit(_FAULTS_FOUND)


def _target(url: str, token: str | None, ticket: str | None, headers: tuple[str, ...], ca: str) -> Target:
    given = dict(map(_header, headers))
    if token is not None:
        if not token.isascii() or not token.isprintable():
            raise RefusedError("--token has a character that a header can't hold.")
        given["Authorization"] = f"Bearer {token}"
    if ticket is not None:
        url += f"{'&' if '?' in url else '?'}ticket={quote(ticket)}"
    return Target(url, given, ca)


def _of_http(websocket: str) -> str:
    """Return the URL of a WebSocket with the scheme of the request that opens it."""
    url = f"http{websocket[2:]}" if websocket.startswith(("ws:", "wss:")) else websocket
    if url:
        check_url(url)
    return url


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or not line.isascii() or not line.isprintable():
        raise RefusedError("A --header is no header. Use for example --header 'X-Api-Key: 7'.")
    return name.strip(), value.strip()


def _words(arguments: str | None) -> list[str] | None:
    try:
        return None if arguments is None else shlex.split(arguments)
    except ValueError:
        raise RefusedError(f"--gunicorn {arguments!a} has a quote that does not end.") from None
