"""A job queue that publishes, as docs/existing-app.md says."""

from __future__ import annotations

import os

from celery import Celery

from app.flask_simulcast import Publisher

celery = Celery("tasks", broker=os.environ["CELERY_BROKER_URL"])
publisher = Publisher.from_url(os.environ["SIMULCAST_BROKER_URL"])


@celery.task  # type: ignore[untyped-decorator]
def ship(order: int) -> None:
    publisher.publish("orders", {"shipped": order})
