"""Calls the tasks of a service in every way, and prints what comes of each as JSON: calls.py SERVICE FOLDER [OTHER]

With OTHER, every second task of a chain or group is one of that service.
"""
import itertools
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

from celery import chain, group
from celery.exceptions import TimeoutError
from celery.utils import uuid

from calc import app

SERVICE, FOLDER, *OTHER = sys.argv[1:]
TURNS = threading.local()


def service():
    """One of the services, in turn, whatever others call at the same time."""
    return next(TURNS.services)


def task(name, *args, **kwargs):
    return app.signature(f"{service()}.{name}", args=args, kwargs=kwargs)


def state_of(result):
    return getattr(result, "state", "of a group")


def outcome(result, timeout=60):
    try:
        return {"value": result.get(timeout=timeout, interval=0.25), "state": state_of(result)}
    except TimeoutError:
        return {"state": state_of(result)}
    except Exception as error:
        return {
            "error": type(error).__name__,
            "args": [str(arg) for arg in error.args],
            "traceback": type(getattr(result, "traceback", None)).__name__,
            "state": state_of(result),
        }


def unknown(result):
    """The same of a task that a Python worker rejects, which the platform may tell, before it writes why."""
    end = time.monotonic() + 10
    found = outcome(result)
    while found.get("error") == "Reject" and time.monotonic() < end:
        time.sleep(0.05)
        found = outcome(app.AsyncResult(result.id))
    return found


def noted(name, line):
    """What was noted in a file, once that line was."""
    file = Path(FOLDER, name)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        if line in lines:
            return sorted(lines)
        time.sleep(0.05)
    return lines


def file(name):
    return str(Path(FOLDER, name))


def plain():
    yield "by position", outcome(task("add", 2, 3).delay())
    yield "by keyword", outcome(task("add", x=4, y=5).delay())
    yield "in time", outcome(task("add", 1, 4).apply_async(expires=60))


def timed():
    yield "delayed", outcome(task("add", 1, 2).apply_async(countdown=1))
    ignored = task("add", 1, 1).apply_async(ignore_result=True)
    at = datetime.now(timezone(timedelta(hours=1))) + timedelta(seconds=2)
    yield "at a time", outcome(task("add", 1, 3).apply_async(eta=at))
    # By now it would be there.
    yield "result ignored", outcome(ignored, timeout=0.5)


def failing():
    yield "builtin exception", outcome(task("fail", "ValueError", "nope").delay())
    yield "own exception", outcome(task("fail", "Custom", "mine").delay())
    yield "unknown", unknown(task("no_such_task").delay())
    # By name only, or the caller's own Python would refuse it.
    wrong = outcome(app.send_task(f"{service()}.add", [1], {"colour": "red"}))
    yield "bad arguments", {"error": wrong["error"], "state": wrong["state"]}


def retried():
    yield "retried", outcome(task("flaky", 1).delay())
    yield "retried step", outcome(chain(task("flaky", 1), task("add", 10)).delay())


def following():
    result = task("add", 1, 2).apply_async(link=task("note", file("link")))
    yield "linked", outcome(result)
    yield "linked, noted", noted("link", "3")
    links = [task("note", file("links")), task("add", 10) | task("note", file("links"))]
    yield "several links", outcome(task("add", 2, 2).apply_async(link=links))
    yield "several links, noted", noted("links", "14")
    failed = task("fail", "ValueError", "x").apply_async(link_error=task("note", file("errback")))
    yield "failed with an errback", outcome(failed)
    yield "errback got the id", noted("errback", failed.id) == [failed.id]


def chained():
    result = chain(task("add", 1, 1), task("add", 4), task("add", 8)).delay()
    yield "chain", outcome(result)
    yield "steps of the chain", [outcome(result.parent), outcome(result.parent.parent)]
    result = chain(task("add", 1, 1), task("fail", "ValueError", "x").set(immutable=True), task("add", 1)).delay()
    yield "broken chain", outcome(result)
    yield "step that broke it", outcome(result.parent)
    immutable = task("add", 5, 5)
    immutable.set(immutable=True)
    yield "immutable step", outcome(chain(task("add", 1, 1), immutable).delay())


