"""Ends running tasks of a service and prints what becomes of them as JSON: terminating.py SERVICE NODE FOLDER"""
import json
import sys
import time

from calc import app

SERVICE, NODE, FOLDER = sys.argv[1:]


def outcome(result):
    try:
        return {"value": result.get(timeout=20)}
    except Exception as error:
        return {"error": type(error).__name__, "args": list(error.args), "state": result.state}


def answer(answers, result):
    [text] = [one[NODE]["ok"] for one in answers if NODE in one]
    return text.replace(result.id, "it")


def running(**options):
    """A task that runs."""
    result = app.send_task(f"{SERVICE}.count", [1, f"{FOLDER}/never"], **options)
    inspect = app.control.inspect(destination=[NODE], timeout=3)
    end = time.monotonic() + 30
    while result.id not in [task["id"] for task in inspect.active()[NODE]]:
        if time.monotonic() > end:
            sys.exit("it does not run")
    return result


said = {}
result = running()
said["revoke"] = answer(app.control.revoke(result.id, terminate=True, reply=True, timeout=3), result)
said["revoked"] = outcome(result)
result = running()
said["terminate"] = answer(app.control.terminate(result.id, signal="KILL", reply=True, timeout=3), result)
said["terminated"] = outcome(result)
# All nodes hear of it, and none of them forgets it.
stamps = [f"{SERVICE}-a", f"{SERVICE}-b"]
result = running(stamped_headers=["mid"], mid=stamps)
answers = app.control.revoke_by_stamped_headers({"mid": stamps[1]}, terminate=True, reply=True, timeout=3)
said["by stamp"] = answer(answers, result)
said["stamped"] = outcome(result)
print(json.dumps(said))
