"""Threads that keep a server busy while something happens to it."""
import threading
import time

import requests


class Load:
    """Runs fn(n, api) over and over in `threads` threads, each with a client of its own, until stop(). Outcomes are kept
    as (start, end, what fn returned); what it raises other than a broken connection fails the test at stop()."""

    def __init__(self, api, fn, threads=2, pause=0.0):
        self.outcomes, self.broken, self.errors = [], [], []
        self.lock, self.halt = threading.Lock(), threading.Event()
        self.counter, self.pause = 0, pause
        self.api, self.fn = api, fn
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        mine = self.api.with_key(self.api.key)
        while not self.halt.is_set():
            with self.lock:
                n = self.counter
                self.counter += 1
            start = time.monotonic()
            try:
                value = self.fn(n, mine)
                with self.lock:
                    self.outcomes.append((start, time.monotonic(), value))
            except requests.RequestException as e:
                with self.lock:
                    self.broken.append((start, time.monotonic(), e))
                time.sleep(0.02)
            except Exception as e:  # kept for stop(): a thread cannot fail a test
                with self.lock:
                    self.errors.append(e)
                return
            if self.pause:
                time.sleep(self.pause)

    def stop(self):
        self.halt.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a request hangs"
        if self.errors:
            raise self.errors[0]
        return self.outcomes

    def since(self, moment):
        with self.lock:
            return [value for start, _, value in self.outcomes if start >= moment]
