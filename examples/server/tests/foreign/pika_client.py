"""Submits a job through a queue by PyPI's `pika`, follows it over the broker, and prints each event's JSON.

Usage: pika_client.py BROKER EXCHANGE JOBS_QUEUE SUBMISSION
"""

import json
import sys

import pika

broker, exchange, jobs, submission = sys.argv[1:]
with pika.BlockingConnection(pika.URLParameters(broker)) as connection:
    channel = connection.channel()

    # Bound before the job is there, so that none of its events is missed.
    events = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(events, exchange, json.loads(submission)["kind"] + ".#")
    replies = channel.queue_declare("", exclusive=True).method.queue

    properties = pika.BasicProperties(reply_to=replies, correlation_id="ours", delivery_mode=2)
    channel.basic_publish("", jobs, submission.encode(), properties)
    for _, properties, body in channel.consume(replies, auto_ack=True):
        assert properties.correlation_id == "ours", properties
        job = json.loads(body)["id"]
        break
    channel.cancel()

    for method, _, body in channel.consume(events):
        channel.basic_ack(method.delivery_tag)
        event = json.loads(body)
        if event["job"] == job:
            print(body.decode())
            if event["type"] in ("succeeded", "failed", "cancelled"):
                break
