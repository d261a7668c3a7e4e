"""A headless Chromium that can reach nothing but loopback, and that notes every request and every complaint."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests import servers

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    # Every name but loopback is unknown: what would leave fails, and is seen in the log of requests.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
# A dialog grows into its place: what is aimed at a button that still moves, misses it.
_AT_REST = """
const {x, y, width, height} = arguments[0].getBoundingClientRect(), now = [x, y, width, height].join()
const before = arguments[0].seenAt
arguments[0].seenAt = now
return before === now
"""


@dataclass
class Browser:
    """One browser; `requests` and `complaints` grow with every `look`."""

    driver: webdriver.Chrome
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Opens a page and waits until NiceGUI has filled it and nothing is being read any more."""
        self.driver.get(self.address + path)
        self.settled()

    def settled(self) -> None:
        """Waits until the page is filled and takes notice of what is done: connected, known to the server, no spinner."""
        ready = (
            "return document.readyState === 'complete' && !window.leaving && !!window.did_handshake "
            "&& window.socket.connected && !document.querySelector('.q-spinner')"
        )
        self.until(lambda: self.driver.execute_script(ready), "the page is filled")
        self.look()

    @contextlib.contextmanager
    def renewed(self) -> Iterator[None]:
        """Around what loads a page anew: goes on once another document is there and filled.

        Without it the next step may still read the document that is about to go.
        """
        self.driver.execute_script("window.leaving = true")
        yield
        self.until(lambda: self.driver.execute_script("return !window.leaving"), "another page is loaded")
        self.settled()

    def log_in(self, token: str) -> None:
        """Through the login page, as a person would."""
        self.driver.get(f"{self.address}/login")
        self.driver.find_element(By.ID, "token").send_keys(token)
        self.driver.find_element(By.CSS_SELECTOR, "button[type=submit]").click()

    def prefer(self, language: str, theme: str = "light") -> None:
        """Chooses as the menus do: in cookies."""
        for name, value in (("language", language), ("theme", theme)):
            self.driver.add_cookie({"name": f"forewarn_{name}", "value": value, "path": "/"})

    def text(self) -> str:
        """What a person reads on the page, read at one moment."""
        read: str = self.driver.execute_script("return document.body ? document.body.innerText : ''")
        return read

    def seen(self) -> str:
        """The page for the words of a failure, also of one that cannot be read now."""
        with contextlib.suppress(WebDriverException):
            return self.text()[:2000]
        return "(the page cannot be read)"

    def texts(self, css: str) -> list[str]:
        """What each of these elements says, read at one moment."""
        script = "return [...document.querySelectorAll(arguments[0])].map(one => one.innerText.trim())"
        found: list[str] = self.driver.execute_script(script, css)
        return found

    def find(self, css: str) -> WebElement:
        """The first element, once it is there."""
        found: WebElement = self.until(lambda: self.driver.find_elements(By.CSS_SELECTOR, css), css)[0]
        return found

    def fill(self, css: str, words: str) -> None:
        """Types words into a field, anew when the page changed under them."""

        def typed() -> bool:
            field = self.driver.find_elements(By.CSS_SELECTOR, css)[0]
            if field.get_property("value") != words:
                field.clear()
                field.send_keys(words)
            return bool(field.get_property("value") == words)

        self.until(typed, f"{words!r} in {css}")

    def press(self, label: str, within: str = "") -> None:
        """Presses the button with this label, once it is there and no longer moves."""
        path = f"{within}//button[normalize-space(.)='{label}' or .//span[normalize-space(.)='{label}']]"

        def pressed() -> bool:
            buttons = [one for one in self.driver.find_elements(By.XPATH, path) if one.is_displayed()]
            at_rest = bool(buttons) and bool(self.driver.execute_script(_AT_REST, buttons[0]))
            if at_rest:
                buttons[0].click()
            return at_rest

        self.until(pressed, f"a button {label}")

    def press_until(self, label: str, true: Callable[[], Any], what: str, within: str = "") -> None:
        """Presses a button and waits for what comes of it."""
        self.press(label, within)
        self.until(true, f"`{label}` was pressed: {what}")

    def has(self, css: str) -> bool:
        """Whether a person sees such an element."""
        return any(one.is_displayed() for one in self.driver.find_elements(By.CSS_SELECTOR, css))

    def until(self, true: Callable[[], Any], what: str, seconds: float = 15) -> Any:
        """What `true` gives once it is not empty; a page that is just changing is asked again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(WebDriverException, IndexError):
                found = true()
                if found:
                    return found
            time.sleep(0.05)
        raise AssertionError(f"never came true: {what}\n{self.driver.current_url}\n{self.seen()}")

    def look(self) -> None:
        """Notes what was requested and complained about since the last look."""
        for line in self.driver.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            if message["method"] == "Network.webSocketCreated":
                self.requests.append(message["params"]["url"])
        found = self.driver.get_log("browser")
        self.complaints += [line["message"] for line in found if line["level"] in ("SEVERE", "WARNING")]

    def strangers(self) -> list[str]:
        """What was asked of anybody but the collector."""
        ours = urlsplit(self.address).netloc
        inside = ("data", "blob", "about")
        asked = (urlsplit(url) for url in self.requests)
        return [url.geturl() for url in asked if url.scheme not in inside and url.netloc != ours]


@contextlib.contextmanager
def browser(address: str, downloads: Path, *, width: int = 1280, height: int = 900) -> Iterator[Browser]:
    """A browser with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = servers.program("chromium", "chromium")
    for switch in (*SWITCHES, f"--window-size={width},{height}"):
        options.add_argument(switch)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(servers.program("chromedriver", "chromium-driver")))
    try:
        yield Browser(driver, address)
    finally:
        driver.quit()
