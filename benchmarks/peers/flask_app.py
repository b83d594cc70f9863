"""A service as in many tutorials: Flask on torch, with one forward pass per request.

Run it with: python benchmarks/peers/flask_app.py MODEL_FOLDER PORT
"""

import sys

import torch
from flask import Flask, jsonify, request
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).eval()
app = Flask(__name__)


@app.post("/rerank")
def rerank():  # noqa: ANN201 - as in a tutorial
    """Score the documents and sort them."""
    query, documents = request.json.get("query"), request.json.get("documents")
    if not query or not documents:
        return jsonify({"error": "Missing 'query' or 'documents'"}), 400
    pairs = [[query, document] for document in documents]
    with torch.no_grad():
        inputs = tokenizer(pairs, padding=True, truncation=True, max_length=512, return_tensors="pt")
        scores = model(**inputs).logits.view(-1).float().tolist()
    ranked = sorted(zip(documents, scores, strict=True), key=lambda pair: pair[1], reverse=True)
    return jsonify({"query": query, "results": [{"document": text, "score": score} for text, score in ranked]})


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[2]), threaded=True)
