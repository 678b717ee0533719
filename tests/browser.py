"""A headless Chromium to open pages in: the Chrome DevTools protocol over two pipes, without a port.

with Browser(find()) as browser:
    page = browser.open("file:///home/me/runs/digits/report.html")
    page.click("#tab-1")
    page.evaluate("location.hash"), page.errors, page.requests
"""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")

PLACE = (
    "import fcntl, os, sys\n"
    "kept = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]]\n"
    "for number, here in zip(kept, (3, 4)): os.dup2(number, here)\n"
    "os.execv(sys.argv[3], sys.argv[3:])\n"
)
"""Chromium reads commands from descriptor 3 and answers on 4. A program places them, because a fork
within this process is not safe beside JAX's threads."""

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
SECONDS = 60.0


def find():
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A Chromium of its own, with an empty profile; use it as a context manager."""

    def __init__(self, program, size=(1280, 900)):
        self.size, self.program = size, program
        self.number, self.buffer, self.events = 0, b"", []

    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix="browser-")
        theirs_in, self.to = os.pipe()
        self.back, theirs_out = os.pipe()
        flags = [
            *FLAGS,
            f"--user-data-dir={self.profile}",
            f"--window-size={self.size[0]},{self.size[1]}",
        ]
        pipes = [str(theirs_in), str(theirs_out)]
        command = [self.program, *flags, "--remote-debugging-pipe"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PLACE, *pipes, *command],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (OSError, EOFError, TimeoutError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.back)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, session=None, **params):
        """The result of a command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        answer = self.until(lambda found: found.get("id") == self.number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def until(self, wanted):
        """The first message that is wanted; all others are kept as events."""
        deadline = time.monotonic() + SECONDS
        while True:
            while b"\0" in self.buffer:
                text, _, self.buffer = self.buffer.partition(b"\0")
                message = json.loads(text)
                self.events.append(message)
                if wanted(message):
                    return message
            if not select.select([self.back], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            read = os.read(self.back, 2**20)
            if not read:
                raise EOFError("the browser has ended")
            self.buffer += read

    def open(self, address):
        """A page that has loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for part in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{part}.enable")
        page.call("Page.navigate", url=address)
        self.until(lambda found: found.get("method") == "Page.loadEventFired")
        return page


class Page:
    """A page in a browser."""

    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def call(self, method, **params):
        """The result of a command about this page."""
        return self.browser.call(method, self.session, **params)

    def evaluate(self, expression):
        """The value of an expression of JavaScript, or of the promise that it is."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def click(self, selector):
        """Scrolls to the middle of an element, and clicks there."""
        x, y = self.evaluate(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();"
            f" return [b.x + b.width / 2, b.y + b.height / 2]; }})(document.querySelector({json.dumps(selector)}))"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)
        self.evaluate(
            "new Promise(done => setTimeout(done, 100))"
        )  # a change of the address comes later

    def _events(self, method):
        of_this = (e for e in self.browser.events if e.get("sessionId") == self.session)
        return [e["params"] for e in of_this if e.get("method") == method]

    @property
    def requests(self):
        """The addresses of all that was loaded, apart from what stands in the page itself."""
        urls = [event["request"]["url"] for event in self._events("Network.requestWillBeSent")]
        return [url for url in urls if not url.startswith(("data:", "blob:"))]

    @property
    def errors(self):
        """Exceptions, and what the console says of errors and warnings."""
        told = self._events("Runtime.consoleAPICalled")
        logged = [event["entry"] for event in self._events("Log.entryAdded")]
        return [
            *self._events("Runtime.exceptionThrown"),
            *(event for event in told if event["type"] in ("error", "warning", "assert")),
            *(entry for entry in logged if entry["level"] in ("error", "warning")),
        ]
