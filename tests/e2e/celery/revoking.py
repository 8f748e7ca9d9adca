"""Revokes tasks of a service in every way, and prints what becomes of them as JSON: revoking.py SERVICE NODE FOLDER"""
import json
import sys
import time
from pathlib import Path

from calc import app

SERVICE, NODE, FOLDER = sys.argv[1:]


def send(name, *args, **options):
    return app.send_task(f"{SERVICE}.{name}", args, **options)


def told(answers, **names):
    """What the node said, with ids by their names."""
    [text] = [one[NODE]["ok"] for one in answers if NODE in one]
    for name, result in names.items():
        text = text.replace(result.id, name)
    return text


def outcome(result):
    try:
        return {"value": result.get(timeout=60), "state": result.state}
    except Exception as error:
        return {"error": type(error).__name__, "args": list(error.args), "state": result.state}


def inspect(what):
    return getattr(app.control.inspect(destination=[NODE], timeout=3), what)()[NODE]


def until(look):
    end = time.monotonic() + 60
    while not look():
        if time.monotonic() > end:
            sys.exit("it takes too long")


files = [Path(FOLDER, f"{SERVICE}-{place}") for place in range(2)]
running = [send("count", place, str(file)) for place, file in enumerate(files)]
until(lambda: len(inspect("active")) == 2)
said = {}
late, stamped = send("add", 1, 2), send("add", 3, 4, stamped_headers=["mid"], mid="x1")
other = send("add", 5, 6, stamped_headers=["mid"], mid="x2")
said["by id"] = told(app.control.revoke(late.id, reply=True, timeout=3), late=late)
# What runs goes on.
said["running"] = told(app.control.revoke([running[0].id], reply=True, timeout=3), it=running[0])
said["unknown"] = told(app.control.terminate("no-such-id", reply=True, timeout=3))
said["by stamp"] = told(app.control.revoke_by_stamped_headers({"mid": ["x1"]}, reply=True, timeout=3))
said["nobody"] = told(
    app.control.revoke_by_stamped_headers({"mid": ["x3"]}, terminate=True, reply=True, timeout=3)
)
known = inspect("revoked")
said["known"] = [late.id in known, running[0].id in known, other.id in known]
for file in files:
    file.touch()
for name, result in [("late", late), ("stamped", stamped), ("other", other)]:
    said[name] = outcome(result)
said["went on"] = [outcome(result) for result in running]
# Revoked before anybody has it.
early = "early-" + SERVICE
app.control.revoke(early, reply=True, timeout=3)
said["early"] = outcome(send("add", 7, 8, task_id=early))
print(json.dumps(said))