def delayed():
    result = chain(task("add", 1, 1), task("add", 1).set(countdown=1)).delay()
    yield "delayed step", outcome(result)


def grouped():
    yield "group", outcome(group(task("add", n, n) for n in range(5)).delay())
    inner = chain(task("add", 1, 1), task("add", 2))
    yield "chain in a group", outcome(group(inner, task("add", 5, 5)).delay())
    result = chain(task("add", 1, 1), group(task("add", 1), task("add", 2))).delay()
    yield "group as the last step", outcome(result)
    nested = chain(task("add", 1, 1), group(task("add", 1), chain(task("add", 2), task("add", 3)))).delay()
    yield "chain in a group as the last step", outcome(nested)
    yield "a member fails", outcome(group(task("add", 1, 1), task("fail", "ValueError", "x")).delay())


def stamped():
    result = chain(task("add", 1, 1), task("add", 2))
    result.stamp(tag="abc")
    yield "stamped chain", outcome(result.delay())


def builtin():
    first = service()
    for name, of, items in [("map", "total", [[1, 2], [3, 4]]), ("starmap", "add", [[1, 2], [3, 4]])]:
        inner = {"task": f"{first}.{of}", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
        sent = app.send_task(f"celery.{name}", kwargs={"task": inner, "it": items}, routing_key=first)
        yield name, outcome(sent)
    inner = {"task": f"{first}.add", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
    sent = app.send_task("celery.chunks", kwargs={"task": inner, "it": [[1, 2], [3, 4], [5, 6]], "n": 2}, routing_key=first)
    (_, children), state = sent.get(timeout=60, interval=0.25), sent.state
    yield "chunks", {"children": len(children), "state": state}
    sent = app.send_task("celery.accumulate", [1, 2, 3], {"index": 1}, routing_key=first)
    yield "accumulate", outcome(sent)


def calling():
    """Groups and chains as tasks of their own."""
    service, id = next(TURNS.services), uuid()
    # Whoever calls a task in a task is told, unless it says who else is.
    options = [{"task_id": uuid(), "reply_to": app.thread_oid} for _ in range(2)]
    tasks = [app.signature(f"{service}.add", args=[n], options=option) for n, option in enumerate(options)]
    result = [[id, None], [[[option["task_id"], None], None] for option in options]]
    sent = app.send_task("celery.group", [tasks, result, id, [10]], routing_key=service)
    yield "group as a task", sent.get(timeout=60) == result
    yield "its members", [outcome(app.AsyncResult(option["task_id"])) for option in options]
    yield "chain as a task", outcome(app.send_task("celery.chain", routing_key=service))
    yield "cleanup", outcome(app.send_task("celery.backend_cleanup", routing_key=service))


def progressing():
    result = task("count", 7, file("go on")).delay()
    end = time.monotonic() + 60
    while result.state == "PENDING" and time.monotonic() < end:
        time.sleep(0.05)
    yield "in progress", {"state": result.state, "info": result.info}
    Path(file("go on")).touch()
    yield "done", outcome(result)


CASES = [timed, failing, retried, following, chained, delayed, grouped, stamped, builtin, calling, progressing]
if os.environ.get("WITHOUT_PROGRESS"):
    CASES.remove(progressing)


def run(cases):
    TURNS.services = itertools.cycle([SERVICE, *OTHER])
    return list(cases())


# Once there is a worker. From then on all wait most of the time.
found = dict(run(plain))
with ThreadPoolExecutor(len(CASES)) as threads:
    for cases in threads.map(run, CASES):
        found.update(cases)
print(json.dumps(found))
