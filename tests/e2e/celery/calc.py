"""Tasks that a Python worker and a worker of ours run alike, and the application that calls both."""
import os
import time

import counterfoil
from celery import Celery, chain
from celery.exceptions import Reject

SERVICE = os.environ.get("SERVICE", "pycalc")

app = Celery("calc")
app.config_from_object(
    counterfoil.settings(
        broker_url=os.environ["AMQP_URL"],
        services=[SERVICE],
        result_backend=os.environ.get("RESULTS", "rpc://"),
    )
)
app.conf.result_extended = True
if "WITHOUT_TASK_EVENTS" in os.environ:
    app.conf.worker_send_task_events = False


class Custom(Exception):
    """One that the caller knows."""


RAISED = {"ValueError": ValueError, "Custom": Custom, "Reject": Reject}


@app.task(name=f"{SERVICE}.add")
def add(x, y):
    return x + y


@app.task(name=f"{SERVICE}.total")
def total(numbers):
    return sum(numbers)


@app.task(name=f"{SERVICE}.fail")
def fail(kind, message):
    raise RAISED[kind](message)


@app.task(bind=True, name=f"{SERVICE}.detour")
def detour(self, kind, message):
    steps = [app.signature(f"{SERVICE}.fail", args=(kind, message)), app.signature(f"{SERVICE}.add", args=(1,))]
    raise self.replace(chain(*steps))


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
