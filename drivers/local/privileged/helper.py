"""The program that sudo runs: root's part of local machines, and nothing else.

It reads requests and answers them, several at once, until its input ends: then it ends at once, as the whole client
would have if it were root's, whatever it was doing. Nothing of its environment or its command line has an effect, but
who called it (``SUDO_UID``).
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from typing import Any, BinaryIO

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MOST_CALLS = 64
"""At once."""


def main() -> None:
    """Serve the calls on standard input."""
    environ = dict(os.environ)
    os.environ.clear()  # before any module of ours reads it
    os.environ.update({"PATH": PATH, "LANG": "C.UTF-8"})
    os.umask(0o022)
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the client decides what Ctrl-C means, and ends us by ending
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)  # what a program prints must not get between the messages
    Helper(answers, environ).serve(requests)
    os._exit(0)


class Helper:
    """Calls in progress, and the way back."""

    def __init__(self, output: BinaryIO, environ: dict[str, str]) -> None:
        self._output = output
        self._environ = environ
        self._sending = threading.Lock()
        self._calls: dict[int, Call] = {}

    def send(self, message: dict[str, Any]) -> None:
        """One message; when nobody listens any more the work ends here."""
        from pymachine.drivers.local.privileged.wire import encode

        try:
            with self._sending:
                self._output.write(encode(message))
        except OSError:
            os._exit(1)

    def serve(self, requests: BinaryIO) -> None:
        """Greet, then read until the end."""
        from pymachine.drivers.local.privileged.wire import LONGEST_LINE, PROTOCOL, decode

        self.send({"hello": PROTOCOL})
        while line := requests.readline(LONGEST_LINE + 1):
            try:
                message = decode(line)
                self._dispatch(message)
            except ValueError:
                return

    def _dispatch(self, message: dict[str, Any]) -> None:
        number = message.get("call")
        if type(number) is not int:
            raise ValueError("a message without the number of its call")
        call = self._calls.get(number)
        if call is not None:
            call.answers.put(str(message.get("answer", "no answer")))
        elif "answer" not in message:  # else to a call that has ended
            if len(self._calls) >= MOST_CALLS:
                raise ValueError("too many calls at once")
            self._calls[number] = call = Call(self, number)
            threading.Thread(target=self._run, args=(call, message), daemon=True).start()

    def _run(self, call: Call, message: dict[str, Any]) -> None:
        from pymachine.drivers.local.privileged.requests import parse
        from pymachine.drivers.local.privileged.rights import Caller
        from pymachine.drivers.local.privileged.wire import error_to_json
        from pymachine.drivers.local.privileged.work import perform

        try:
            end: dict[str, Any] = {"done": perform(parse(message), call, Caller.of(self._environ))}
        except Exception as error:
            end = {"error": error_to_json(error)}
        del self._calls[call.number]
        self.send({"call": call.number, **end})


class Call:
    """One call: the `Line` of its work."""

    def __init__(self, helper: Helper, number: int) -> None:
        self.number = number
        self.answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._helper = helper

    def tell(self, text: str) -> None:
        """Progress."""
        self._helper.send({"call": self.number, "tell": text})

    def ask(self, what: str, **facts: Any) -> None:
        """Let the client note something, and wait until it has."""
        from pymachine.machine.errors import DriverError

        self._helper.send({"call": self.number, "ask": what, **facts})
        if problem := self.answers.get():
            raise DriverError(problem)


if __name__ == "__main__":
    main()
