"""A worker of the service `mail` with our settings, on the same topology."""
import os

import counterfoil
from celery import Celery

app = Celery("mail")
app.config_from_object(counterfoil.settings(broker_url=os.environ["AMQP_URL"], services=["mail"]))
