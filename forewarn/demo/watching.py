"""What the demo asks of the running collector, through the API that anybody may ask.

Errors:
    Unheard   the API does not answer now, or not as it should: mostly that it has not begun yet
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

_PATIENCE = 10.0


class Unheard(Exception):
    """No answer, or none that can be used."""


class Api:
    """The collector's API on this machine."""

    def __init__(self, port: int, token: str) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._token = token
        # A proxy for the world outside has no business here.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, **query: object) -> Any:
        """The answer to one question of `/api/v1`.

        Raises:
            Unheard: see above.
        """
        asked = urllib.parse.urlencode({name: str(value) for name, value in query.items()})
        return self._asked(f"/api/v1/{path}" + (f"?{asked}" if asked else ""))

    def everything(self, path: str, **query: object) -> list[Any]:
        """All items of a list, page by page.

        Raises:
            Unheard: see above.
        """
        items: list[Any] = []
        after: dict[str, object] = {}
        while True:
            page = self.get(path, **query, **after)
            items += page["items"]
            if not page["next"]:
                return items
            after = {"after": page["next"]}

    def ready(self) -> bool:
        """Whether the collector has everything it needs, its broker included."""
        try:
            return bool(self._asked("/readyz")["ready"])
        except Unheard:
            return False

    def behind(self) -> int:
        """How many journal entries the slower projection has still to take.

        Raises:
            Unheard: see above.
        """
        lags = [check["lag"] for check in self._asked("/readyz")["checks"] if check["lag"] is not None]
        return max(lags, default=0)

    def serves(self, path: str) -> bool:
        """Whether a page is there: the console is a part that an installation may lack."""
        try:
            with self._opener.open(f"{self.address}{path}", timeout=_PATIENCE) as answer:
                return "text/html" in answer.headers.get("Content-Type", "")
        except (OSError, ValueError):
            return False

    def _asked(self, path: str) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self.address}{path}", headers={"Authorization": f"Bearer {self._token}"}
        )
        try:
            with self._opener.open(request, timeout=_PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as wrong:
            if path == "/readyz":
                return json.load(wrong)
            raise Unheard(f"{path}: {wrong}") from wrong
        except (OSError, ValueError) as wrong:
            raise Unheard(f"{path}: {wrong}") from wrong
