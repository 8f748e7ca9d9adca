"""An application that only sends: calls chords, and prints their results as JSON."""
import json
import os

import counterfoil
from celery import Celery, chord

app = Celery("sender")
app.config_from_object(
    counterfoil.settings(broker_url=os.environ["AMQP_URL"], result_backend=os.environ["RESULTS"])
)


def task(name, *args):
    return app.signature(name, args=args)


print(
    json.dumps(
        [
            chord([task("calc.add", 1, 1), task("pycalc.add", 2, 2)], task(f"{service}.total")).delay().get(timeout=60)
            for service in ("calc", "pycalc")
        ]
    )
)
