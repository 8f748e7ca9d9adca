"""A Celery worker on the queue of the service `pyadd`, which counterfoil declared."""
import json
import os

import counterfoil
from celery import Celery

app = Celery("pyadd")
app.config_from_object(counterfoil.settings(broker_url=os.environ["AMQP_URL"], services=["pyadd"]))


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
