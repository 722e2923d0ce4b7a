"""What the demo asks over HTTP, as a program without the SDK would."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from synapsenet.errors import Unavailable

_TIMEOUT_S = 20.0


class Edge:
    """HTTP/JSON at `host:port`."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, *parameters: tuple[str, str]) -> Any:
        """The JSON answer to GET.

        Raises:
            Unavailable: EDGE_REFUSED, naming the URL and what was answered.
        """
        url = f"http://{self.address}{path}"
        if parameters:
            url += "?" + urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - always http
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read(500).decode("utf-8", "replace")
            raise Unavailable("EDGE_REFUSED", f"GET {url} answered {error.code} {text}") from error
        except (OSError, json.JSONDecodeError) as error:
            remedy = "give the HTTP address of the platform with --http HOST:PORT"
            raise Unavailable("EDGE_REFUSED", f"GET {url} was not answered with JSON ({error})", remedy=remedy) from error

    def compare(self, entries: Sequence[str], metric: str) -> Any:
        """The comparison of `entries` by the last value of `metric`."""
        asked = [("experiment_ids", entry) for entry in entries]
        return self.get("/experiments/compare", *asked, ("metric", metric))["comparison"]

    def importance(self, experiment_id: str, metric: str) -> Any:
        """The ranking of the experiment's hyperparameters."""
        path = f"/experiments/{urllib.parse.quote(experiment_id)}/hyperparameter-importance"
        return self.get(path, ("metric", metric))["importance"]

    def freshness(self, group: str) -> Any:
        """How old the group's values are."""
        return self.get("/features/freshness", ("group", group))["groups"][0]
