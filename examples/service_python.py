"""The service from plain Python: no client library, and the service's own error messages.

Start a service with `rerank-plugins serve`, then: python examples/service_python.py [http://127.0.0.1:8000]
"""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

REQUEST = Path(__file__).parent / "data" / "request.json"


def rerank(url: str, query: str, documents: list[str]) -> list[dict[str, Any]]:
    """Return the service's results, best first, each with document, index and relevance_score."""
    body = json.dumps({"query": query, "documents": documents}).encode()
    request = Request(f"{url}/rerank", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        results: list[dict[str, Any]] = json.load(answer)["results"]
    return results


def main(url: str = "http://127.0.0.1:8000") -> None:
    """Send the request in data/request.json."""
    try:
        results = rerank(url, **json.loads(REQUEST.read_text(encoding="utf-8")))
    except HTTPError as error:
        sys.exit(f"The service returned an error: {error.code} {json.load(error)['error']}")
    except URLError as error:
        sys.exit(f"This example needs a running service, but nothing answers at {url} ({error.reason}).")
    for result in results:
        print(f"{result['relevance_score']:.3f}  {result['document']}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
