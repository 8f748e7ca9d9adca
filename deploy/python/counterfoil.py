"""Settings with which a Celery application lives on counterfoil's exchanges and queues. Copy this file beside it.

    from celery import Celery
    import counterfoil

    app = Celery("shop")
    app.config_from_object(counterfoil.settings(broker_url="amqp://…", services=["mail"]))

The application sends tasks of any service: the first word of a task's name is the service, and the platform learns
of every task. With `services`, its workers run the tasks of these, alone or beside workers in Rust. No queue of a
service is declared and nothing bound by it: `counterfoil init` or `counterfoil topology apply` has done that before,
the levels in which delayed tasks wait included. Made for Celery 5.5 and newer, on RabbitMQ. Whatever else an
application sets, it sets afterwards: `app.conf.timezone = "Europe/Berlin"`.
"""

import re

from kombu import Exchange, Queue

__all__ = ["settings"]

# A task that waited at the broker has the 28 bits of its delay in front of its key.
DELAY = re.compile(r"^(?:[01]\.){28}")


class _Exchange(Exchange):
    """One that counterfoil declared and bound."""

    def bind_to(self, *args, **kwargs):
        """Nothing. Celery's worker would bind the way out of the delay levels to it by `#.<service>.#`: every
        delayed task would be tracked twice, and tasks of other services run here whose names have the word."""


class _Queue(Queue):
    """One that counterfoil declared and bound."""

    def bind_to(self, *args, **kwargs):
        """Nothing: see above."""


def settings(*, broker_url=None, services=(), result_backend=None, routes=None, exchange="task_exchange", queue_prefix=""):
    """The settings, as a dictionary.

    broker_url: as in Celery. None: whatever else says it, `Celery(broker=…)` or the variable CELERY_BROKER_URL.
    services: those whose tasks workers of this application run. Without any, it only sends.
    result_backend: "rpc://" or "db+postgresql://…", for `AsyncResult.get()` and what needs it. None: results are
        ignored. Workers in Rust answer by rpc://, and in the platform's database where `sync.celery_results` says so.
    routes: the service of each task whose name does not begin with it, {"tasks.add": "calc"}.
    exchange, queue_prefix: `exchange` and `queue_prefix` under `[broker]` in counterfoil's configuration. Celery
        knows one set of delay levels only, so with a prefix delayed tasks wait in a worker instead of at the broker.
    """
    by_name = dict(routes or {})
    tasks = queue_prefix + exchange
    inner = {tasks + ".work", tasks + ".requeue", queue_prefix + "celery_delayed_delivery"}
    # What follows asks for a type where it might delay a task: only of a direct exchange it does not.
    kind = "direct" if queue_prefix else "topic"
    queues = {service: _queue(service, tasks, queue_prefix) for service in services}

    def service_of(name):
        service = by_name.get(name, name.partition(".")[0])
        # What every Celery worker has, such as celery.map and celery.chord_unlock, is for workers of this one.
        return next(iter(queues)) if queues and service == "celery" and "celery" not in queues else service

    def key_of(name):
        service = service_of(name)
        return name if name == service or name.startswith(service + ".") else f"{service}.{name}"

    def route(name, args, kwargs, options, task=None, **more):
        """The name of the task is the key, unless its sender gives one."""
        if "result" in options:
            # So Celery asks where the body of a chord goes, for a queue from which its workers run chord_unlock.
            queue = queues.get(service_of(name)) or next(iter(queues.values()), None)
            return {"queue": queue} if queue else None
        queue = options.get("queue")
        if isinstance(queue, _Queue):
            options.pop("queue")
            if queues:
                options["routing_key"] = key_of(name) if queues.get(service_of(name)) is queue else queue.routing_key
            else:
                # Celery's default, of an application that only sends: nobody reads it.
                queue = None
                options.pop("routing_key", None)
        if name == "celery.chord_unlock" and not queue:
            # Whoever runs the body of a chord waits for its header, too.
            name = _first(args[1]) or name
        # A retry names the exchange that it came out of, and a key with its old delay: it begins anew.
        if options.get("exchange") in inner:
            options.pop("exchange")
        key = DELAY.sub("", options.pop("routing_key", None) or key_of(name), count=1)
        return {"exchange": tasks, "exchange_type": kind, "routing_key": key}

    return {
        **({"broker_url": broker_url} if broker_url else {}),
        **({"result_backend": result_backend} if result_backend else {}),
        "task_ignore_result": not result_backend,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "task_protocol": 2,
        "task_default_exchange": tasks,
        "task_default_exchange_type": "topic",
        "task_routes": route,
        "task_queues": list(queues.values()) or [_queue("celery", tasks, queue_prefix)],
        "task_default_queue": queue_prefix + next(iter(queues), "celery"),
        # A name that is misspelt is an error, and no new queue that nobody reads.
        "task_create_missing_queues": False,
        # Without it a send returns before the broker has the task, which may be lost unnoticed.
        "broker_transport_options": {"confirm_publish": True},
        "broker_connection_retry_on_startup": True,
        # Acknowledged when it is done: a worker that dies leaves the task to another.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # So the platform learns what becomes of the tasks; see `sync.celery_services`.
        "worker_send_task_events": True,
        "event_exchange": queue_prefix + "celeryev",
    }


def _first(signature):
    """The name of the first task that a signature calls. None: it calls one of Celery's own."""
    name = signature["task"]
    within = signature["kwargs"].get("tasks") or signature["kwargs"].get("header") or []
    within = within["kwargs"]["tasks"] if isinstance(within, dict) else within
    if name.startswith("celery."):
        return _first(within[0]) if within else None
    return name


def _queue(service, exchange, prefix):
    """The queue of a service, as it stands."""
    return _Queue(
        prefix + service,
        exchange=_Exchange(exchange, type="topic", no_declare=True),
        routing_key=service,
        no_declare=True,
        # Celery asks these, and not the broker, whether it is a quorum queue: then tasks may wait at the broker.
        queue_arguments={"x-queue-type": "quorum"},
    )
