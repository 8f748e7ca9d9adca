"""Tasks that a Python worker and a worker of ours run alike, and the application that calls both."""
import os
import time

from celery import Celery
from kombu import Exchange, Queue

SERVICE = os.environ.get("SERVICE", "pycalc")

app = Celery("calc", broker=os.environ["AMQP_URL"], backend=os.environ.get("RESULTS", "rpc://"))


def routed(name, args, kwargs, options, task=None, **more):
    """The name of the task is the key, and its first word the service."""
    # Who waits for the header of a chord goes where its body goes.
    key = args[1]["task"] if name == "celery.chord_unlock" else name
    route = {
        "exchange": "task_exchange",
        "exchange_type": "topic",
        "routing_key": options.get("routing_key") or key,
    }
    if "result" in options:
        # Celery asks for the queue of a chord's body, and wants to hear of one that it knows.
        route["queue"] = SERVICE
    return route


app.conf.update(
    task_default_exchange="task_exchange",
    task_default_exchange_type="topic",
    task_routes=routed,
    task_default_queue_type="quorum",
    task_queues=[
        Queue(
            SERVICE,
            exchange=Exchange("task_exchange.work", type="topic", no_declare=True),
            routing_key=f"{SERVICE}.#",
            no_declare=True,
            queue_arguments={"x-queue-type": "quorum"},
        )
    ],
    task_default_queue=SERVICE,
    task_create_missing_queues=False,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    result_extended=True,
)


class Custom(Exception):
    """One that the caller knows."""


RAISED = {"ValueError": ValueError, "Custom": Custom}


@app.task(name=f"{SERVICE}.add")
def add(x, y):
    return x + y


@app.task(name=f"{SERVICE}.total")
def total(numbers):
    return sum(numbers)


@app.task(name=f"{SERVICE}.fail")
def fail(kind, message):
    raise RAISED[kind](message)


@app.task(bind=True, name=f"{SERVICE}.flaky")
def flaky(self, times):
    if self.request.retries < times:
        raise self.retry(exc=ValueError("again"), countdown=1, max_retries=5)
    return self.request.retries


@app.task(name=f"{SERVICE}.note")
def note(value, file):
    with open(file, "a", encoding="utf-8") as notes:
        notes.write(f"{value}\n")
    return value


@app.task(bind=True, name=f"{SERVICE}.count")
def count(self, total, file):
    self.update_state(state="PROGRESS", meta={"current": 1, "total": total, "message": "begun"})
    while not os.path.exists(file):
        time.sleep(0.02)
    return total
