"""The service with Cohere's SDK and with LangChain's CohereRerank: only the base URL changes.

Start a service with `rerank-plugins serve`, then: python examples/service_cohere.py [http://127.0.0.1:8000]
"""

import json
import sys
from pathlib import Path

import cohere
import httpx
from langchain_cohere import CohereRerank

REQUEST = Path(__file__).parent / "data" / "request.json"


def main(url: str = "http://127.0.0.1:8000") -> None:
    """Send the request in data/request.json. The model is ignored, and the key too unless the service requires one."""
    request = json.loads(REQUEST.read_text(encoding="utf-8"))
    try:
        with cohere.ClientV2(api_key="none", base_url=url) as client:
            results = client.rerank(model="any", **request).results
    except httpx.ConnectError as error:
        sys.exit(f"This example needs a running service, but nothing answers at {url} ({error}).")
    for result in results:
        print(f"{result.relevance_score:.3f}  {request['documents'][result.index]}")

    compressor = CohereRerank(cohere_api_key="none", base_url=url, model="any", top_n=3)
    with compressor.client:
        same = compressor.rerank(request["documents"], request["query"])
    print("LangChain's CohereRerank:", [each["index"] for each in same])


if __name__ == "__main__":
    main(*sys.argv[1:2])
