#!/usr/bin/env python3
"""phlower-agent against Celery's own event receiver: events/s from the same Redis, in the same run.

agent_bench.py AGENT LIBRARY CAPTURE [--events N] [--rate EVENTS_PER_S] [--seconds S]

The capture's tasks, again and again with new ids. First each receiver in turn is stopped while the
events are published, then goes on: how long it takes for them is its rate. Redis's bound on what it
keeps for a subscriber is off for that; the agent gets --events, Celery's receiver a fifth of them, so that
each is busy for some seconds. Then with Redis's own bound, --rate events/s are published
for --seconds, and each of them must arrive. Exit code 1: one did not.
"""
import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/support"))
from agent_rig import AgentRig, Redis, capture_messages, wait_for  # noqa: E402

# app.events.Receiver with one handler for all events: it counts them, and with "state" it keeps what
# it knows of each task in app.events.State, as monitors of Celery do and as the agent does.
RECEIVER = """
import sys, time
from celery import Celery
app = Celery(broker=f"redis://127.0.0.1:{sys.argv[1]}/0")
state = app.events.State() if sys.argv[3] == "state" else None
count = 0
def handle(event):
    global count
    count += 1
    if state: state.event(event)
    if count % 500 == 0 or count == int(sys.argv[2]): print(count, time.monotonic(), flush=True)
with app.connection() as connection:
    receiver = app.events.Receiver(connection, handlers={"*": handle})
    with receiver.consumer_context() as (c, channel, consumers):
        print("ready", flush=True)
        for _ in receiver.consume(limit=None, timeout=None, wakeup=False): pass
"""


def fresh_messages(path, events):
    """Messages with at least so many events, each round of the capture with task ids of its own."""
    parsed = []
    for channel, data in capture_messages(path):
        envelope = json.loads(data)
        parsed.append((channel, envelope, json.loads(base64.b64decode(envelope["body"]))))
    messages, counted, tasks, round_ = [], 0, set(), 0
    while counted < events:
        round_ += 1
        for channel, envelope, body in parsed:
            several = body if isinstance(body, list) else [body]
            for event in several:
                if "uuid" in event:
                    event["uuid"] = f"{round_:08x}" + event["uuid"][8:]
                    if event["type"] != "task-sent":
                        tasks.add(event["uuid"])
            counted += len(several)
            envelope["body"] = base64.b64encode(json.dumps(body).encode()).decode()
            messages.append((channel, json.dumps(envelope)))
            if counted >= events:
                break
    return messages, counted, len(tasks)


def publish_stopped(redis, process, messages):
    os.kill(process.pid, signal.SIGSTOP)
    connection = redis.connection()
    connection.publish(messages)
    connection.close()
    begin = time.monotonic()
    os.kill(process.pid, signal.SIGCONT)
    return begin


def celery_rate(redis, messages, events, kind):
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    words = [python, "-c", RECEIVER, str(redis.port), str(events), kind]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(1)  # it subscribes when it first waits
        begin = publish_stopped(redis, process, messages)
        for line in process.stdout:
            count, at = line.split()
            if int(count) >= events:
                return events / (float(at) - begin)
    finally:
        process.kill()
        process.wait()
    raise SystemExit("the receiver of Celery ended early")


def started(arguments, redis):
    rig = AgentRig(arguments.agent, arguments.library, "")
    rig.engine["ring"]["size"] = "32MiB"
    rig.options["redis"] = {"url": f"redis://127.0.0.1:{redis.port}/0"}
    rig.options["celery"] = {"in_flight_max": 1000000}
    process = rig.start().process
    wait_for("the subscription", lambda: rig.metric("phlower_agent_connected", "redis") == 1)
    return rig, process


def agent_rate(arguments, redis, messages, events):
    rig, process = started(arguments, redis)
    try:
        begin = publish_stopped(redis, process, messages)
        wait_for("all events", lambda: rig.metric("phlower_agent_events_total", "redis") >= events, 600)
        taken = time.monotonic() - begin
        wait_for("all records", lambda: rig.metric("phlower_ring_unread_records") == 0, 600)
        committed = time.monotonic() - begin
        counts = {name: int(rig.metric(f"phlower_{name}_total", source)) for name, source in
                  (("agent_records_accepted", "redis"), ("agent_records_refused", "redis"), ("shed", None))}
        return events / taken, committed - taken, counts
    finally:
        rig.close()


def paced(arguments, redis, messages, events):
    rig, _ = started(arguments, redis)
    try:
        connection = redis.connection()
        begin = time.monotonic()
        step = 50
        for at in range(0, len(messages), step):
            connection.publish(messages[at:at + step])
            ahead = begin + at * arguments.seconds / len(messages) - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        took = time.monotonic() - begin
        metric = lambda name: int(rig.metric(name, "redis"))  # noqa: E731
        try:
            wait_for("all events", lambda: metric("phlower_agent_events_total") >= events, 30)
        except AssertionError:
            pass
        # Not tasks_missed: the capture's own heartbeats count tasks of which it has no task-started.
        gaps = {name: metric(f"phlower_agent_{name}_total") for name in
                ("connections_lost", "records_refused", "messages_bad")}
        gaps["events_missing"] = events - metric("phlower_agent_events_total")
        return events / took, gaps, rig.json("/healthz")[1]
    finally:
        rig.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("agent")
    parser.add_argument("library")
    parser.add_argument("capture")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    messages, events, _ = fresh_messages(arguments.capture, arguments.events)
    few, few_events, _ = fresh_messages(arguments.capture, max(2000, arguments.events // 5))
    rig = AgentRig(arguments.agent, arguments.library, "")
    redis = Redis(rig.dir)
    redis.start()
    try:
        connection = redis.connection()
        connection.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")
        bare = celery_rate(redis, few, few_events, "count")
        theirs = celery_rate(redis, few, few_events, "state")
        ours, later, counts = agent_rate(arguments, redis, messages, events)
        connection.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60")
        print(f"Celery's receiver, counts {bare:10,.0f} events/s")
        print(f"Celery's receiver, State  {theirs:10,.0f} events/s")
        print(f"phlower-agent, to SQLite  {ours:10,.0f} events/s, {ours / bare:.1f} and "
              f"{ours / theirs:.1f} times as many")
        print(f"                          of {counts['agent_records_accepted']:,} records "
              f"{counts['agent_records_refused']:,} lost and {counts['shed']:,} without their details; "
              f"the last one committed {later:.1f} s later")
        messages, events, tasks = fresh_messages(arguments.capture, arguments.rate * arguments.seconds)
        rate, gaps, health = paced(arguments, redis, messages, events)
        print(f"published at              {rate:10,.0f} events/s for {events / rate:.1f} s, {tasks:,} tasks: "
              + ", ".join(f"{name} {value}" for name, value in gaps.items()))
        print(f"                          flush age at most {health['flush_age_max_ms']:.0f} ms")
        return 1 if any(gaps.values()) else 0
    finally:
        redis.stop()
        rig.close()


if __name__ == "__main__":
    sys.exit(main())
