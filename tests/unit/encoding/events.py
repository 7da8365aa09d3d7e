"""Events to encode."""

from __future__ import annotations

from hypothesis import strategies as st

from app.flask_simulcast.data import is_raw
from app.flask_simulcast.event import Event, Position

POSITION = Position(5 << 20 | 3, 0x9F3A2C1B)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(
    lambda text: not is_raw(text)  # which data is only where `encode_data` made it
)
TYPES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=20)


def event(data: str, type: str = "message") -> Event:
    return Event(POSITION, "c", type, data)
