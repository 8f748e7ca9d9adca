"""A monitor: prints every event as a line of JSON, with what Celery makes of it."""
import json

from calc import app

state = app.events.State()


def task_of(uuid):
    task = state.tasks[uuid]
    fields = ("name", "state", "args", "kwargs", "result", "runtime", "exception", "retries", "root_id")
    # Of one that was only sent, no worker is known.
    worker = task.worker and task.worker.hostname
    return {field: getattr(task, field) for field in fields} | {"worker": worker}


def worker_of(hostname):
    worker = state.workers.get(hostname)
    fields = ("alive", "active", "processed", "loadavg", "sw_ident", "sw_sys")
    return worker and {field: getattr(worker, field) for field in fields}


def note(event):
    state.event(dict(event))
    line = {"event": event, "worker": worker_of(event["hostname"])}
    if event["type"].startswith("task-"):
        line["task"] = task_of(event["uuid"])
    print(json.dumps(line), flush=True)


with app.connection_for_read() as connection:
    app.events.Receiver(connection, handlers={"*": note}).capture(limit=None, timeout=None)
