"""For pytest: Celery's integration tests with a worker that runs elsewhere, in the place of one that they start."""
import contextlib
import os
import time
from pathlib import Path

from celery.contrib.testing import worker


@contextlib.contextmanager
def elsewhere(app, **_):
    """Tells who starts the worker which process this is, and waits until that is done."""
    Path(os.environ["TESTS_PID"]).write_text(str(os.getpid()), encoding="ascii")
    while not Path(os.environ["WORKER_IS_READY"]).exists():
        time.sleep(0.05)
    yield None


worker.start_worker = elsewhere
