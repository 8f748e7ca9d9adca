"""A Celery worker on the queue of the service `pyadd`, which counterfoil declared."""
import json
import os

from kombu import Exchange, Queue

from app import app

app.conf.update(
    task_queues=[
        Queue(
            "pyadd",
            # As it is bound already. Without it, Celery would bind the queue to the producers' exchange.
            exchange=Exchange("task_exchange.work", type="topic", no_declare=True),
            routing_key="pyadd.#",
            no_declare=True,
            # Celery asks its own settings, not the broker, whether the queue is a quorum queue.
            queue_arguments={"x-queue-type": "quorum"},
        )
    ],
    task_default_queue="pyadd",
    task_create_missing_queues=False,
    task_acks_late=True,
)


def note(request, result):
    """Appends what the worker got, and what it made of it, as one line."""
    line = {
        "id": request.id,
        "task": request.task,
        "args": list(request.args),
        "kwargs": request.kwargs,
        "retries": request.retries,
        "expires": request.expires is not None,
        "result": result,
    }
    with open(os.environ["RESULTS"], "a", encoding="utf-8") as results:
        results.write(json.dumps(line) + "\n")


@app.task(bind=True, name="pyadd.add")
def add(self, x, y):
    note(self.request, x + y)


@app.task(bind=True, name="pyadd.record")
def record(self, *args, **kwargs):
    note(self.request, None)
