"""Tasks whose every run is in Phlower's history. How to run them: README.md beside this file."""
import os
import random
import time

from celery import Celery

import phlower_celery

app = Celery("tasks", broker=os.environ.get("BROKER", "redis://127.0.0.1:6379/0"),
             backend=os.environ.get("BACKEND", "redis://127.0.0.1:6379/1"))
phlower_celery.install(app, config=os.environ.get("PHLOWER_CONFIG", "phlower.yaml"))


@app.task
def pack(order, weight_kg=1.0):
    time.sleep(random.uniform(0.01, 0.05))
    return f"{order}: {weight_kg} kg"


@app.task(bind=True, max_retries=3)
def charge(self, order, card):
    try:
        if card == "empty" or random.random() < 0.3:
            raise ConnectionError(f"the bank does not answer for order {order}")
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0.2)
    return "paid"


if __name__ == "__main__":
    for number in range(20):
        pack.delay(number, weight_kg=number / 4)
        charge.delay(number, card="empty" if number % 7 == 6 else "full")
    print("sent 40 tasks")
