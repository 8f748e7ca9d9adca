"""A Celery producer on counterfoil's topology: nothing but settings."""
import os

import counterfoil
from celery import Celery

app = Celery("platform")
app.config_from_object(counterfoil.settings(broker_url=os.environ["AMQP_URL"]))
