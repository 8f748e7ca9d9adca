"""For pytest: Celery's integration tests with one worker that runs elsewhere, in the place of one that they start."""
import contextlib
import os
import time
from pathlib import Path

from celery.app import control
from celery.contrib.testing import worker


@contextlib.contextmanager
def elsewhere(app, **_):
    """Tells who starts the worker which process this is, and waits until that is done."""
    Path(os.environ["TESTS_PID"]).write_text(str(os.getpid()), encoding="ascii")
    while not Path(os.environ["WORKER_IS_READY"]).exists():
        time.sleep(0.05)
    yield None


worker.start_worker = elsewhere

# Each test asks whether the worker is idle. There is one, so nobody has to wait whether others answer too.
asking = control.Inspect.__init__


def ask_one(self, *args, **kwargs):
    asking(self, *args, **kwargs)
    self.limit = self.limit or 1


control.Inspect.__init__ = ask_one
