"""Calls the tasks of a service and prints what is in the database of each call, as Celery writes it: rows.py SERVICE FOLDER

What differs with every call is left out: ids, times, processes.
"""
import json
import os
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy as sa
from celery import chain, group

from calc import app

SERVICE, FOLDER = sys.argv[1:]
ENGINE = sa.create_engine(os.environ["RESULTS"].removeprefix("db+"))
TERMINAL = ["SUCCESS", "FAILURE", "REVOKED"]


def task(name, *args, **kwargs):
    return app.signature(f"{SERVICE}.{name}", args=args, kwargs=kwargs)


def decoded(value):
    if value is None:
        return None
    value = bytes(value)
    found = pickle.loads(value) if value[:1] == b"\x80" else json.loads(value)
    # Every service has a folder of its own.
    return json.loads(json.dumps(found).replace(FOLDER, "FOLDER"))


def looked(id):
    with ENGINE.connect() as connection:
        found = connection.execute(sa.text("SELECT * FROM celery_taskmeta WHERE task_id = :id"), {"id": id})
        return found.mappings().first()


def row(id, until=TERMINAL, seconds=60):
    """The row of a task, once it is in one of these states."""
    end = time.monotonic() + seconds
    found = looked(id)
    while (found is None or found["status"] not in until) and time.monotonic() < end:
        time.sleep(0.05)
        found = looked(id)
    if found is None:
        return None
    row = dict(found)
    for column in ["result", "children", "args", "kwargs", "stamps"]:
        row[column] = decoded(row[column])
    if row["stamps"]:
        row["stamps"]["stamped_headers"].sort()
    del row["id"], row["task_id"]
    row["worker"] = row["worker"] is not None
    row["date_done"] = row["date_done"] is not None
    row["traceback"] = type(row["traceback"]).__name__
    if row["children"]:
        # The first id alone is known: the others follow from it, or from chance.
        row["children"] = [[[None, parent], None if members is None else len(members)] for [[_, parent], members] in row["children"]]
    return row


def some(row, *columns):
    return row and {column: row[column] for column in columns}


def unknown(id, seconds=10):
    """The same of one that a Python worker rejects, which the platform tells, before it writes why."""
    end = time.monotonic() + seconds
    found = row(id)
    while found["result"]["exc_type"] == "Reject" and time.monotonic() < end:
        time.sleep(0.05)
        found = row(id)
    return found


def plain():
    yield "by position", row(task("add", 2, 3).delay().id)
    yield "by keyword", row(task("add", x=4, y=5).delay().id)
    stamped = task("add", 7, 8)
    stamped.stamp(tag="abc", more=["d", "e"])
    yield "stamped", row(stamped.delay().id)
    yield "umlauts", row(task("note", "Grüße 🚂", str(Path(FOLDER, "notes"))).delay().id)


def failing():
    yield "builtin exception", row(task("fail", "ValueError", "nope").delay().id)
    yield "own exception", row(task("fail", "Custom", "mine").delay().id)
    # Of one of these Celery writes no more.
    yield "unknown", some(unknown(task("no_such_task").delay().id), "status", "result")
    late = task("add", 1, 2).apply_async(expires=0.2, countdown=1)
    yield "expired", some(row(late.id), "status", "result", "name")


def retried():
    twice = task("flaky", 2).delay()
    # Celery counts the next attempt as a child, and the row of ours has the key of that already.
    yield "while it is retried", some(row(twice.id, until=["RETRY"]), "status", "result", "args", "worker")
    yield "retried", row(twice.id)


def ignored():
    yield "result ignored", row(task("add", 1, 1).apply_async(ignore_result=True).id, seconds=2)


def following():
    linked = task("add", 1, 2).apply_async(link=task("add", 3))
    yield "linked", row(linked.id)
    several = task("add", 1, 2).apply_async(link=[task("add", 3), task("add", 4)])
    yield "several links", row(several.id)
    result = chain(task("add", 1, 1), task("add", 4), task("add", 8)).delay()
    yield "chain", [row(step.id) for step in [result, result.parent, result.parent.parent]]
    failed = task("fail", "ValueError", "x").set(immutable=True)
    result = chain(task("add", 1, 1), failed, task("add", 1), task("add", 2)).delay()
    yield "broken chain", [row(step.id) for step in [result, result.parent, result.parent.parent]]
    result = chain(task("add", 1, 1), group(task("add", 1), task("add", 2))).delay()
    yield "group as the last step", row(result.parent.id)


def progressing():
    file = str(Path(FOLDER, "go on"))
    result = task("count", 7, file).delay()
    yield "in progress", row(result.id, until=["PROGRESS"])
    Path(file).touch()
    yield "done", row(result.id)


CASES = [failing, retried, following, progressing, ignored]
# Once there is a worker. From then on all wait most of the time.
found = dict(plain())
with ThreadPoolExecutor(len(CASES)) as threads:
    for cases in threads.map(lambda cases: list(cases()), CASES):
        found.update(cases)
print(json.dumps(found))
