"""Four greenlets ask a database at once. Prints for how many seconds no other greenlet ran.

Run as a program: ``python query.py URL STATEMENT``, with code to run before on standard input.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise

import gevent
from gevent import monkey

monkey.patch_all()

from sqlalchemy import create_engine, text  # noqa: E402 - after the patch, as in an app


def main(url: str, statement: str, setup: str) -> None:
    exec(setup, {})  # the block of the page, as a reader pastes it
    engine = create_engine(url, pool_size=4)

    def ask() -> None:
        with engine.connect() as connection:
            connection.execute(text(statement)).all()

    def tick() -> None:
        while True:
            gevent.sleep(0.005)
            ticks.append(time.monotonic())

    gevent.joinall([gevent.spawn(ask) for _ in range(4)], raise_error=True)  # the connections are made
    ticks = [time.monotonic()]
    ticker = gevent.spawn(tick)
    gevent.joinall([gevent.spawn(ask) for _ in range(4)], raise_error=True)
    gevent.sleep(0.05)
    ticker.kill()
    print(max(later - earlier for earlier, later in pairwise(ticks)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.stdin.read())
