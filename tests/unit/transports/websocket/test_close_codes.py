"""Close codes: every reason has one, and each says whether to come back."""

from __future__ import annotations

import pytest

from app.flask_simulcast import CloseReason
from app.flask_simulcast.transports.websocket import close_codes


def test_every_reason_has_a_code_and_one_that_agrees_with_sse_on_coming_back() -> None:
    assert set(close_codes.CLOSE_CODES) == set(CloseReason)
    for reason, ending in close_codes.CLOSE_CODES.items():
        assert ending.reconnect is reason.reconnect, reason
        assert ending.name == reason.value


def test_private_codes_say_themselves_whether_to_come_back() -> None:
    everything = [*close_codes.CLOSE_CODES.values(), *close_codes.OF_WEBSOCKET]
    for ending in everything:
        if ending.code >= 4000:
            assert ending.reconnect is (ending.code < 4500)
        assert len(ending.reason.encode()) <= 123
    assert len({ending.name for ending in everything}) == len(everything)


@pytest.mark.parametrize("code", [0, 999, 1002, 1004, 1005, 1006, 1010, 1015, 2000, 5000])
def test_a_handler_can_t_send_what_must_not_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        close_codes.of_code(code, "")
