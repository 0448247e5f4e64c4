"""Follows a job by PyPI's `httpx-sse` until its stream ends, and prints each event's JSON.

Usage: httpx_sse_client.py URL
"""

import sys

import httpx
from httpx_sse import connect_sse

with httpx.Client(timeout=60, trust_env=False) as client, connect_sse(client, "GET", sys.argv[1]) as source:
    for event in source.iter_sse():
        assert event.id and event.event == event.json()["type"], event
        print(event.data)
