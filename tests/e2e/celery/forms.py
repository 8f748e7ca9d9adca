"""Sends one sum in every form that Celery has for a message, and prints {form: id} as JSON."""
import json
import os

import counterfoil
from celery import Celery


def application(**more):
    app = Celery("forms", set_as_current=False)
    app.config_from_object(counterfoil.settings(broker_url=os.environ["AMQP_URL"]))
    app.conf.update(more)
    return app


new, old = application(), application(task_protocol=1)


def send(app, *args, **options):
    return app.send_task("demo.add", args, **options).id


print(
    json.dumps(
        {
            "protocol 1": send(old, 2, 3),
            "protocol 1, delayed": send(old, 2, 3, countdown=1),
            "gzip": send(new, 2, 3, compression="gzip"),
            "bzip2": send(new, 2, 3, compression="bzip2"),
            "lzma": send(new, 2, 3, compression="lzma"),
            "pickle": send(new, 2, 3, serializer="pickle"),
            "pickle, protocol 1": send(old, 2, 3, serializer="pickle"),
        }
    )
)
