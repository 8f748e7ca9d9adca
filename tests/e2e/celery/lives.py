"""Sends tasks of a service that end in every way, and prints {case: id} as JSON: lives.py SERVICE"""
import json
import os
import sys

from calc import app

PRINTED = {"a": [1.50, None, True, "it's"], "b": [[[[1]]]], "c": "x" * 2000, "d": 1e-7}
CASES = {
    "succeeds": ("add", [2, 3], {}),
    "fails": ("fail", ["ValueError", "it's\ngone"], {}),
    "is retried": ("flaky", [1], {}),
    "is rejected": ("fail", ["Reject", "not this one"], {}),
    # As one that expired on its way: Celery would not even send it.
    "is revoked": ("add", [1, 1], {"headers": {"expires": "2020-01-01T00:00:00+00:00"}}),
    "prints much": ("note", [PRINTED, os.devnull], {}),
    "has secrets": ("add", [4, 4], {"argsrepr": "(***)", "kwargsrepr": "{***}", "shadow": "sum"}),
}


def send(name, args, options):
    return app.send_task(f"{sys.argv[1]}.{name}", args, **options).id


print(json.dumps({case: send(*how) for case, how in CASES.items()}))
