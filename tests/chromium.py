"""A headless Chromium that a test drives as a person would: it clicks, types, and reads what the page complains of."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("quic", "background-networking", "component-update", "sync")
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    "--enable-unsafe-swiftshader",
    *(f"--disable-{name}" for name in QUIET),
]
#: What the software renderer says of its own speed, not of the page.
OF_THE_DRIVER = "GL Driver Message"


class Chromium:
    """One page in a browser of its own, by the DevTools protocol over two pipes."""

    def __init__(self, profile: Path, *, width: int = 1280, height: int = 900, options: tuple[str, ...] = ()) -> None:
        there_read, self._write = os.pipe()
        self._read, there_write = os.pipe()
        options = (*OPTIONS, *options, f"--user-data-dir={profile}", f"--window-size={width},{height}")
        # The browser reads commands from its third descriptor and answers on its fourth.
        command = f'exec "$@" 3<&{there_read} 4>&{there_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", str(BINARY), *options, "--remote-debugging-pipe", "about:blank"],
            pass_fds=(there_read, there_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(there_read)
        os.close(there_write)
        self._rest, self._number, self._session = b"", 0, None
        self.complaints: list[str] = []
        self._events: list[str] = []
        pages = [t for t in self.do("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self.do("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        self.do("Browser.close")
        self._process.wait(timeout=60)
        os.close(self._write)
        os.close(self._read)

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("the browser is gone")
            self._rest += part
        line, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, params: dict[str, Any]) -> None:
        self._events.append(event)
        told = ""
        if event == "Runtime.exceptionThrown":
            told = json.dumps(params["exceptionDetails"])
        if event == "Log.entryAdded":
            told = params["entry"]["text"]
        if event == "Runtime.consoleAPICalled":
            told = " ".join(str(part.get("value", "")) for part in params["args"])
        if told and OF_THE_DRIVER not in told:
            self.complaints.append(told)

    def open(self, path: Path) -> None:
        """Load a page and wait until it is there."""
        self._events.clear()
        self.do("Page.navigate", url=path.as_uri())
        while "Page.loadEventFired" not in self._events:
            self._next()
        self.settle()

    def run(self, code: str) -> Any:
        """Evaluate an expression in the page."""
        found = self.do("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"]))
        return found["result"].get("value")

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Move, press or release the mouse, or turn its wheel, at a place of the window."""
        self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        """Click the left button."""
        self.mouse("mouseMoved", x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", buttons=int(kind == "mousePressed"), clickCount=1)
        self.settle()

    def click_on(self, selector: str) -> None:
        """Bring an element into the window and click its middle."""
        box = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{box}.scrollIntoView({{block: 'center'}})")
        x, y = self.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({box}.getBoundingClientRect())")
        self.click(x, y)

    def drag(self, start: tuple[float, float], end: tuple[float, float], *, button: str = "left") -> None:
        """Press a button, move, and let go."""
        held = {"left": 1, "right": 2}[button]
        self.mouse("mousePressed", *start, button=button, buttons=held, clickCount=1)
        for part in (0.25, 0.5, 0.75, 1):
            x, y = (a + part * (b - a) for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", x, y, button=button, buttons=held)
        self.mouse("mouseReleased", *end, button=button, buttons=0, clickCount=1)
        self.settle()

    def key(self, key: str, *, shift: bool = False) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 * shift)
        self.settle()

    def screenshot(self, path: Path) -> None:
        """Write a picture of the window."""
        path.write_bytes(base64.b64decode(self.do("Page.captureScreenshot")["data"]))

    def pdf(self, path: Path) -> None:
        """Print the page."""
        path.write_bytes(base64.b64decode(self.do("Page.printToPDF", printBackground=False)["data"]))
