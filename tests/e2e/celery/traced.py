"""Celery with OpenTelemetry's instrumentation: sends in a trace, or notes the one that a task came in."""
import os
import sys

from opentelemetry import context, trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

CeleryInstrumentor().instrument()

if __name__ == "__main__":
    from app import app

    context.attach(TraceContextTextMapPropagator().extract({"traceparent": sys.argv[1]}))
    print(app.send_task("demo.tree", kwargs={"width": 1, "depth": 1}).id, end="")
else:
    from worker import app

    @app.task(bind=True, name="pyadd.trace")
    def note(self):
        trace_id = trace.get_current_span().get_span_context().trace_id
        with open(os.environ["RESULTS"], "a", encoding="utf-8") as results:
            results.write(f"{trace_id:032x}\n")
