"""Jobs for threads that begin, and wait until a test lets them go on."""

import asyncio
import threading


class GatedJob:
    """A job that begins, and waits until it is let go on."""

    def __init__(self) -> None:
        self._begun, self._opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self._begun.set()
        self._opened.wait()

    async def has_begun(self) -> None:
        """Wait until a thread runs it, and until the event loop has told callers what was reported before."""
        await asyncio.to_thread(self._begun.wait)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def go_on(self) -> None:
        self._opened.set()


class GatedJobs:
    """Makes such jobs. ``close`` lets all of them go on, so that no thread is left waiting."""

    def __init__(self) -> None:
        self._made: list[GatedJob] = []

    def make(self) -> GatedJob:
        """One more job."""
        self._made.append(GatedJob())
        return self._made[-1]

    def close(self) -> None:
        """Let every job go on."""
        for job in self._made:
            job.go_on()
