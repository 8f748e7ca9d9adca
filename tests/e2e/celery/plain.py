"""An application without any settings."""
import os

from celery import Celery

app = Celery("plain", broker=os.environ["AMQP_URL"])
