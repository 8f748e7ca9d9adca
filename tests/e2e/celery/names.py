"""Tasks under every kind of name and address, beside a prefix or not. As a program it sends them: names.py LEDGER"""
import os
import sys

import counterfoil
from celery import Celery

PREFIX = os.environ["PREFIX"]
app = Celery("names")
app.config_from_object(
    counterfoil.settings(
        broker_url=os.environ["AMQP_URL"],
        services=["mail"],
        routes={"tasks.greet": "mail"},
        queue_prefix=PREFIX,
    )
)


def note(ledger, what):
    with open(ledger, "a", encoding="utf-8") as file:
        file.write(f"{what}\n")


@app.task(name="mail.welcome")
def welcome(ledger, what):
    note(ledger, what)


@app.task(name="tasks.greet")
def greet(ledger, what):
    note(ledger, what)


@app.task(bind=True, name="mail.flaky")
def flaky(self, ledger, what):
    note(ledger, f"{what} {self.request.retries}")
    if self.request.retries < 2:
        # The second has no wait, though it comes back from the delay levels.
        raise self.retry(countdown=1 - self.request.retries)


if __name__ == "__main__":
    ledger = sys.argv[1]
    welcome.delay(ledger, "plain")
    welcome.apply_async([ledger, "delayed"], countdown=1)
    welcome.apply_async([ledger, "by queue"], queue=PREFIX + "mail")
    welcome.apply_async([ledger, "by queue, delayed"], queue=PREFIX + "mail", countdown=1)
    welcome.apply_async([ledger, "by key"], routing_key="mail.urgent")
    greet.delay(ledger, "by route")
    greet.apply_async([ledger, "by route and queue"], queue=PREFIX + "mail")
    flaky.delay(ledger, "retried")
    app.send_task("celery.accumulate", [1, 2])
