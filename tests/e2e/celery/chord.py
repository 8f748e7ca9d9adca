"""A chord of Python tasks, with a backend in a folder. As a program it calls one, and prints the result."""
import os

import counterfoil
from celery import Celery, chord

app = Celery("chord")
app.config_from_object(
    counterfoil.settings(
        broker_url=os.environ["AMQP_URL"],
        services=["mail"],
        result_backend="file://" + os.environ["RESULTS"],
    )
)


@app.task(name="mail.double")
def double(x):
    return 2 * x


@app.task(name="mail.total")
def total(numbers):
    return sum(numbers)


if __name__ == "__main__":
    print(chord(double.s(n) for n in range(4))(total.s()).get(timeout=60))
