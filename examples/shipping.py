"""A job in another process that publishes to the listeners of orders.py: no app, no gevent.

With Celery or RQ, `ship` is the task: the publisher is made once, and each worker process uses it.
"""

import sys
import time

from flask_simulcast import Publisher

publisher = Publisher.from_url("sqlite:///instance/simulcast.db")


def ship(order):
    for state in ("packed", "shipped"):
        time.sleep(1)  # in place of the work
        # A task that is tried again publishes the same event, not a second one.
        publisher.publish("orders", {"id": order, "state": state}, type="order", idempotency_key=f"{order}-{state}")


if __name__ == "__main__":
    ship(sys.argv[1])
