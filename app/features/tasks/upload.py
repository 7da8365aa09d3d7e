"""Upload: the body that starts a task. JSON, or a form with a file, which goes to the task's folder as it arrives."""

from __future__ import annotations

from contextlib import closing
from typing import Any, NamedTuple

import msgspec
from flask import current_app, g
from msgspec import UNSET

from ...web import bodies
from ...web.body import JSON, Body, convert, of_struct, parse_json
from ...web.errors import ApiError
from ...web.form import FORM, boundary, is_form, split
from ...web.here import this_request
from . import schemas, service
from .folders import Folder, refused_unless_written

_HINT = (
    'Send for example {"kind": "checksum", "options": {"bytes": 1000000}}, or a form with kind, options and file; the kinds '
    "are checksum, compress and wordcount."
)
_MOST_JSON_BYTES = 64 << 10
_FILE = "file"
_FOLDER = "task_folder"
_JSON = of_struct(schemas.Task, most_bytes=_MOST_JSON_BYTES, code="invalid_task", hint=_HINT)


class Upload(NamedTuple):
    """A task to start.

    Attributes:
        task: Its kind and options.
        folder: Its folder. The request removes it at its end, unless `take` was called.
    """

    task: schemas.Task
    folder: Folder

    def take(self) -> Folder:
        """Return the folder, which is the caller's from now on."""
        g.pop(_FOLDER)
        return self.folder


class _Body(Body):
    def receive(self) -> Upload:
        """Read the body; write its file to the folder of the task. Switches."""
        folder = service.folders().new()
        setattr(g, _FOLDER, folder)
        if is_form():
            return Upload(_read_form(folder), folder)
        task: schemas.Task = super().receive()
        return Upload(_checked(task, has_file=False), folder)


BODY = _Body(
    content={JSON: schemas.Generated, FORM: schemas.TaskForm}, most_bytes=lambda: _MOST_JSON_BYTES, parse=_JSON.parse
)


def drop(_: BaseException | None) -> None:
    """Remove the folder of an upload that no task took."""
    folder: Folder | None = g.pop(_FOLDER, None)
    if folder is not None:
        folder.remove()


def _read_form(folder: Folder) -> schemas.Task:
    most_bytes = current_app.config["SIMULCAST_MAX_UPLOAD_BYTES"]
    with refused_unless_written(), folder.create() as file, closing(bodies.pieces(most_bytes)) as pieces:
        # Its size is reserved: uploads that begin before it is here must find it.
        file.truncate(min(this_request().content_length or most_bytes, most_bytes))
        service.folders().check_room()
        fields = dict(split(pieces, boundary(), _FILE, file))
        file.truncate()
    has_file = fields.pop(_FILE, None) is not None
    given: dict[str, Any] = {name: text.decode(errors="replace") for name, text in fields.items()}
    given["options"] = parse_json(fields.get("options") or b"{}")
    try:
        task: schemas.Task = convert(given, schemas.Task)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)[:200]) from None
    return _checked(task, has_file=has_file)


def _checked(task: schemas.Task, *, has_file: bool) -> schemas.Task:
    """Check that the task has what it works on."""
    generates = isinstance(task, schemas.Checksum) and task.options.bytes is not UNSET
    if has_file and generates:
        raise _invalid("It has a file and the option bytes, of which a task takes one")
    if not has_file and not generates:
        raise _invalid("It has no file")
    return task


def _invalid(why: str) -> ApiError:
    return ApiError(400, "invalid_task", f"{why}. {_HINT}")
