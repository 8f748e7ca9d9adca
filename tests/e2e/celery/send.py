"""Sends one task of every kind and prints {what: id} as JSON."""
import json
import sys

from app import app


def send(name, args=(), kwargs=None, **options):
    # No queue of Celery's own: routing is the exchange's business.
    return app.send_task(name, args=args, kwargs=kwargs or {}, **options).id


if sys.argv[1] == "early":
    ids = {"short_lived": send("demo.add", [1, 1], expires=1)}
else:
    ids = {
        "by_position": send("demo.add", [2, 3]),
        "by_keyword": send("demo.add", kwargs={"x": 4, "y": 5}),
        "mixed": send("demo.add", [6], {"y": 7}),
        "with_expires": send("demo.add", [8, 9], expires=3600),
        "unknown": send("demo.no_such_task", ["a"], {"b": 1}),
        "wrong_argument": send("demo.add", kwargs={"x": 1, "colour": "red"}),
        "no_service": send("nobody.listens", [1], {"deep": {"list": [1, 2.5, None, "ü"]}}),
    }
print(json.dumps(ids))
