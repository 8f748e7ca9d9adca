"""A Celery producer on counterfoil's topology: nothing but settings."""
import os

from celery import Celery

app = Celery("platform", broker=os.environ["AMQP_URL"])
app.conf.update(
    # Producers publish to the topic exchange; the name of the task is the routing key.
    task_default_exchange="task_exchange",
    task_default_exchange_type="topic",
    task_routes=lambda name, *args, **kwargs: {"exchange": "task_exchange", "routing_key": name},
    # Without it a publish returns before the broker has the message, which may be lost unnoticed.
    broker_transport_options={"confirm_publish": True},
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)
