"""Tasks that workers of both kinds run from one queue. As a program it sends them: mixed.py LEDGER"""
import json
import os
import sys
import time

import counterfoil
from celery import Celery

app = Celery("mixed")
app.config_from_object(counterfoil.settings(broker_url=os.environ["AMQP_URL"], services=["mixed"]))


def note(request, ledger):
    """Appends which task runs, and when."""
    line = json.dumps({"id": request.id, "retries": request.retries, "by": "python", "at": time.time()})
    with open(ledger, "a", encoding="utf-8") as file:
        file.write(line + "\n")
    # So that one worker does not run everything before the other looks.
    time.sleep(0.02)


@app.task(bind=True, name="mixed.plain")
def plain(self, ledger):
    note(self.request, ledger)
    return "done"


@app.task(bind=True, name="mixed.flaky")
def flaky(self, ledger):
    note(self.request, ledger)
    if self.request.retries == 0:
        raise self.retry(exc=ValueError("again"), countdown=1)
    return "done"


@app.task(bind=True, name="mixed.parent")
def parent(self, ledger):
    note(self.request, ledger)
    # One that waits, so that it comes back by the delay levels.
    return plain.apply_async([ledger], countdown=1).id


if __name__ == "__main__":
    ledger = sys.argv[1]
    tasks = [(plain, None)] * 70 + [(plain, 1), (plain, 2), (plain, 3)] * 20 + [(flaky, None), (flaky, 2)] * 25 + [(parent, None)] * 20
    for task, countdown in tasks:
        sent = task.apply_async([ledger], countdown=countdown)
        print(json.dumps({"id": sent.id, "task": task.name, "at": time.time() + (countdown or 0)}))
