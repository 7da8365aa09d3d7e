"""Form: a body of ``multipart/form-data`` whose file goes to the disk as it arrives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import BinaryIO

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import NEED_DATA, Data, Event, Field, File, MultipartDecoder

from .errors import ApiError
from .here import this_request

FORM = "multipart/form-data"
# Of all fields together, and of the head of one part: both are held in memory.
_MOST_FIELD_BYTES = 64 << 10
_MOST_BUFFER_BYTES = 256 << 10
_MOST_PARTS = 10


def is_form() -> bool:
    """Tell whether the body of the current request is a form."""
    return this_request().mimetype == FORM


def boundary() -> bytes:
    """Return what stands between the parts of the current request.

    Raises:
        ApiError: 400 ``bad_form``: its head does not tell.
    """
    _, options = parse_options_header(this_request().headers.get("Content-Type", ""))
    given = options.get("boundary", "").encode("ascii", "replace")
    if not 0 < len(given) <= 70:  # RFC 2046, 5.1.1
        raise _bad("the header Content-Type has no boundary")
    return given


def split(pieces: Iterable[bytes], boundary: bytes, file_name: str, file: BinaryIO) -> Mapping[str, bytes]:
    """Write the file of a form to the disk, and return its other fields. Switches, if the pieces do.

    Args:
        pieces: The body.
        boundary: What stands between its parts.
        file_name: Name of the field with the file.
        file: Where to write it.

    Returns:
        The fields by name; that of the file is empty.

    Raises:
        ApiError: 400 ``bad_form``.
        RequestEntityTooLarge: A field is too large, or there are too many.
    """
    decoder = MultipartDecoder(boundary, _MOST_BUFFER_BYTES, max_parts=_MOST_PARTS)
    parts = _Parts(file_name, file)
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            while (event := decoder.next_event()) is not NEED_DATA:
                parts.take(event)
        decoder.receive_data(None)
        decoder.next_event()
    except ValueError:
        raise _bad("its parts do not stand between the boundary that its head names") from None
    return parts.fields


class _Parts:
    """The parts that came so far."""

    def __init__(self, file_name: str, file: BinaryIO) -> None:
        self.fields: dict[str, bytes] = {}
        self._file_name, self._file = file_name, file
        self._name = ""

    def take(self, event: Event) -> None:
        if isinstance(event, Field | File):
            self._begin(event.name or "", is_file=isinstance(event, File))
        elif isinstance(event, Data) and self._name == self._file_name:
            self._file.write(event.data)
        elif isinstance(event, Data):
            self.fields[self._name] += event.data
            if sum(map(len, self.fields.values())) > _MOST_FIELD_BYTES:
                raise RequestEntityTooLarge

    def _begin(self, name: str, *, is_file: bool) -> None:
        if name in self.fields or is_file != (name == self._file_name):
            raise _bad(f"its field {name[:64]!a} comes twice, or is a file where a text is expected, or the reverse")
        self.fields[name], self._name = b"", name


def _bad(why: str) -> ApiError:
    return ApiError(400, "bad_form", f"The form can't be read: {why}. Send multipart/form-data as RFC 7578 says.")
