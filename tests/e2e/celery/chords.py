"""Calls chords of the tasks of a service, and prints what comes of each as JSON: chords.py SERVICE FOLDER [OTHER]

With OTHER, every second task is one of that service.
"""
import itertools
import json
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from celery import chain, chord, group

from calc import app

SERVICE, FOLDER, *OTHER = sys.argv[1:]
TURNS = threading.local()


def task(name, *args, **kwargs):
    """A task of one of the services, in turn, whatever others call at the same time."""
    return app.signature(f"{next(TURNS.services)}.{name}", args=args, kwargs=kwargs)


def outcome(result):
    # Until it is over: `get` would raise what a task before it raised, if that is known by then.
    end = time.monotonic() + 60
    while not result.ready():
        if time.monotonic() > end:
            return {"state": result.state}
        time.sleep(0.2)
    if result.successful():
        return {"value": result.result, "state": result.state}
    error = result.result
    # The id of the member that failed is another one each time, and Celery does not always find out which it was.
    args = [re.sub(r"^Dependency \S+ raised ", "", str(arg)) for arg in error.args]
    return {"error": type(error).__name__, "args": args, "state": result.state}


def file(name):
    return str(Path(FOLDER, name))


def noted(name, line):
    """Whether that was noted in a file."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if Path(file(name)).exists() and line in Path(file(name)).read_text(encoding="utf-8").splitlines():
            return True
        time.sleep(0.05)
    return False


def plain():
    yield "chord", outcome(chord([task("add", n, n) for n in range(3)], task("total")).delay())


def small():
    yield "of one member", outcome(chord([task("add", 2, 2)], task("total")).delay())


def followed():
    yield "with a step after it", outcome(chain(chord([task("add", n, n) for n in range(3)], task("total")), task("add", 1)).delay())


def ordered():
    yield "ordered", outcome(chord([task("add", n, 0).set(countdown=2 - n) for n in range(3)], task("note", file("order"))).delay())


def failing():
    errback = task("note", file("errback"))
    body = task("total").on_error(errback)
    result = chord([task("add", 1, 1), task("fail", "ValueError", "nope")], body).delay()
    yield "a member fails", outcome(result)
    yield "its errback got the id", noted("errback", result.id)


def failing_chain():
    broken = chain(task("fail", "Custom", "first"), task("add", 1), task("add", 2))
    yield "a chain in the header fails", outcome(chord([task("add", 1, 1), broken], task("total")).delay())


def failing_detours():
    yield "what went on in its place fails", outcome(task("detour", "ValueError", "nope").delay())
    yield "and is waited for", outcome(chord([task("add", 1, 1), task("detour", "ValueError", "nope")], task("total")).delay())


def failing_before():
    result = chain(chord([task("fail", "ValueError", "nope"), task("add", 1, 1)], task("total")), task("add", 1)).delay()
    yield "the step after it", outcome(result)


def failing_group():
    body = group(task("add", 1), task("add", 2).on_error(task("note", file("member"))))
    result = chord([task("add", 1, 1), task("fail", "ValueError", "nope")], body).delay()
    yield "each task of a group that is its body", [outcome(member) for member in result.results]
    yield "its errback got the id of its task", noted("member", result.results[1].id)


def failing_middle():
    broken = chain(task("add", 1, 1), group(task("add", 1), task("fail", "ValueError", "x").set(immutable=True)), task("total")).delay()
    yield "group in the middle of a chain fails", outcome(broken)


def middle():
    result = chain(task("add", 1, 1), group(task("add", 1), task("add", 2)), task("total"), task("add", 10)).delay()
    yield "group in the middle of a chain", outcome(result)


def nested():
    inner = chord([task("add", 1, 1), task("add", 2, 2)], task("total"))
    yield "chord in a chord", outcome(chord([inner, task("add", 3, 3)], task("total")).delay())


def chained():
    steps = chain(task("add", 1, 1), task("add", 2))
    yield "chain in a chord", outcome(chord([steps, task("add", 3, 3)], task("total")).delay())


def ending_in_a_group():
    steps = chain(task("add", 1, 1), group(task("add", 1), task("add", 2)))
    yield "chain that ends in a group", outcome(chord([task("add", 1, 1), steps], task("add", 5, 6).set(immutable=True)).delay())


def long():
    # Longer than what comes before its end may be deep.
    steps = chain(task("add", 1, 1), *(task("add", 1) for _ in range(31)))
    yield "long chain", outcome(chord([steps, task("add", 3, 3)], task("total")).delay())


def calling():
    """A chord as a task of its own."""
    service = next(TURNS.services)
    body = app.signature(f"{service}.total", options={"routing_key": service})
    members = [app.signature(f"{service}.add", args=[n]) for n in range(3)]
    sent = app.send_task("celery.chord", kwargs={"header": members, "body": body, "partial_args": [10]}, routing_key=service)
    (id, _), members = sent.get(timeout=60)
    yield "chord as a task", [members, outcome(app.AsyncResult(id))]


FAILING = [failing, failing_chain, failing_detours, failing_before, failing_group, failing_middle]
CASES = [small, followed, ordered, *FAILING, middle, nested, chained, ending_in_a_group, long, calling]


def run(cases):
    TURNS.services = itertools.cycle([SERVICE, *OTHER])
    return list(cases())


# Once there is a worker. From then on all wait most of the time.
found = dict(run(plain))
with ThreadPoolExecutor(len(CASES)) as threads:
    for cases in threads.map(run, CASES):
        found.update(cases)
print(json.dumps(found))
