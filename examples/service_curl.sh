#!/bin/sh
# The service with curl: the same request in the plain format and in Cohere's.
#
# Start a service with `rerank-plugins serve`, then: sh examples/service_curl.sh [http://127.0.0.1:8000]
set -eu
url=${1:-http://127.0.0.1:8000}
request=$(dirname "$0")/data/request.json

for path in /rerank /v2/rerank; do
    curl --silent --show-error --fail-with-body "$url$path" -H "Content-Type: application/json" -d "@$request"
    echo
done
