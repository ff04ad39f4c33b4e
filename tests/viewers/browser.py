"""A headless Chromium, driven over its debugging pipe: open, wait, click, scroll, look (Chrome DevTools Protocol).

The pipe (file descriptors 3 and 4, JSON ended by a zero byte) needs no port and no WebSocket library.
"""

import base64
import json
import os
import subprocess
import time
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]


class BrowserRefused(Exception):
    """Chromium answered a command with an error."""


class Browser:
    """One page of one Chromium, closed with its context."""

    def __init__(self, program: str, profile: Path, size: tuple[int, int] = (1400, 900)) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        options = (
            "--headless=new --no-sandbox --no-first-run --disable-background-networking --disable-extensions "
            "--use-angle=swiftshader --enable-unsafe-swiftshader --hide-scrollbars --remote-debugging-pipe "
            f"--user-data-dir={profile} --window-size={size[0]},{size[1]} about:blank"
        )
        command = f"exec {program} {options} 3<&{theirs_in} 4>&{theirs_out}"
        self._process = subprocess.Popen(
            ["bash", "-c", command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")
        self._number = 0
        self._rest = b""
        self._session = ""
        self._size = size
        self.said: list[str] = []
        """What message boxes said."""
        self._attach(size)

    def _attach(self, size: tuple[int, int]) -> None:
        pages = [t for t in self._call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        attached = self._call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self._call("Page.enable")
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **metrics)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._in.close()

    def open(self, url: str) -> None:
        """Starts to load a page; what must be there is waited for with `until`."""
        self._call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; None while one page takes the place of another."""
        try:
            answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        except BrowserRefused:
            return None
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 120) -> None:
        """Waits until an expression is true. Raises TimeoutError with the expression."""
        end = time.monotonic() + seconds
        while not self.run(f"(() => {{ try {{ return Boolean({script}) }} catch (e) {{ return false }} }})()"):
            if time.monotonic() > end:
                raise TimeoutError(script)
            time.sleep(0.3)

    def click(self, x: float, y: float, times: int = 1) -> None:
        """A click, or a double click, of the left button."""
        self._mouse("mouseMoved", x, y)
        for count in range(1, times + 1):
            self._mouse("mousePressed", x, y, button="left", clickCount=count)
            self._mouse("mouseReleased", x, y, button="left", clickCount=count)

    def scroll(self, x: float, y: float, notches: int) -> None:
        """Turns the wheel, downwards when positive."""
        for _ in range(abs(notches)):
            self._mouse("mouseWheel", x, y, deltaX=0, deltaY=100 if notches > 0 else -100)
            time.sleep(0.15)

    def look(self) -> Picture:
        """rgb[row, column, 3] of the page; black while one page takes the place of another."""
        try:
            data = self._call("Page.captureScreenshot", format="png")["data"]
        except BrowserRefused:
            return np.zeros((self._size[1], self._size[0], 3), np.uint8)
        return np.asarray(Image.open(BytesIO(base64.b64decode(data))).convert("RGB"))

    def _mouse(self, kind: str, x: float, y: float, **values: Any) -> None:
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **values)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            answer = self._read()
            if answer.get("method") == "Page.javascriptDialogOpening":
                self._dismiss(answer["params"]["message"])
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserRefused(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _dismiss(self, text: str) -> None:
        """Closes a message box, behind which nothing would be answered, and keeps what it said."""
        self.said.append(text)
        message = {"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
        self._out.write(json.dumps({**message, "sessionId": self._session}).encode() + b"\0")
        self._out.flush()

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            received = os.read(self._in.fileno(), 1 << 20)
            if not received:
                raise EOFError("Chromium ended")
            self._rest += received
        one, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(one)
        return message


def coloured(picture: Picture, least: int = 60) -> float:
    """Share of pixels that are coloured: whose channels differ by at least `least`."""
    return float((np.ptp(picture.astype(np.int16), axis=2) >= least).mean())


def lit(picture: Picture, least: int = 40) -> float:
    """Share of pixels that are not black."""
    return float((picture.max(axis=2) >= least).mean())
