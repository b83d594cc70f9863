"""Time and memory of a language model of Qwen3-Reranker-0.6B's size, beside sentence-transformers' CrossEncoder.

28 layers, 1,024 wide, 151,669 tokens (from its config.json on the Hub), random weights in bf16; the tokenizer is
trained here. Candidates of about 150 tokens, in the prompt of its model card. Each row runs in its own process. Run it
with: .venv/bin/python benchmarks/decoders.py --candidates 50
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peers.peak import peak_mb
from platformdirs import user_cache_path
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from rerank_plugins import Reranker
from rerank_plugins.reading.passages import read_passages

KEPT = user_cache_path("rerank-plugins") / "benchmarks"
DATA = Path(__file__).parents[1] / "examples" / "data" / "nq_open_gold"
TOKENS, ROUNDS = 150, 3
FULL: dict[str, Any] = {
    "vocab_size": 151_669,
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 3072,
}
TINY = FULL | {
    "vocab_size": 20_000,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "head_dim": 16,
    "intermediate_size": 128,
}
TASK = "Given a web search query, retrieve relevant passages that answer the query"
# As in tomaarsen/Qwen3-Reranker-0.6B-seq-cls, over Qwen3-Reranker's own prompt.
TEMPLATE = """\
{%- set parts = namespace(system="", query="", document="") -%}
{%- for message in messages -%}
{%- if message.role == "system" -%}{%- set parts.system = message.content -%}
{%- elif message.role == "query" -%}{%- set parts.query = message.content -%}
{%- elif message.role == "document" -%}{%- set parts.document = message.content -%}{%- endif -%}
{%- endfor -%}
<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. \
Note that the answer can only be "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {{ parts.system }}
<Query>: {{ parts.query }}
<Document>: {{ parts.document }}<|im_end|>
<|im_start|>assistant
<think>

</think>

{{ "" }}"""


def main() -> None:
    """Print a table of both libraries, in fp32 and in bf16."""
    options = _options()
    if options.row:
        print(json.dumps(_measure(options.row, options)))
        return
    _folder(tiny=options.tiny)
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"the CPU, {torch.get_num_threads()} threads"
    print(f"{options.candidates} candidates of {TOKENS} tokens, median of {options.rounds}, on {where}\n")
    print("| | seconds | peak memory, MB | largest score difference to the first row |\n|---|---:|---:|---:|")
    first: list[float] | None = None
    for dtype in ("fp32", "bf16"):
        for library in ("ours", "sentence-transformers"):
            row = _run(f"{library} {dtype}")
            first = first or row["scores"]
            apart = max(abs(one - other) for one, other in zip(first, row["scores"], strict=True))
            print(f"| {library} {dtype} | {row['seconds']:.2f} | {row['memory']:,.0f} | {apart:.2g} |", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tiny", action="store_true", help="a model of two narrow layers, to try the script")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(row: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, *sys.argv, "--row", row], stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _measure(row: str, options: argparse.Namespace) -> dict[str, Any]:
    library, dtype = row.split()
    folder = _folder(tiny=options.tiny)
    query, documents = _texts(folder, options.candidates)
    score = (_ours if library == "ours" else _theirs)(folder, dtype, options.device)
    scores, seconds = score(query, documents), []
    for _ in range(options.rounds):
        start = time.perf_counter()
        scores = score(query, documents)
        seconds.append(time.perf_counter() - start)
    memory = torch.cuda.max_memory_allocated() / 2**20 if options.device == "cuda" else peak_mb()
    return {"seconds": statistics.median(seconds), "memory": memory, "scores": scores}


Score = Callable[[str, list[str]], list[float]]


def _ours(folder: Path, dtype: str, device: str) -> Score:
    warnings.simplefilter("ignore")  # A random model puts known pairs into no order.
    reranker = Reranker(folder, device=device, dtype=dtype, max_length=1024)

    def score(query: str, documents: list[str]) -> list[float]:
        results = sorted(reranker.rank(query, documents), key=lambda result: result.index)
        return [result.raw_score for result in results]

    return score


def _theirs(folder: Path, dtype: str, device: str) -> Score:
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    model = CrossEncoder(str(folder), device=device, max_length=1024, model_kwargs={"dtype": kind})

    def score(query: str, documents: list[str]) -> list[float]:
        pairs = [(query, document) for document in documents]
        scores: list[float] = model.predict(pairs, activation_fn=torch.nn.Identity()).tolist()
        return scores

    return score


def _texts(folder: Path, candidates: int) -> tuple[str, list[str]]:
    """Return a question, and documents of as many tokens as each."""
    question = read_passages(DATA / "queries.jsonl.gz")[0].text
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = " ".join(passage.full_text for passage in read_passages(DATA / "corpus.jsonl.gz")[: 2 * candidates + 10])
    ids = tokenizer.encode(text).ids
    return question, [tokenizer.decode(ids[at * TOKENS : (at + 1) * TOKENS]) for at in range(candidates)]


def _folder(*, tiny: bool) -> Path:
    """Return the model's folder (1.2 GB), creating it if it does not exist."""
    folder = KEPT / ("decoder-tiny" if tiny else "decoder")
    if (folder / "modules.json").exists():
        return folder
    tokenizer = _trained_tokenizer()
    torch.manual_seed(0)
    config = Qwen3Config(
        **(TINY if tiny else FULL),
        max_position_embeddings=40_960,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    )
    plain = folder / "plain"
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(plain)
    padding, ending = "<|endoftext|>", "<|im_end|>"
    saved = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=padding, eos_token=ending)
    saved.chat_template = TEMPLATE
    saved.save_pretrained(plain)
    yes, no = tokenizer.token_to_id("yes"), tokenizer.token_to_id("no")
    modules = [Transformer(str(plain), transformer_task="text-generation"), LogitScore(yes, no)]
    CrossEncoder(modules=modules, prompts={"web": TASK}, default_prompt_name="web").save_pretrained(str(folder))
    for file in plain.iterdir():
        file.unlink()
    plain.rmdir()
    return folder


def _trained_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    words += r"|\s*[\r\n]+|\s+(?!\S)|\s+"  # as Qwen's
    split = pre_tokenizers.Split(Regex(words), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=19_000, initial_alphabet=alphabet, show_progress=False)
    corpus = [passage.full_text for passage in read_passages(DATA / "corpus.jsonl.gz")]
    tokenizer.train_from_iterator([*corpus, "yes no\n\n" * 100], trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer


if __name__ == "__main__":
    main()
