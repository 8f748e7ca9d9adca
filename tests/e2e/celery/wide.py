"""A worker with settings that look right, and that Celery makes bindings of: what doctor finds."""
import os

from celery import Celery
from kombu import Exchange, Queue

app = Celery("wide", broker=os.environ["AMQP_URL"])
exchange = Exchange("task_exchange", type="topic")
arguments = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 20,
    "x-dead-letter-exchange": "task_exchange.dead",
    "x-dead-letter-routing-key": "mail",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
app.conf.update(
    task_queues=[Queue("mail", exchange, routing_key="mail.#", queue_arguments=arguments)],
    task_default_queue="mail",
    broker_connection_retry_on_startup=True,
)
